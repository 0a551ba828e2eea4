// Errors as OpenAI's clients expect them: {"error": {"message", "type", "param", "code"}}.
#pragma once

#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "base/status.h"
#include "server/http.h"

namespace braid::server {

// Values of an Error by these names go into the members of the same name; all others into the
// message.
inline constexpr std::string_view kParam = "param";
inline constexpr std::string_view kCode = "code";

// An error of a request's field.
Error bad_field(std::string_view field, std::string message);

// An error, and the status of HTTP that it is answered with.
struct ApiError {
  int status = 400;
  Error error;
};

Json to_json(const ApiError& error);
HttpAnswer to_answer(const ApiError& error);

}  // namespace braid::server
