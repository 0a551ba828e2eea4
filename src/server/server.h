// Server: OpenAI's interface to an engine, from before the model is there until the last answer has
// been sent.
//
//   listen() ── loading ── run(): ready ── signal: draining ── the answers are sent, or time is up
//                                     └─── a step fails: failed
//
// One thread does all that has to do with clients (http_server.h); run() is the engine's.
#pragma once

#include <atomic>
#include <future>
#include <map>

#include "base/json.h"
#include "base/log.h"
#include "server/access.h"
#include "server/generations.h"
#include "server/http_server.h"

namespace braid::server {

struct ServerOptions {
  HttpOptions http;
  std::vector<std::string> api_keys;  // none: everybody may ask
  std::vector<std::string> allow_origins;
  std::string metrics_prefix = "braid:";
  double drain_seconds = 60;  // for the answers that are under way when a signal comes
  double step_seconds = 300;  // a step that takes longer hangs
  std::string version;
  Json info = Json::object();  // what /server_info says of the options
};

class Server {
 public:
  // Binds the address, and answers from now on: /health says what `console` does. `on_signal` ends
  // the process when SIGTERM or SIGINT comes before run(), or a second time.
  static Result<std::unique_ptr<Server>> listen(ServerOptions options, Console& console,
                                                std::function<void(int signal)> on_signal);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const std::string& address() const { return http_->address(); }
  int port() const { return http_->port(); }

  // Answers with this model until a signal comes, or finish(), and all answers are sent. Runs the
  // engine on the calling thread. The error of the engine, which all clients have got then.
  Status run(engine::Engine& engine, std::shared_ptr<const ServedModel> model,
             engine::Service::Watch watch = nullptr);
  // From any thread: what SIGTERM does.
  void finish();

 private:
  enum class State { loading, ready, draining, failed };
  using Handler = void (Server::*)(const std::shared_ptr<Exchange>& exchange);
  struct Route {
    std::string_view method;
    Handler handler;
    bool open = false;  // to those without a key
  };
  static const std::map<std::string_view, Route>& routes();

  Server(ServerOptions options, Console& console, std::function<void(int)> on_signal);
  void serve();

  // All that follows on the server's thread.
  void take(const std::shared_ptr<Exchange>& exchange);
  void take_signal(int signal);
  void drain();
  void end();
  void every_second();
  void say_status();
  void take_events(const engine::ServiceEvents& events);

  // Why answers can't be made now; nothing where they can.
  std::optional<ApiError> unready() const;
  void health(const std::shared_ptr<Exchange>& exchange);
  void live(const std::shared_ptr<Exchange>& exchange);
  void version(const std::shared_ptr<Exchange>& exchange);
  void server_info(const std::shared_ptr<Exchange>& exchange);
  void metrics(const std::shared_ptr<Exchange>& exchange);
  void models(const std::shared_ptr<Exchange>& exchange);
  void one_model(const std::shared_ptr<Exchange>& exchange, std::string_view name);
  void completions(const std::shared_ptr<Exchange>& exchange);
  void chat_completions(const std::shared_ptr<Exchange>& exchange);
  void tokenize(const std::shared_ptr<Exchange>& exchange);
  void detokenize(const std::shared_ptr<Exchange>& exchange);

  // Whether the request may go on: its model is ready and its body is JSON; else it is answered.
  bool admit(const std::shared_ptr<Exchange>& exchange);
  using ReadRequest = Result<GenerationRequest> (*)(const Json& body, const ServedModel& model);
  void generate(const std::shared_ptr<Exchange>& exchange, ReadRequest read);
  using Answer = Result<Json> (*)(const Json& body, const ServedModel& model);
  void answer_with(const std::shared_ptr<Exchange>& exchange, Answer answer);

  const ServerOptions options_;
  Console& console_;
  const std::function<void(int)> on_signal_;
  const Access access_;
  const int64_t created_;  // seconds since 1970
  std::unique_ptr<HttpServer> http_;

  State state_ = State::loading;
  // From ready on.
  std::shared_ptr<const ServedModel> model_;
  std::unique_ptr<engine::Service> service_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Generations> generations_;

  Status failure_;
  std::promise<void> all_sent_;
  bool ended_ = false;
  Clock::time_point signalled_;  // when draining began, by a signal
  Clock::time_point next_status_;
  int64_t told_prompt_ = 0;  // tokens, in status lines before
  int64_t told_generated_ = 0;
};

}  // namespace braid::server
