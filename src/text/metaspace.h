// Settings that the pre-tokenizer and the decoder Metaspace share.
#pragma once

#include "text/component.h"

namespace braid::text {

// Where the pre-tokenizer puts the replacement of a space before a piece that has none.
enum class MetaspacePrepend {
  always,
  first,  // only before the first piece of the whole input
  never,
};

// Reads "prepend_scheme", or the older "add_prefix_space" where it stands alone.
// Errors: unsupported (another scheme, or fields that contradict each other).
Result<MetaspacePrepend> parse_metaspace_prepend(const Json& component, Role role);

}  // namespace braid::text
