#include "server/logprob_form.h"

#include <algorithm>

namespace braid::server {
namespace {

int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

Json bytes_of(std::string_view text) {
  Json bytes = Json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

}  // namespace

LogprobForm::LogprobForm(const text::Tokenizer& tokenizer, bool chat)
    : tokenizer_(tokenizer), chat_(chat) {}

std::string LogprobForm::text_of(int32_t token) const {
  return tokenizer_.decode({&token, 1}, /*skip_special=*/false);
}

Json LogprobForm::chat_entry(int32_t token, float logprob) const {
  const std::string text = text_of(token);
  return {{"token", text}, {"logprob", logprob}, {"bytes", bytes_of(text)}};
}

void LogprobForm::add(int32_t token, const engine::Logprobs& logprobs) {
  if (chat_) {
    Json entry = chat_entry(token, logprobs.chosen);
    entry["top_logprobs"] = Json::array();
    for (const engine::TokenLogprob& top : logprobs.top) {
      entry["top_logprobs"].push_back(chat_entry(top.token, top.logprob));
    }
    part_["content"].push_back(std::move(entry));
    part_["refusal"] = nullptr;
    return;
  }
  const std::string text = text_of(token);
  Json tops = Json::object();
  for (const engine::TokenLogprob& top : logprobs.top) tops[text_of(top.token)] = top.logprob;
  tops[text] = logprobs.chosen;
  part_["tokens"].push_back(text);
  part_["token_logprobs"].push_back(logprobs.chosen);
  part_["top_logprobs"].push_back(std::move(tops));
  part_["text_offset"].push_back(offset_);
  offset_ += characters(text);
}

Json LogprobForm::take() { return std::exchange(part_, Json()); }

}  // namespace braid::server
