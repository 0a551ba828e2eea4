// braid chat: a conversation, line by line.
#include "engine/chat.h"

#include <string>

#include "cli/commands.h"
#include "cli/generation_options.h"
#include "start/session.h"

namespace braid::cli {
namespace {

// The next line of the user's; nothing at the end. Empty lines say nothing and are skipped.
std::optional<std::string> next_turn(Streams& streams) {
  std::string line;
  while (true) {
    if (streams.in_is_terminal) streams.console.transient("> ");
    if (!std::getline(streams.in, line)) return std::nullopt;
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) return line;
  }
}

class Chat {
 public:
  Chat(const Context& context, start::Session& session, engine::ChatFormat format)
      : context_(context), session_(session), format_(std::move(format)) {
    const ParsedOptions& options = context.options;
    if (options.has("system")) history_.push_back({"system", options.text("system")});
  }

  // One turn: what the user said, and the model's answer to it.
  Status answer(std::string said, const std::vector<std::string>& stops,
                const InterruptGuard& interrupt) {
    const ParsedOptions& options = context_.options;
    history_.push_back({"user", std::move(said)});
    engine::TextRequest request{.prompt = TRY(format_.encode(session_.tokenizer(), history_)),
                                .sampling = sampling_params(options, session_.config().sampling),
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
  // Nothing of a conversation is dropped silently: it ends here.
  Status too_long(const Error& error) const {
    Error out = error;
    return std::move(out)
        .with("messages", history_.size())
        .remedy(
            "The conversation is full: start a new one, lower --max-tokens, or raise "
            "--context-length if the model allows.");
  }

  const Context& context_;
  start::Session& session_;
  engine::ChatFormat format_;
  std::vector<engine::ChatMessage> history_;
};

}  // namespace

Result<Outcome> chat(const Context& context) {
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/true));
  engine::ChatFormat format = TRY(engine::ChatFormat::load(session.folder()));
  TRY(check_recommended(context.options, session.config().sampling));
  session.add_stop(format.end_token(session.tokenizer()));
  const std::vector<std::string> stops = TRY(stop_texts(context.options));
  TRY(session.start({.run_ahead = true}));
  if (context.streams.in_is_terminal) {
    context.streams.console.line("Ctrl-C ends an answer, Ctrl-D the conversation");
  }
  Chat chat(context, session, std::move(format));
  bool interrupted = false;
  while (!interrupted) {
    const std::optional<std::string> said = next_turn(context.streams);
    if (!said) break;
    const InterruptGuard interrupt;
    TRY(chat.answer(*said, stops, interrupt));
    // A person ended one answer and may ask on; a pipe's reader wants no more.
    interrupted = interrupt.interrupted() && !context.streams.in_is_terminal;
  }
  TRY(session.finish());
  return interrupted ? Outcome::interrupted : Outcome::success;
}

}  // namespace braid::cli
