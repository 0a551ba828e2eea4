// The model that a server answers with, as far as requests are read with it. Immutable, and shared
// by all threads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/generation_config.h"
#include "text/template/chat_template.h"
#include "text/tokenizer.h"

namespace braid::server {

struct ServedModel {
  std::vector<std::string> names;  // that requests call it by; answers say the first
  std::string root;                // its folder
  text::Tokenizer tokenizer;
  std::optional<text::ChatTemplate> chat;  // none: there are no conversations
  model::SamplingDefaults recommended;
  std::vector<int32_t> stop_ids;  // tokens that end a text
  int64_t vocab_size = 0;
  int64_t context_length = 0;
  bool strict_fields = false;  // unknown fields are errors

  // What may be called `name`; `not_found` else.
  Status check_name(const std::string& name) const;
};

}  // namespace braid::server
