#include "server/answer_form.h"

namespace braid::server {
namespace {

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A text as JSON writes it.
std::string json_text(std::string_view text) { return dumped(Json(text)); }

std::string list_of(const std::vector<int32_t>& ids) { return Json(ids).dump(); }

}  // namespace

Json to_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt},
          {"completion_tokens", usage.answers},
          {"total_tokens", usage.prompt + usage.answers},
          {"prompt_tokens_details", {{"cached_tokens", 0}}},
          {"completion_tokens_details", {{"reasoning_tokens", 0}}}};
}

AnswerForm::AnswerForm(const GenerationRequest& request, std::string id, int64_t created)
    : chat_(request.chat),
      stream_usage_(request.stream_usage),
      continuous_usage_(request.continuous_usage),
      returns_ids_(request.returns_ids),
      n_(static_cast<size_t>(request.n)),
      id_(std::move(id)),
      created_(created),
      model_(request.model) {
  if (returns_ids_) prompts_ = request.prompts;
  head_ = fmt::format(R"(data: {{"id":{},"object":"{}","created":{},"model":{},"choices":[)",
                      json_text(id_), chat_ ? "chat.completion.chunk" : "text_completion", created_,
                      json_text(model_));
}

std::string AnswerForm::event(std::string_view choice, const Usage& usage) const {
  std::string text = head_;
  text += choice;
  text += ']';
  if (continuous_usage_) {
    text += ",\"usage\":" + to_json(usage).dump();
  } else if (stream_usage_) {
    text += ",\"usage\":null";
  }
  text += "}\n\n";
  return text;
}

std::string AnswerForm::role_event(size_t choice, const Usage& usage) const {
  std::string ids;
  if (returns_ids_) ids = ",\"prompt_token_ids\":" + list_of(prompts_[choice / n_]);
  return event(
      fmt::format(
          R"({{"index":{},"delta":{{"role":"assistant","content":""}},"logprobs":null,"finish_reason":null{}}})",
          choice, ids),
      usage);
}

std::string AnswerForm::content_event(size_t choice, const ChoiceText& part,
                                      const Usage& usage) const {
  std::string ids;
  if (returns_ids_) ids = ",\"token_ids\":" + list_of(part.ids);
  const std::string text = json_text(part.text);
  const std::string content =
      chat_ ? fmt::format(R"("delta":{{"content":{}}})", text) : fmt::format(R"("text":{})", text);
  return event(fmt::format(R"({{"index":{},{},"logprobs":{},"finish_reason":null{}}})", choice,
                           content, dumped(part.logprobs), ids),
               usage);
}

std::string AnswerForm::finish_event(size_t choice, engine::FinishReason reason,
                                     const Usage& usage) const {
  return event(fmt::format(R"({{"index":{},{},"logprobs":null,"finish_reason":"{}"}})", choice,
                           chat_ ? R"("delta":{})" : R"("text":"")", name_of(reason)),
               usage);
}

std::string AnswerForm::usage_event(const Usage& usage) const {
  return head_ + "],\"usage\":" + to_json(usage).dump() + "}\n\n";
}

std::string AnswerForm::error_event(const ApiError& error) {
  return fmt::format("data: {}\n\n", to_json(error).dump());
}

Json AnswerForm::whole(std::span<const Choice> choices, const Usage& usage) const {
  Json list = Json::array();
  for (size_t i = 0; i < choices.size(); ++i) {
    const ChoiceText& text = choices[i].text;
    Json choice = {
        {"index", i}, {"logprobs", text.logprobs}, {"finish_reason", name_of(choices[i].reason)}};
    if (chat_) {
      choice["message"] = {{"role", "assistant"}, {"content", text.text}, {"refusal", nullptr}};
    } else {
      choice["text"] = text.text;
    }
    if (returns_ids_) {
      choice["token_ids"] = text.ids;
      choice["prompt_token_ids"] = prompts_[i / n_];
    }
    list.push_back(std::move(choice));
  }
  return {{"id", id_},
          {"object", chat_ ? "chat.completion" : "text_completion"},
          {"created", created_},
          {"model", model_},
          {"choices", std::move(list)},
          {"usage", to_json(usage)}};
}

}  // namespace braid::server
