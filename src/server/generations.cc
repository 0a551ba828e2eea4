#include "server/generations.h"

#include <ctime>

#include "base/digest.h"
#include "server/logprob_form.h"
#include "text/answer.h"

namespace braid::server {
namespace {

constexpr std::chrono::seconds kSilence{15};

uint64_t random_seed() {
  const std::string bytes = random_bytes(sizeof(uint64_t));
  uint64_t seed = 0;
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(&seed));
  return seed;
}

}  // namespace

std::string new_answer_id(bool chat) {
  return (chat ? "chatcmpl-" : "cmpl-") + hex(random_bytes(16));
}

// One request: its exchange, and an answer or more to each of its prompts.
class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(Generations& all, std::shared_ptr<Exchange> exchange, GenerationRequest request,
             std::shared_ptr<const ServedModel> model, Clock::time_point arrived)
      : all_(all),
        exchange_(std::move(exchange)),
        request_(std::move(request)),
        model_(std::move(model)),
        form_(request_, new_answer_id(request_.chat), std::time(nullptr)),
        arrived_(arrived),
        last_write_(arrived) {
    for (const std::vector<int32_t>& prompt : request_.prompts) {
      usage_.prompt += static_cast<int64_t>(prompt.size());
    }
  }

  void submit() {
    if (!request_.seeded) request_.sampling.seed = random_seed();
    std::vector<engine::Request> requests;
    for (size_t i = 0; i < request_.choices(); ++i) {
      choices_.push_back(std::make_unique<Choice>(*model_, request_));
      Choice& choice = *choices_.back();
      choice.times.arrived = arrived_;
      const auto n = static_cast<size_t>(request_.n);
      engine::Request one{.prompt = request_.prompts[i / n],
                          .sampling = request_.sampling,
                          .max_tokens = request_.max_tokens,
                          .stop_token_ids = request_.stop_ids,
                          .logprobs = request_.logprobs};
      one.sampling.seed += i % n;
      requests.push_back(std::move(one));
      if (!request_.echo.empty()) choice.text.text = request_.echo[i / n];
    }
    const engine::RequestKey first = all_.submit(std::move(requests), shared_from_this());
    for (size_t i = 0; i < choices_.size(); ++i) {
      choices_[i]->key = first + static_cast<engine::RequestKey>(i);
    }
    exchange_->on_gone([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->abort();
    });
  }

  void take(size_t index, const engine::ServiceEvent& event) {
    if (!event.refusal.ok()) return end_with({400, event.refusal.error()}, AnswerEnd::error);
    const engine::TokenEvent& token = event.event;
    if (token.token == engine::kNoToken && !token.finished) return accepted();
    Choice& choice = *choices_[index];
    note(choice, token);
    if (request_.returns_ids && token.token != engine::kNoToken) {
      choice.text.ids.push_back(token.token);
    }
    if (token.logprobs) choice.logprobs.add(token.token, *token.logprobs);
    std::string text;
    std::optional<engine::FinishReason> finished = token.finished;
    if (token.token != engine::kNoToken) {
      text = token.finished == engine::FinishReason::stop ? choice.answer.append_stop(token.token)
                                                          : choice.answer.append(token.token);
    }
    if (finished) text += choice.answer.finish();
    if (choice.answer.stopped()) finished = engine::FinishReason::stop;
    choice.text.text += text;
    if (request_.stream) say(index);
    if (!finished) return;
    token.finished ? all_.forget(choice.key) : all_.cancel(choice.key);
    finish(index, *finished);
  }

  void end_with(const ApiError& error, AnswerEnd how) {
    const auto self = shared_from_this();
    leave(how);
    if (!begun_) {
      exchange_->send(to_answer(error));
    } else {
      exchange_->write(AnswerForm::error_event(error));
      exchange_->write(AnswerForm::kDone);
      exchange_->end();
    }
  }

  void keep_alive(Clock::time_point now) {
    if (begun_ && now - last_write_ > kSilence) write(AnswerForm::kComment);
  }

 private:
  struct Choice {
    Choice(const ServedModel& model, const GenerationRequest& request)
        : answer(model.tokenizer, {.stops = request.stops,
                                   .includes_stop = request.includes_stop,
                                   .skips_special = request.skips_special}),
          logprobs(model.tokenizer, request.chat) {}
    engine::RequestKey key = 0;
    text::Answer answer;
    LogprobForm logprobs;
    ChoiceText text;  // all of it; of a stream what has not been said
    int64_t tokens = 0;
    AnswerTimes times;
    std::optional<engine::FinishReason> finished;
  };

  void accepted() {
    if (++accepted_ < choices_.size() || !request_.stream) return;
    begun_ = true;
    exchange_->begin({.type = "text/event-stream; charset=utf-8",
                      .fields = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}});
    for (size_t i = 0; i < choices_.size(); ++i) {
      if (request_.chat) write(form_.role_event(i, usage_));
      if (!choices_[i]->text.text.empty()) say(i);
    }
  }

  void note(Choice& choice, const engine::TokenEvent& event) {
    const auto now = Clock::now();
    const bool first = choice.times.first == Clock::time_point();
    if (first) {
      choice.times.admitted = event.admitted;
      choice.times.first = now;
    }
    if (event.token != engine::kNoToken) {
      ++choice.tokens;
      ++usage_.answers;
      first ? all_.metrics_.first_token(choice.times, prompt_to_count(choice))
            : all_.metrics_.next_token(
                  std::chrono::duration<double>(now - choice.times.last).count());
    }
    choice.times.last = now;
  }

  const std::vector<int32_t>& prompt_of(size_t index) const {
    return request_.prompts[index / static_cast<size_t>(request_.n)];
  }
  // Each prompt counts once, with the first of its answers.
  int64_t prompt_to_count(const Choice& choice) const {
    for (size_t i = 0; i < choices_.size(); i += static_cast<size_t>(request_.n)) {
      if (choices_[i].get() == &choice) return std::ssize(prompt_of(i));
    }
    return 0;
  }

  // The next part of a stream, if there is something to say.
  void say(size_t index) {
    ChoiceText& text = choices_[index]->text;
    text.logprobs = choices_[index]->logprobs.take();
    if (text.text.empty() && text.ids.empty() && text.logprobs.is_null()) return;
    write(form_.content_event(index, text, usage_));
    text = {};
  }

  void write(std::string_view event) {
    exchange_->write(event);
    last_write_ = Clock::now();
  }

  void finish(size_t index, engine::FinishReason reason) {
    Choice& choice = *choices_[index];
    choice.finished = reason;
    all_.metrics_.ended(
        choice.times, reason == engine::FinishReason::length ? AnswerEnd::length : AnswerEnd::stop,
        std::ssize(prompt_of(index)), choice.tokens);
    if (request_.stream) write(form_.finish_event(index, reason, usage_));
    if (++finished_ < choices_.size()) return;
    const auto self = shared_from_this();
    all_.ended(self);
    request_.stream ? end_stream() : send_whole();
  }

  void end_stream() {
    if (request_.stream_usage) write(form_.usage_event(usage_));
    write(AnswerForm::kDone);
    exchange_->end();
  }

  void send_whole() {
    std::vector<AnswerForm::Choice> all;
    for (const auto& choice : choices_) {
      choice->text.logprobs = choice->logprobs.take();
      all.push_back({std::move(choice->text), *choice->finished});
    }
    exchange_->send({.body = form_.whole(all, usage_).dump()});
  }

  // The client has gone.
  void abort() {
    const auto self = shared_from_this();
    leave(AnswerEnd::abort);
  }

  // Takes what is left out of the engine.
  void leave(AnswerEnd how) {
    for (const auto& choice : choices_) {
      if (choice->finished) continue;
      all_.cancel(choice->key);
      all_.metrics_.ended(choice->times, how, 0, 0);
    }
    all_.ended(shared_from_this());
  }

  Generations& all_;
  std::shared_ptr<Exchange> exchange_;
  GenerationRequest request_;
  std::shared_ptr<const ServedModel> model_;
  AnswerForm form_;
  Clock::time_point arrived_;
  Clock::time_point last_write_;
  std::vector<std::unique_ptr<Choice>> choices_;
  size_t accepted_ = 0;
  size_t finished_ = 0;
  bool begun_ = false;
  Usage usage_;
};

