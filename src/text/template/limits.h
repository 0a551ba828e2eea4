// Bounds on one rendering, so that a hostile template can neither hang nor exhaust memory.
#pragma once

#include <cstdint>

namespace braid::text::tmpl {

struct Limits {
  int64_t steps = 10'000'000;                // evaluated nodes, visited elements, 32 bytes of text
  int64_t output_bytes = int64_t{64} << 20;  // of the rendered text
  int depth = 600;                           // of nested evaluation, macro calls included
};

}  // namespace braid::text::tmpl
