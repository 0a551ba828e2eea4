#include "server/server.h"

#include <csignal>
#include <ctime>

namespace braid::server {
namespace {

constexpr std::chrono::seconds kStatusInterval{10};
// One wish to end may come as several signals: a service manager's to all processes, and a
// launcher's to this one.
constexpr std::chrono::milliseconds kOneWish{300};
// For connections to close, once all answers are sent.
constexpr double kGoodbyeSeconds = 2;

ApiError unavailable(std::string_view code, std::string message) {
  return {503, Error(ErrorKind::fault, std::move(message)).with(kCode, code)};
}

}  // namespace

Result<std::unique_ptr<Server>> Server::listen(ServerOptions options, Console& console,
                                               std::function<void(int)> on_signal) {
  std::unique_ptr<HttpServer> http = TRY(HttpServer::listen(options.http));
  std::unique_ptr<Server> server(new Server(std::move(options), console, std::move(on_signal)));
  server->http_ = std::move(http);
  server->serve();
  return server;
}

Server::Server(ServerOptions options, Console& console, std::function<void(int)> on_signal)
    : options_(std::move(options)),
      console_(console),
      on_signal_(std::move(on_signal)),
      access_(options_.api_keys, options_.allow_origins),
      created_(std::time(nullptr)) {}

// Exchanges that are left use connections, which the HTTP server ends.
Server::~Server() {
  http_->stop();
  generations_.reset();
}

void Server::serve() {
  HttpServer::Handlers handlers{
      .request = [this](const std::shared_ptr<Exchange>& exchange) { take(exchange); },
      .every_second = [this] { every_second(); },
      .signal = nullptr};
  if (on_signal_) handlers.signal = [this](int signal) { take_signal(signal); };
  http_->serve(std::move(handlers));
}

Status Server::run(engine::Engine& engine, std::shared_ptr<const ServedModel> model,
                   engine::Service::Watch watch) {
  auto sink = [this](engine::ServiceEvents events) {
    // A copyable task, as std::function wants it.
    auto shared = std::make_shared<const engine::ServiceEvents>(std::move(events));
    http_->post([this, shared] { take_events(*shared); });
  };
  service_ = std::make_unique<engine::Service>(engine, sink, std::move(watch));
  metrics_ = std::make_unique<Metrics>(options_.metrics_prefix, model->names.front());
  metrics_->take(engine.stats());
  generations_ = std::make_unique<Generations>(*service_, *metrics_);
  http_->post([this, model] {
    model_ = model;
    state_ = State::ready;
    next_status_ = Clock::now() + kStatusInterval;
    console_.line(fmt::format("ready: {} at {}", model->names.front(), address()));
  });
  const Status done = service_->run();
  if (!done.ok()) http_->post([this] { end(); });
  all_sent_.get_future().wait_for(std::chrono::duration<double>(kGoodbyeSeconds));
  http_->stop();
  return done;
}

void Server::finish() {
  http_->post([this] { drain(); });
}

void Server::take_signal(int signal) {
  const auto now = Clock::now();
  if (state_ != State::ready) {
    if (state_ != State::draining || now - signalled_ > kOneWish) on_signal_(signal);
    return;
  }
  signalled_ = now;
  console_.line(fmt::format("{}: no new requests; {} are being answered", strsignal(signal),
                            generations_->size()));
  drain();
}

void Server::drain() {
  if (state_ != State::ready) return;
  state_ = State::draining;
  generations_->when_empty([this] { end(); });
  http_->post_after(options_.drain_seconds, [this] {
    generations_->fail(unavailable("draining", "the server ends, and its time is up"));
    end();
  });
}

// No answer is under way: what is left is that clients read the last ones.
void Server::end() {
  if (std::exchange(ended_, true)) return;
  http_->finish([this] { all_sent_.set_value(); });
  service_->stop();
}

void Server::take_events(const engine::ServiceEvents& events) {
  generations_->take(events);
  if (events.failure.ok()) return;
  failure_ = events.failure;
  state_ = State::failed;
  generations_->fail({500, failure_.error()});
}

void Server::every_second() {
  if (state_ == State::loading) return;
  const auto now = Clock::now();
  generations_->keep_alive(now);
  if (now < next_status_) return;
  next_status_ = now + kStatusInterval;
  say_status();
}

// Nothing where nothing has happened.
void Server::say_status() {
  const int64_t prompt = metrics_->prompt_tokens() - told_prompt_;
  const int64_t generated = metrics_->generated_tokens() - told_generated_;
  const engine::EngineStats& stats = metrics_->stats();
  if (prompt + generated + stats.running + stats.waiting == 0) return;
  told_prompt_ += prompt;
  told_generated_ += generated;
  const double seconds = std::chrono::duration<double>(kStatusInterval).count();
  const double used = static_cast<double>(stats.blocks_used) /
                      static_cast<double>(std::max<int64_t>(stats.blocks, 1));
  console_.line(fmt::format(
      "running {}, waiting {}, KV cache {:.0f} %, prompts {:.1f} tokens/s, answers {:.1f} tokens/s",
      stats.running, stats.waiting, 100 * used, static_cast<double>(prompt) / seconds,
      static_cast<double>(generated) / seconds));
}

std::optional<ApiError> Server::unready() const {
  switch (state_) {
    case State::loading: return unavailable("loading", "the model is being loaded");
    case State::ready: return std::nullopt;
    case State::draining: return unavailable("draining", "the server takes no new requests");
    case State::failed:
      return unavailable("failed", "the engine has failed: " + failure_.to_string());
  }
  return std::nullopt;
}

}  // namespace braid::server
