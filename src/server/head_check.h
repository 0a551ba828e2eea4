// What a request's head must not have, because two programs that read it may understand it
// differently (request smuggling), and the parser lets it pass.
#pragma once

#include <span>
#include <string_view>

#include "server/http.h"

namespace braid::server {

// Why the bytes of a head, from the request line to the empty line, are refused; empty: they are
// not. Folded fields (RFC 9112, 5.2), lines that don't end in CR LF, control characters.
std::string_view fault_in_head(std::string_view head);

// The same of what was read in it: hosts (none or two, RFC 9112, 3.2), transfer encodings other
// than just "chunked" or before HTTP/1.1 (6.1), several lengths. `version` is 10 or 11.
std::string_view fault_in_fields(int version, std::span<const HttpField> fields);

}  // namespace braid::server
