// What the fuzzer and the replay of its corpus do with one input.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "text/template/template.h"
#include "text/utf8.h"

namespace braid::text {

// The variables that fuzzed templates see: a chat with everything that chats have.
inline const OrderedJson& fuzz_variables() {
  static const OrderedJson variables = OrderedJson::parse(R"({
    "messages": [
      {"role": "system", "content": "Be kind, émile."},
      {"role": "user", "content": [{"type": "text", "text": "日本 🙂"}, {"type": "image"}]},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "x1", "type": "function", "function": {"name": "f", "arguments": {"a": 1.5}}}]},
      {"role": "tool", "content": "<think>\nHm.\n</think>\n 42 "}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {
      "type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}}}],
    "documents": null, "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>",
    "x": -7, "y": 2.5, "l": [3, 1, 2, "b", "A"], "d": {"b": 1, "a": [1, [2]]}
  })");
  return variables;
}

// Parses and renders `source` within tight limits. Whatever it is, the outcome must be a text
// within the limits or an error with a message, and the same at a second rendering.
inline void fuzz_template(std::string_view source) {
  const Result<Template> parsed = Template::parse(source, "fuzz");
  if (!parsed.ok()) {
    BRAID_CHECK(!parsed.error().message().empty());
    return;
  }
  RenderOptions options;
  options.limits.steps = 20'000;
  options.limits.output_bytes = 1 << 16;
  options.now = [] { return std::tm{}; };
  const Result<std::string> first = parsed->render(fuzz_variables(), options);
  const Result<std::string> second = parsed->render(fuzz_variables(), options);
  BRAID_CHECK(first.ok() == second.ok());
  if (!first.ok()) {
    BRAID_CHECK(first.status().to_string() == second.status().to_string());
    return;
  }
  BRAID_CHECK(*first == *second);
  BRAID_CHECK(first->size() <= 1 << 16);
  BRAID_CHECK(is_valid_utf8(*first));
}

}  // namespace braid::text
