// braid chat: a conversation, turn by turn.
#include "engine/chat.h"

#include <string>

#include "cli/chat_input.h"
#include "cli/commands.h"
#include "cli/generation_options.h"
#include "start/session.h"

namespace braid::cli {
namespace {

constexpr std::string_view kHelp =
    "/clear   forget the conversation, but for the system message\n"
    "/exit    end (so does Ctrl-D)\n"
    "/help    this text\n"
    "A line that ends in \\ goes on in the next one; lines between two lines of \"\"\" are one "
    "message.\n"
    "Ctrl-C ends an answer.";

class Chat {
 public:
  Chat(const Context& context, start::Session& session, engine::ChatFormat format,
       engine::SamplingParams sampling)
      : context_(context),
        session_(session),
        format_(std::move(format)),
        sampling_(std::move(sampling)) {
    clear();
  }

  // The conversation's beginning.
  void clear() {
    history_.clear();
    const ParsedOptions& options = context_.options;
    if (options.has("system")) history_.push_back({"system", options.text("system")});
  }

  // One turn: what the user said, and the model's answer to it. A message that doesn't fit is taken
  // out of the conversation again.
  Status answer(std::string said, const std::vector<std::string>& stops,
                const InterruptGuard& interrupt) {
    const ParsedOptions& options = context_.options;
    history_.push_back({"user", std::move(said)});
    engine::TextRequest request{.prompt = TRY(format_.encode(session_.tokenizer(), history_)),
                                .sampling = sampling_,
                                .stops = stops};
    const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
    const Result<int32_t> room =
        answer_tokens(options, prompt_tokens, session_.context_length(), session_.context_length());
    if (!room.ok()) return too_long(room.error());
    request.max_tokens = *room;
    const bool json = options.flag("json");
    engine::TextResult result = TRY(stream_text(session_.engine(), session_.tokenizer(), request,
                                                json, interrupt, context_.streams.out));
    if (json) TRY(context_.streams.out.json_line(to_json(result)));
    context_.streams.console.line(summary(result));
    history_.push_back({"assistant", std::move(result.text)});
    return {};
  }

 private:
  // Nothing of a conversation is dropped silently: a person is told and may go on, what comes
  // through a pipe ends here.
  Status too_long(const Error& error) {
    Error out = error;
    out = std::move(out).with("messages", history_.size());
    history_.pop_back();
    if (!context_.streams.in_is_terminal) {
      return std::move(out).remedy(
          "The conversation is full: start a new one, lower --max-tokens, or raise "
          "--context-length if the model allows.");
    }
    context_.streams.console.warn(
        std::move(out)
            .remedy("The message was left out: shorten it, or start anew with /clear.")
            .to_string());
    return {};
  }

  const Context& context_;
  start::Session& session_;
  engine::ChatFormat format_;
  engine::SamplingParams sampling_;
  std::vector<engine::ChatMessage> history_;
};

// The turns of a conversation, until it ends; whether it was interrupted.
Result<bool> converse(const Context& context, Chat& chat, const std::vector<std::string>& stops) {
  Streams& streams = context.streams;
  ChatInput input(streams);
  while (std::optional<std::string> said = input.next()) {
    if (streams.in_is_terminal && said->starts_with('/')) {
      if (*said == "/exit") break;
      if (*said == "/clear") chat.clear();
      if (*said == "/clear") streams.console.report("the conversation begins anew");
      if (*said == "/help") streams.console.report(kHelp);
      if (*said == "/clear" || *said == "/help") continue;
      if (said->find_first_of(" \n/", 1) == said->npos) {
        streams.console.report(fmt::format("there is no {}; /help lists what there is", *said));
        continue;
      }
    }
    const InterruptGuard interrupt;
    TRY(chat.answer(std::move(*said), stops, interrupt));
    // A person ended one answer and may ask on; a pipe's reader wants no more.
    if (interrupt.interrupted() && !streams.in_is_terminal) return true;
  }
  return false;
}

}  // namespace

Result<Outcome> chat(const Context& context) {
  const auto start = Clock::now();
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/true));
  engine::ChatFormat format = TRY(engine::ChatFormat::load(session.folder()));
  TRY(check_recommended(context.options, session.config().sampling));
  session.add_stop(format.end_token(session.tokenizer()));
  const std::vector<std::string> stops = TRY(stop_texts(context.options));
  engine::SamplingParams sampling = sampling_params(context.options, session.config().sampling);
  sampling.logit_bias = TRY(logit_biases(context.options));
  TRY(session.start({.extended_sampling = sampling.adjusts_logits(), .run_ahead = true}));
  context.streams.console.line(ready(session, Clock::now() - start));
  if (context.streams.in_is_terminal) {
    context.streams.console.line(
        "Ctrl-C ends an answer, Ctrl-D the conversation; /help tells more");
  }
  Chat chat(context, session, std::move(format), std::move(sampling));
  const bool interrupted = TRY(converse(context, chat, stops));
  TRY(session.finish());
  return interrupted ? Outcome::interrupted : Outcome::success;
}

}  // namespace braid::cli
