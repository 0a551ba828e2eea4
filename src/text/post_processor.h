// Post-processors: which ids stand before and behind those of a text. From "post_processor".
#pragma once

#include <cstdint>
#include <vector>

#include "text/component.h"

namespace braid::text {

// The special tokens around a single text.
struct PostProcessor {
  std::vector<int32_t> before;
  std::vector<int32_t> behind;
};

// Supported: ByteLevel (concerns offsets, not ids), TemplateProcessing (its "single" template),
// Sequence, and null. The ids are as in the file, not looked up in the vocabulary.
// Errors: unsupported (another type), corrupt_data (a template without the text, unknown tokens).
Result<PostProcessor> parse_post_processor(const Json& component);

}  // namespace braid::text
