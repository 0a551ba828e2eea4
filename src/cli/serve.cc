// braid serve: answers OpenAI's clients until a signal comes.
#include <csignal>
#include <cstdlib>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/run.h"
#include "engine/chat.h"
#include "server/server.h"
#include "start/session.h"

namespace braid::cli {
namespace {

// The lines of --api-key-file, and what was given directly.
Result<std::vector<std::string>> api_keys(const ParsedOptions& options) {
  std::vector<std::string> keys = options.texts("api-key");
  if (!options.has("api-key-file")) return keys;
  const std::string& path = options.text("api-key-file");
  const std::string text = TRY(read_file(path, int64_t{1} << 20));
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) keys.push_back(std::move(line));
    at = end + 1;
  }
  if (!keys.empty()) return keys;
  return Error(ErrorKind::usage, "the file has no key, so that everybody could ask")
      .with("--api-key-file", path)
      .remedy("Write a key into it, or leave it out.");
}

Json options_json(const ParsedOptions& options) {
  Json json = Json::object();
  for (const ParsedOptions::Shown& option : options.shown()) {
    json[std::string(option.name)] = {{"value", option.value ? Json(*option.value) : Json()},
                                      {"origin", option.origin}};
  }
  return {{"options", std::move(json)}};
}

Result<server::ServerOptions> server_options(const ParsedOptions& options, double step_seconds) {
  server::ServerOptions out;
  out.http.host = options.text("host");
  out.http.port = static_cast<int>(options.integer("port"));
  if (options.has("uds")) out.http.uds = options.text("uds");
  out.http.limits.connections = static_cast<size_t>(options.integer("max-connections"));
  out.api_keys = TRY(api_keys(options));
  out.allow_origins = options.texts("allow-origin");
  out.metrics_prefix = options.text("metrics-prefix");
  out.drain_seconds = options.number("drain-timeout");
  out.step_seconds = step_seconds;
  out.version = kVersion;
  out.info = options_json(options);
  return out;
}

// How long a rank may wait for another one, in a step.
double step_seconds(const start::Session& session) {
  return std::chrono::duration<double>(session.limits().worker.step_timeout).count();
}

// A signal before the model is there, or a second one.
void end_at_once(int signal, bool alone) {
  if (alone && signal == SIGTERM) std::_Exit(0);
  // Where there are other ranks, who has started them sees what this one dies of, and ends them.
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

Result<server::ServedModel> served_model(const ParsedOptions& options,
                                         const start::Session& session) {
  server::ServedModel model{.names = options.texts("served-model-name"),
                            .root = session.folder(),
                            .tokenizer = session.tokenizer(),
                            .recommended = session.config().sampling,
                            .vocab_size = session.config().vocab_size,
                            .context_length = session.context_length(),
                            .strict_fields = options.flag("strict-fields")};
  if (model.names.empty()) model.names.push_back(session.folder());
  for (const int64_t id : session.config().eos_token_ids) {
    model.stop_ids.push_back(static_cast<int32_t>(id));
  }
  // Many models have no template, and answer prompts alone.
  Result<text::ChatTemplate> chat = text::load_chat_template(session.folder());
  if (chat.ok()) {
    model.chat = *std::move(chat);
  } else if (chat.error().kind() != ErrorKind::not_found) {
    return chat.status();
  }
  return model;
}

}  // namespace

Result<Outcome> serve(const Context& context) {
  const ParsedOptions& options = context.options;
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/true));
  if (const auto format = engine::ChatFormat::load(session.folder()); format.ok()) {
    session.add_stop(format->end_token(session.tokenizer()));
  }
  const auto model =
      std::make_shared<const server::ServedModel>(TRY(served_model(options, session)));
  const bool alone = context.control == nullptr || context.control->size() == 1;
  const auto server = TRY(server::Server::listen(
      TRY(server_options(options, step_seconds(session))), context.streams.console,
      [alone](int signal) { end_at_once(signal, alone); }));
  context.streams.console.line(
      fmt::format("listening at {}; GET /health tells when the model is ready", server->address()));
  TRY(session.start({.max_running = options.integer("max-running-requests"), .run_ahead = true}));
  engine::Service::Watch watch;
  if (context.control != nullptr) watch = [&] { return context.control->poll(); };
  TRY(server->run(session.engine(), model, watch));
  TRY(session.finish());
  return Outcome::success;
}

}  // namespace braid::cli