Generations::~Generations() = default;

void Generations::start(std::shared_ptr<Exchange> exchange, GenerationRequest request,
                        std::shared_ptr<const ServedModel> model, Clock::time_point arrived) {
  const auto generation = std::make_shared<Generation>(
      *this, std::move(exchange), std::move(request), std::move(model), arrived);
  running_.insert(generation);
  generation->submit();
}

void Generations::take(const engine::ServiceEvents& events) {
  metrics_.take(events.stats);
  for (const engine::ServiceEvent& event : events.events) {
    const auto found = places_.find(event.key);
    if (found == places_.end()) continue;  // cancelled
    const Place place = found->second;
    place.generation->take(place.choice, event);
  }
}

void Generations::fail(const ApiError& error) {
  const auto all = running_;
  for (const auto& generation : all) generation->end_with(error, AnswerEnd::error);
}

void Generations::keep_alive(Clock::time_point now) {
  const auto all = running_;
  for (const auto& generation : all) generation->keep_alive(now);
}

void Generations::when_empty(std::function<void()> then) {
  if (running_.empty()) return then();
  when_empty_ = std::move(then);
}

engine::RequestKey Generations::submit(std::vector<engine::Request> choices,
                                       const std::shared_ptr<Generation>& generation) {
  const size_t count = choices.size();
  const engine::RequestKey first = service_.submit(std::move(choices));
  for (size_t i = 0; i < count; ++i) {
    places_.emplace(first + static_cast<engine::RequestKey>(i), Place{generation, i});
  }
  return first;
}

void Generations::cancel(engine::RequestKey key) {
  service_.cancel(key);
  places_.erase(key);
}

void Generations::ended(const std::shared_ptr<Generation>& generation) {
  running_.erase(generation);
  if (running_.empty() && when_empty_) std::exchange(when_empty_, nullptr)();
}

}  // namespace braid::server
