#include "engine/text_generation.h"

#include <algorithm>

#include "base/log.h"

namespace braid::engine {
namespace {

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Length of the longest end of `text` that a proper beginning of `stop` equals.
size_t possible_beginning(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.ends_with(stop.substr(0, length))) return length;
  }
  return 0;
}

// One request from its submission to its end.
class Generation {
 public:
  Generation(const Engine& engine, const text::Tokenizer& tokenizer, const TextRequest& request,
             const TextSink& sink)
      : stop_ids_(engine.config().eos_token_ids.begin(), engine.config().eos_token_ids.end()),
        sink_(sink),
        stream_(tokenizer, /*skip_special=*/true),
        filter_(request.stops) {
    result_.prompt_tokens = static_cast<int32_t>(request.prompt.size());
  }

  const std::vector<int32_t>& stop_ids() const { return stop_ids_; }

  // Takes a token; true when it was the last one.
  bool take(const TokenEvent& event) {
    (result_.ids.empty() ? result_.prefill_seconds : result_.decode_seconds) = seconds_since(mark_);
    if (result_.ids.empty()) mark_ = Clock::now();
    result_.ids.push_back(event.token);
    if (event.logprobs) result_.logprobs.push_back(*event.logprobs);
    const bool stop_token = event.finished == FinishReason::stop;
    std::string text = stop_token ? std::string() : text_of(event.token);
    std::optional<FinishReason> finished = event.finished;
    if (finished && !filter_.stopped()) text += filter_.append(stream_.finish());
    if (finished) text += filter_.finish();
    if (filter_.stopped()) finished = FinishReason::stop;
    result_.text += text;
    if (!sink_(text) && !finished) finished = FinishReason::cancelled;
    if (finished) result_.finished = *finished;
    return finished.has_value();
  }

  TextResult finish() { return std::move(result_); }

 private:
  // The text that is certain by a token. A special one has none of its own, but may be a stop text.
  std::string text_of(int32_t token) {
    std::string text = filter_.append_hidden(stream_.skipped_text(token));
    return text + filter_.append(stream_.append(token));
  }

  std::vector<int32_t> stop_ids_;
  const TextSink& sink_;
  text::TextStream stream_;
  StopFilter filter_;
  Clock::time_point mark_ = Clock::now();  // the start, then the first token
  TextResult result_;
};

}  // namespace

StopFilter::StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) BRAID_CHECK(!stop.empty(), "(stop text)");
}

std::string StopFilter::take(std::string_view text, bool hidden) {
  if (stopped_) return {};
  held_ += text;
  hidden_.resize(held_.size(), hidden);
  size_t first = held_.npos;
  size_t unsure = 0;
  for (const std::string& stop : stops_) {
    first = std::min(first, held_.find(stop));
    unsure = std::max(unsure, possible_beginning(held_, stop));
  }
  stopped_ = first != held_.npos;
  const size_t certain = stopped_ ? first : held_.size() - unsure;
  std::string out = release(certain);
  if (stopped_) held_.clear();
  return out;
}

std::string StopFilter::release(size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) {
    if (!hidden_[i]) out += held_[i];
  }
  held_.erase(0, bytes);
  hidden_.erase(hidden_.begin(), hidden_.begin() + static_cast<int64_t>(bytes));
  return out;
}

std::string StopFilter::finish() { return release(held_.size()); }

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
