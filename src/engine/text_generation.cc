#include "engine/text_generation.h"

#include "base/log.h"
#include "text/answer.h"

namespace braid::engine {
namespace {

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One request from its submission to its end.
class Generation {
 public:
  Generation(const Engine& engine, const text::Tokenizer& tokenizer, const TextRequest& request,
             const TextSink& sink)
      : stop_ids_(engine.config().eos_token_ids.begin(), engine.config().eos_token_ids.end()),
        sink_(sink),
        answer_(tokenizer, {.stops = request.stops}) {
    result_.prompt_tokens = static_cast<int32_t>(request.prompt.size());
  }

  const std::vector<int32_t>& stop_ids() const { return stop_ids_; }

  // Takes a token; true when it was the last one.
  bool take(const TokenEvent& event) {
    (result_.ids.empty() ? result_.prefill_seconds : result_.decode_seconds) = seconds_since(mark_);
    if (result_.ids.empty()) mark_ = Clock::now();
    result_.ids.push_back(event.token);
    if (event.logprobs) result_.logprobs.push_back(*event.logprobs);
    std::string text = event.finished == FinishReason::stop ? answer_.append_stop(event.token)
                                                            : answer_.append(event.token);
    std::optional<FinishReason> finished = event.finished;
    if (finished) text += answer_.finish();
    if (answer_.stopped()) finished = FinishReason::stop;
    result_.text += text;
    if (!sink_(text) && !finished) finished = FinishReason::cancelled;
    if (finished) result_.finished = *finished;
    return finished.has_value();
  }

  TextResult finish() { return std::move(result_); }

 private:
  std::vector<int32_t> stop_ids_;
  const TextSink& sink_;
  text::Answer answer_;
  Clock::time_point mark_ = Clock::now();  // the start, then the first token
  TextResult result_;
};

}  // namespace

double TextResult::prefill_rate() const {
  return prefill_seconds > 0 ? prompt_tokens / prefill_seconds : 0;
}

double TextResult::decode_rate() const {
  const size_t later = ids.empty() ? 0 : ids.size() - 1;
  return decode_seconds > 0 ? static_cast<double>(later) / decode_seconds : 0;
}

Result<TextResult> generate_text(Engine& engine, const text::Tokenizer& tokenizer,
                                 const TextRequest& request, const TextSink& sink) {
  Generation generation(engine, tokenizer, request, sink);
  const RequestId id = TRY(engine.submit({.prompt = request.prompt,
                                          .sampling = request.sampling,
                                          .max_tokens = request.max_tokens,
                                          .stop_token_ids = generation.stop_ids(),
                                          .logprobs = request.logprobs}));
  while (!engine.idle()) {
    for (const TokenEvent& event : TRY(engine.step())) {
      if (event.request == id && generation.take(event)) engine.cancel(id);
    }
  }
  return generation.finish();
}

}  // namespace braid::engine
