// Answers in OpenAI's forms: whole, or in chunks of a stream of events.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/request.h"
#include "server/generation_request.h"

namespace braid::server {

// Tokens of a request: of its prompts once, and of all its answers.
struct Usage {
  int64_t prompt = 0;
  int64_t answers = 0;
};

// One answer, as far as it has come.
struct ChoiceText {
  std::string text;          // a chunk's, or all of it
  std::vector<int32_t> ids;  // of its tokens; where the request returns them
  Json logprobs = nullptr;   // of its tokens (logprob_form.h); where the request wants them
};

// How the answer to one request is written.
class AnswerForm {
 public:
  // `created`: seconds since 1970.
  AnswerForm(const GenerationRequest& request, std::string id, int64_t created);

  const std::string& id() const { return id_; }

  // Events: "data: {…}\n\n". The first of a chat's answer, which says who speaks:
  std::string role_event(size_t choice, const Usage& usage) const;
  // The first of a completion whose ids are returned or that echoes has the prompt's.
  std::string content_event(size_t choice, const ChoiceText& part, const Usage& usage) const;
  std::string finish_event(size_t choice, engine::FinishReason reason, const Usage& usage) const;
  std::string usage_event(const Usage& usage) const;
  static std::string error_event(const ApiError& error);
  static constexpr std::string_view kDone = "data: [DONE]\n\n";
  static constexpr std::string_view kComment = ": nothing yet\n\n";

  // A whole answer.
  struct Choice {
    ChoiceText text;
    engine::FinishReason reason = engine::FinishReason::stop;
  };
  Json whole(std::span<const Choice> choices, const Usage& usage) const;

 private:
  std::string event(std::string_view choice, const Usage& usage) const;

  bool chat_;
  bool stream_usage_;
  bool continuous_usage_;
  bool returns_ids_;
  std::vector<std::vector<int32_t>> prompts_;  // where ids are returned
  size_t n_;
  std::string id_;
  int64_t created_;
  std::string model_;
  std::string head_;  // of each chunk, up to its choices
};

Json to_json(const Usage& usage);

}  // namespace braid::server
