// For tests: the bundled model, its engine, and a server of it.
#pragma once

#include <gtest/gtest.h>

#include <thread>

#include "model/checkpoint_source.h"
#include "model/config.h"
#include "server/server.h"
#include "server/socket_test_util.h"
#include "start/resolve.h"

namespace braid::server::testing {

inline std::string fairytale_folder() {
  return std::string(BRAID_SOURCE_DIR) + "/models/fairytale-moe";
}

inline ServedModel fairytale(bool strict = false) {
  const model::ModelConfig config = model::load_config(fairytale_folder()).value();
  ServedModel model{.names = {"fairytale", "tale"},
                    .root = fairytale_folder(),
                    .tokenizer = text::Tokenizer::load(fairytale_folder()).value(),
                    .chat = text::load_chat_template(fairytale_folder()).value(),
                    .recommended = config.sampling,
                    .vocab_size = config.vocab_size,
                    .context_length = 256,
                    .strict_fields = strict};
  for (const int64_t id : config.eos_token_ids) model.stop_ids.push_back(static_cast<int32_t>(id));
  return model;
}

inline start::EngineOptions server_engine_options() {
  start::EngineOptions options{.context_length = 256, .max_running = 16};
  options.num_blocks = 512;
  options.run_ahead = true;
  return options;
}

inline std::unique_ptr<engine::Engine> fairytale_engine(const start::EngineOptions& options) {
  const model::ModelConfig config = model::load_config(fairytale_folder()).value();
  auto engine = std::move(start::create_engine(config, options)).value();
  const model::CheckpointSource source(model::Checkpoint::open(fairytale_folder()).value(),
                                       config.quantization);
  EXPECT_TRUE(engine->load(source).ok());
  return engine;
}

// A server that listens on a port of its own, and answers once start() has been called.
class TestServer {
 public:
  explicit TestServer(ServerOptions options = {})
      : console_({.write = [this](std::string_view text) {
          const std::lock_guard lock(mutex_);
          said_ += text;
        }}) {
    options.http.port = 0;
    options.version = "test";
    server_ = std::move(Server::listen(std::move(options), console_, nullptr)).value();
  }
  ~TestServer() {
    if (!thread_.joinable()) return;
    EXPECT_TRUE(finish().ok());
  }

  void start(const start::EngineOptions& options = server_engine_options(), bool strict = false) {
    engine_ = fairytale_engine(options);
    auto model = std::make_shared<const ServedModel>(fairytale(strict));
    thread_ = std::thread([this, model] { ended_ = server_->run(*engine_, model); });
    while (get("/health").status != 200) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  // Lets it end in good order; what run() returned.
  Status finish() {
    server_->finish();
    return wait();
  }
  Status wait() {
    thread_.join();
    return ended_;
  }

  Server& server() { return *server_; }
  Console& console() { return console_; }
  int port() const { return server_->port(); }

  using Answer = RawClient::Answer;
  static std::string request(const std::string& method, const std::string& path,
                             const std::string& body, const std::string& fields = {}) {
    return fmt::format("{} {} HTTP/1.1\r\nHost: a\r\n{}Content-Length: {}\r\n{}\r\n{}", method,
                       path, method == "POST" ? "Content-Type: application/json\r\n" : "",
                       body.size(), fields, body);
  }
  Answer get(const std::string& path, const std::string& fields = {}) const {
    RawClient client(port());
    client.send(request("GET", path, "", fields));
    return client.read_answer();
  }
  Answer post(const std::string& path, const Json& body, const std::string& fields = {}) const {
    RawClient client(port());
    client.send(request("POST", path, body.dump(), fields));
    return client.read_answer(60);
  }
  // The value of a metric; -1 where it isn't there.
  double metric(const std::string& name) const {
    const std::string text = get("/metrics").body;
    const size_t at = text.find("\n" + name);
    if (at == text.npos) return -1;
    return std::strtod(text.c_str() + text.find(' ', text.find('}', at)), nullptr);
  }

 private:
  std::mutex mutex_;
  std::string said_;
  Console console_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  Status ended_;
};

// The events of a stream: their data, without the last "[DONE]".
struct StreamEvents {
  std::vector<Json> all;
  bool done = false;

  // The text of one answer, joined.
  std::string text(size_t choice = 0) const {
    std::string text;
    for (const Json& event : all) {
      for (const Json& part : event.value("choices", Json::array())) {
        if (part["index"] != choice) continue;
        text +=
            part.contains("delta") ? part["delta"].value("content", "") : part.value("text", "");
      }
    }
    return text;
  }
};

inline StreamEvents events_of(const std::string& body) {
  StreamEvents events;
  constexpr std::string_view kData = "data: ";
  for (size_t at = 0; at < body.size();) {
    const size_t end = body.find("\n\n", at);
    if (end == body.npos) break;
    const std::string event = body.substr(at, end - at);
    at = end + 2;
    if (event == "data: [DONE]") {
      events.done = true;
    } else if (event.starts_with(kData)) {
      events.all.push_back(Json::parse(event.substr(kData.size())));
    }
  }
  return events;
}

}  // namespace braid::server::testing
