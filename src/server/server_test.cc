#include "server/server.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/text_generation.h"
#include "server/test_util.h"

namespace braid::server {
namespace {

using testing::events_of;
using testing::fairytale;
using testing::fairytale_engine;
using testing::RawClient;
using testing::server_engine_options;
using testing::StreamEvents;
using testing::TestServer;
using Answer = RawClient::Answer;

Json prompt(int seed, int max_tokens = 24, bool stream = false) {
  static const std::vector<std::string> kPrompts = {"Once upon a time", "The old king",
                                                    "In the dark forest", "A little girl said"};
  return {{"prompt", kPrompts[static_cast<size_t>(seed) % kPrompts.size()]},
          {"max_tokens", max_tokens},
          {"seed", seed},
          {"temperature", seed % 2 == 0 ? 0.0 : 1.0},
          {"stream", stream}};
}

bool soon(const std::function<bool()>& holds) {
  for (int i = 0; i < 1000 && !holds(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return holds();
}

// What the engine alone answers.
std::string alone(const Json& body) {
  const ServedModel model = fairytale();
  const auto engine = fairytale_engine(server_engine_options());
  const GenerationRequest request = read_completion(body, model).value();
  return engine::generate_text(*engine, model.tokenizer,
                               {.prompt = request.prompts[0],
                                .sampling = request.sampling,
                                .max_tokens = request.max_tokens,
                                .stops = request.stops},
                               [](std::string_view) { return true; })
      .value()
      .text;
}

TEST(ServerTest, CompletionsAreThoseOfTheEngineAlone) {
  TestServer server;
  server.start();
  for (int seed = 0; seed < 4; ++seed) {
    const std::string expected = alone(prompt(seed));
    const Answer whole = server.post("/v1/completions", prompt(seed));
    ASSERT_EQ(whole.status, 200) << whole.body;
    const Json json = whole.json();
    EXPECT_EQ(json["choices"][0]["text"], expected);
    EXPECT_EQ(json["object"], "text_completion");
    EXPECT_EQ(json["model"], "fairytale");
    EXPECT_TRUE(json["id"].get<std::string>().starts_with("cmpl-"));
    const Answer stream = server.post("/completions", prompt(seed, 24, true));
    EXPECT_TRUE(stream.has("Content-Type: text/event-stream"));
    const StreamEvents events = events_of(stream.body);
    EXPECT_TRUE(events.done);
    EXPECT_EQ(events.text(), expected);
    EXPECT_EQ(events.all.back()["choices"][0]["finish_reason"],
              json["choices"][0]["finish_reason"]);
  }
}

TEST(ServerTest, ChatsInBothForms) {
  TestServer server;
  server.start();
  Json body = {{"messages", {{{"role", "user"}, {"content", "Tell a tale."}}}},
               {"temperature", 0},
               {"max_tokens", 20}};
  const Json whole = server.post("/v1/chat/completions", body).json();
  EXPECT_EQ(whole["object"], "chat.completion");
  const Json& message = whole["choices"][0]["message"];
  EXPECT_EQ(message["role"], "assistant");
  EXPECT_FALSE(message["content"].get<std::string>().empty());
  const Json& usage = whole["usage"];
  EXPECT_EQ(usage["total_tokens"],
            usage["prompt_tokens"].get<int>() + usage["completion_tokens"].get<int>());
  EXPECT_EQ(usage["prompt_tokens_details"]["cached_tokens"], 0);

  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const StreamEvents events = events_of(server.post("/v1/chat/completions", body).body);
  EXPECT_TRUE(events.done);
  EXPECT_EQ(events.text(), message["content"]);
  const Json& role = events.all.front();
  EXPECT_EQ(role["object"], "chat.completion.chunk");
  EXPECT_EQ(role["choices"][0]["delta"], (Json{{"role", "assistant"}, {"content", ""}}));
  const Json& last = events.all.back();
  EXPECT_TRUE(last["choices"].empty());
  EXPECT_EQ(last["usage"], usage);
  for (size_t i = 0; i + 1 < events.all.size(); ++i) EXPECT_TRUE(events.all[i]["usage"].is_null());
  const Json& finish = events.all[events.all.size() - 2];
  EXPECT_EQ(finish["choices"][0]["finish_reason"], whole["choices"][0]["finish_reason"]);
  EXPECT_EQ(finish["choices"][0]["delta"], Json::object());
}

TEST(ServerTest, SeveralAnswersToSeveralPrompts) {
  TestServer server;
  server.start();
  const auto text = [&](const Json& body) {
    return server.post("/v1/completions", body).json()["choices"][0]["text"];
  };
  Json body = prompt(1);
  body["prompt"] = {"Once upon a time", "The old king"};
  body["n"] = 2;
  const Json json = server.post("/v1/completions", body).json();
  ASSERT_EQ(json["choices"].size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    Json one = prompt(1);
    one["prompt"] = body["prompt"][i / 2];
    one["seed"] = 1 + i % 2;
    EXPECT_EQ(json["choices"][i]["text"], text(one));
    EXPECT_EQ(json["choices"][i]["index"], i);
  }
  body["stream"] = true;
  const StreamEvents events = events_of(server.post("/v1/completions", body).body);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(events.text(i), json["choices"][i]["text"]);
}

TEST(ServerTest, EchoesAndStops) {
  TestServer server;
  server.start();
  const auto first = [&](const Json& more) {
    Json body = prompt(0);
    body.update(more);
    Json choice = server.post("/v1/completions", body).json()["choices"][0];
    body["stream"] = true;
    EXPECT_EQ(events_of(server.post("/v1/completions", body).body).text(), choice["text"]) << more;
    return choice;
  };
  const Json plain = first(Json::object());
  const auto text = plain["text"].get<std::string>();
  ASSERT_GT(text.size(), 12u);
  EXPECT_EQ(first({{"echo", true}})["text"], "Once upon a time" + text);
  EXPECT_EQ(first({{"echo", true}, {"max_tokens", 0}})["text"], "Once upon a time");
  const std::string stop = text.substr(6, 4);
  const Json stopped = first({{"stop", stop}});
  EXPECT_EQ(stopped["text"], text.substr(0, text.find(stop)));
  EXPECT_EQ(stopped["finish_reason"], "stop");
  EXPECT_EQ(first({{"stop", {stop}}, {"include_stop_str_in_output", true}})["text"],
            text.substr(0, text.find(stop) + stop.size()));

  const Json ids = first({{"return_token_ids", true}});
  const std::vector<int32_t> tokens = ids["token_ids"];
  EXPECT_EQ(tokens.size(), 24u);
  const Json by_token = first({{"stop_token_ids", {tokens[5]}}, {"return_token_ids", true}});
  EXPECT_EQ(by_token["finish_reason"], "stop");
  EXPECT_LE(by_token["token_ids"].size(), 6u);
}

TEST(ServerTest, PenaltiesAndBiasesChangeAnswers) {
  TestServer server;
  server.start();
  const auto ids = [&](const Json& more) {
    Json body = prompt(0);
    body["return_token_ids"] = true;
    body.update(more);
    const Answer answer = server.post("/v1/completions", body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json()["choices"][0]["token_ids"].get<std::vector<int32_t>>();
  };
  const std::vector<int32_t> plain = ids(Json::object());
  const std::vector<int32_t> biased = ids({{"logit_bias", {{std::to_string(plain[0]), -100}}}});
  EXPECT_NE(biased[0], plain[0]);
  EXPECT_EQ(ids({{"logit_bias", {{"77", 100}}}, {"max_tokens", 3}}), std::vector<int32_t>(3, 77));
  EXPECT_EQ(ids({{"temperature", 1}, {"min_p", 1}}), plain);
  const std::vector<int32_t> varied = ids({{"presence_penalty", 2}, {"frequency_penalty", 2}});
  EXPECT_NE(varied, plain);
}

TEST(ServerTest, LogProbabilitiesInBothForms) {
  TestServer server;
  server.start();
  Json body = prompt(0, 6);
  body["logprobs"] = 3;
  const Json choice = server.post("/v1/completions", body).json()["choices"][0];
  const Json& all = choice["logprobs"];
  ASSERT_EQ(all["tokens"].size(), 6u);
  std::string text;
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(all["text_offset"][i], text.size());
    text += all["tokens"][i].get<std::string>();
    const double chosen = all["token_logprobs"][i];
    EXPECT_LE(chosen, 0);
    EXPECT_EQ(all["top_logprobs"][i].size(), 3u);  // the likeliest one is what was chosen
    for (const auto& [token, logprob] : all["top_logprobs"][i].items()) EXPECT_LE(logprob, chosen);
  }
  EXPECT_EQ(choice["text"], text);

  body.erase("prompt");
  body["messages"] = {{{"role", "user"}, {"content", "Tell a tale."}}};
  body["logprobs"] = true;
  body["top_logprobs"] = 2;
  const Json whole = server.post("/v1/chat/completions", body).json()["choices"][0]["logprobs"];
  ASSERT_EQ(whole["content"].size(), 6u);
  EXPECT_EQ(whole["content"][0]["top_logprobs"].size(), 2u);
  EXPECT_EQ(whole["content"][0]["top_logprobs"][0]["token"], whole["content"][0]["token"]);
  body["stream"] = true;
  Json streamed = Json::array();
  for (const Json& event : events_of(server.post("/v1/chat/completions", body).body).all) {
    const Json& part = event["choices"][0]["logprobs"];
    if (!part.is_null()) {
      for (const Json& entry : part["content"]) streamed.push_back(entry);
    }
  }
  EXPECT_EQ(streamed, whole["content"]);
}

TEST(ServerTest, ManyStreamsAtOnceAreEachAsAlone) {
  constexpr int kStreams = 32;
  TestServer server;
  server.start();
  std::vector<std::string> expected;
  for (int i = 0; i < kStreams; ++i) {
    expected.push_back(server.post("/v1/completions", prompt(i)).json()["choices"][0]["text"]);
  }
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    clients.back()->send(
        TestServer::request("POST", "/v1/completions", prompt(i, 24, true).dump()));
  }
  for (int i = 0; i < kStreams; ++i) {
    const auto index = static_cast<size_t>(i);
    EXPECT_EQ(events_of(clients[index]->read_answer(60).body).text(), expected[index]) << i;
  }
}

// Whoever goes, and whenever: those who stay are not touched, and nothing is left behind.
TEST(ServerTest, ClientsThatGoAwayLeaveNothingBehind) {
  TestServer server;
  server.start();
  const std::string expected =
      server.post("/v1/completions", prompt(1, 60)).json()["choices"][0]["text"];
  std::mt19937_64 random(5);
  RawClient watched(server.port());
  constexpr int kGone = 40;
  for (int i = 0; i < kGone; ++i) {
    if (i % 10 == 0) {
      watched.send(TestServer::request("POST", "/v1/completions", prompt(1, 60, true).dump()));
    }
    RawClient client(server.port());
    client.send(
        TestServer::request("POST", "/v1/completions", prompt(i, 200, random() % 2 == 0).dump()));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 30));
    client.close();
    if (i % 10 == 9) {
      EXPECT_EQ(events_of(watched.read_answer(60).body).text(), expected);
    }
  }
  EXPECT_TRUE(soon([&] {
    return server.metric("braid:kv_cache_usage_perc") == 0 &&
           server.metric("braid:num_requests_running") == 0 &&
           server.metric("braid:num_requests_waiting") == 0;
  }));
}

TEST(ServerTest, MetricsAreTheClientsCounts) {
  TestServer server;
  server.start();
  int64_t prompts = 0;
  int64_t answers = 0;
  for (int i = 0; i < 6; ++i) {
    Json body = prompt(i, 5 + i);
    body["n"] = 1 + i % 2;
    body["ignore_eos"] = true;
    const Json usage = server.post("/v1/completions", body).json()["usage"];
    prompts += usage["prompt_tokens"].get<int64_t>();
    answers += usage["completion_tokens"].get<int64_t>();
  }
  EXPECT_EQ(server.metric("braid:prompt_tokens_total"), prompts);
  EXPECT_EQ(server.metric("braid:generation_tokens_total"), answers);
  const std::string text = server.get("/metrics").body;
  const std::string ended =
      R"(braid:request_success_total{finished_reason="length",model_name="fairytale"} 9)";
  EXPECT_NE(text.find(ended), text.npos) << text;
  EXPECT_EQ(server.metric("braid:time_to_first_token_seconds_count"), 9);
  EXPECT_EQ(server.metric("braid:inter_token_latency_seconds_count"), answers - 9);
  EXPECT_EQ(server.metric("braid:e2e_request_latency_seconds_count"), 9);
}

TEST(ServerTest, SmallEndpoints) {
  TestServer server;
  server.start();
  EXPECT_EQ(server.get("/health").json()["status"], "ready");
  EXPECT_EQ(server.get("/health/live").json()["status"], "live");
  EXPECT_EQ(server.get("/version").json()["version"], "test");
  EXPECT_EQ(server.get("/server_info").json()["version"], "test");
  const Json models = server.get("/v1/models").json();
  EXPECT_EQ(models["data"][1]["id"], "tale");
  EXPECT_EQ(models["data"][0]["max_model_len"], 256);
  EXPECT_EQ(server.get("/v1/models/tal%65").json()["id"], "tale");
  EXPECT_EQ(server.get("/v1/models/other").status, 404);
  const Json tokens = server.post("/tokenize", {{"prompt", "Once upon"}}).json();
  EXPECT_EQ(tokens["count"], tokens["tokens"].size());
  EXPECT_EQ(server.post("/detokenize", {{"tokens", tokens["tokens"]}}).json()["prompt"],
            "Once upon");
  const Json chat =
      server.post("/tokenize", {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}}).json();
  EXPECT_EQ(server.post("/detokenize", {{"tokens", chat["tokens"]}}).json()["content"],
            "<|user|>\nHi<|assistant|>");
  EXPECT_EQ(server.post("/detokenize", {{"tokens", {4096}}}).status, 400);
  EXPECT_EQ(server.post("/tokenize", Json::object()).status, 400);
}

TEST(ServerTest, ErrorsAreOpenAIs) {
  TestServer server;
  server.start();
  EXPECT_EQ(server.get("/nothing").status, 404);
  const Answer method = server.get("/v1/completions");
  EXPECT_EQ(method.status, 405);
  EXPECT_TRUE(method.has("Allow: POST, OPTIONS"));
  RawClient client(server.port());
  client.send("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(client.read_answer().status, 415);
  client.send(TestServer::request("POST", "/v1/completions", "{\"prompt\": "));
  EXPECT_EQ(client.read_answer().status, 400);
  client.send(TestServer::request("POST", "/v1/completions", "[1]"));
  EXPECT_EQ(client.read_answer().status, 400);
  client.send(TestServer::request("POST", "/v1/completions", "{\"prompt\": \"\xff\"}"));
  EXPECT_EQ(client.read_answer().status, 400);
  client.send(TestServer::request("POST", "/v1/completions", std::string(100000, '[')));
  EXPECT_EQ(client.read_answer().status, 400);
  const Answer other = server.post("/v1/completions", {{"model", "other"}, {"prompt", "x"}});
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(other.json()["error"]["code"], "model_not_found");
  const Answer hot = server.post("/v1/completions", {{"prompt", "x"}, {"temperature", 3}});
  EXPECT_EQ(hot.status, 400);
  EXPECT_EQ(hot.json()["error"]["param"], "temperature");
  EXPECT_EQ(hot.json()["error"]["type"], "invalid_request_error");
}

TEST(ServerTest, NamesRequestsAndWhatItIgnores) {
  TestServer server;
  server.start();
  const Answer answer = server.post(
      "/v1/completions", {{"prompt", "x"}, {"max_tokens", 1}, {"surprise", 1}, {"\n", 1}},
      "X-Request-Id: my-id_1.2:3\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.has("X-Request-Id: my-id_1.2:3\r\n"));
  EXPECT_TRUE(answer.has("X-Braid-Ignored: surprise\r\n"));
  EXPECT_FALSE(server.get("/health", "X-Request-Id: <b>\r\n").has("<b>"));
}

TEST(ServerTest, StrictFieldsAreRefused) {
  TestServer server;
  server.start(server_engine_options(), /*strict=*/true);
  EXPECT_EQ(server.post("/v1/completions", {{"prompt", "x"}, {"surprise", 1}}).status, 400);
  EXPECT_EQ(server.post("/tokenize", {{"prompt", "x"}, {"surprise", 1}}).status, 400);
}

TEST(ServerTest, AsksForKeysAndKnowsOrigins) {
  TestServer server({.api_keys = {"one", "two"}, .allow_origins = {"https://a.example"}});
  server.start();
  EXPECT_EQ(server.get("/v1/models").status, 401);
  EXPECT_EQ(server.get("/v1/models", "Authorization: Bearer three\r\n").status, 401);
  EXPECT_EQ(server.get("/v1/models", "Authorization: Basic two\r\n").status, 401);
  EXPECT_EQ(server.get("/v1/models", "Authorization: bearer two\r\n").status, 200);
  EXPECT_EQ(server.get("/health").status, 200);
  EXPECT_EQ(server.get("/metrics").status, 200);
  EXPECT_TRUE(server.get("/health", "Origin: https://a.example\r\n")
                  .has("Access-Control-Allow-Origin: https://a.example\r\n"));
  EXPECT_FALSE(server.get("/health", "Origin: https://b.example\r\n").has("Access-Control"));
  RawClient client(server.port());
  client.send(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n");
  const Answer preflight = client.read_answer();
  EXPECT_EQ(preflight.status, 204);
  EXPECT_TRUE(preflight.has("Access-Control-Allow-Methods: POST\r\n"));
}

TEST(ServerTest, SaysHowFarLoadingHasCome) {
  TestServer server;
  server.console().set_activity({.stage = "loading the weights", .share = 0.25, .seconds_left = 3});
  const Answer health = server.get("/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_TRUE(health.has("Retry-After: "));
  EXPECT_EQ(health.json(), (Json{{"status", "loading"},
                                 {"stage", "loading the weights"},
                                 {"share", 0.25},
                                 {"seconds_left", 3}}));
  EXPECT_EQ(server.get("/health/live").status, 200);
  const Answer answer = server.post("/v1/completions", {{"prompt", "x"}});
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.json()["error"]["code"], "loading");
  EXPECT_EQ(server.get("/v1/models").status, 503);
  EXPECT_EQ(server.get("/metrics").status, 200);
}

TEST(ServerTest, DrainsBeforeItEnds) {
  TestServer server;
  server.start();
  const std::string expected =
      server.post("/v1/completions", prompt(0, 120)).json()["choices"][0]["text"];
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    clients.back()->send(
        TestServer::request("POST", "/v1/completions", prompt(0, 120, true).dump()));
    ASSERT_TRUE(clients.back()->read_until("data: "));
  }
  RawClient kept(server.port());
  kept.send(TestServer::request("GET", "/health", ""));
  EXPECT_EQ(kept.read_answer().status, 200);
  server.server().finish();
  kept.send(TestServer::request("GET", "/health", ""));
  EXPECT_EQ(kept.read_answer().json()["status"], "draining");
  kept.send(TestServer::request("POST", "/v1/completions", prompt(0).dump()));
  EXPECT_EQ(kept.read_answer().json()["error"]["code"], "draining");
  EXPECT_TRUE(server.wait().ok());
  for (const auto& client : clients) {
    EXPECT_EQ(events_of(client->read_answer().body).text(), expected);
  }
}

TEST(ServerTest, DrainingHasAnEnd) {
  TestServer server({.drain_seconds = 0.05});
  server.start();
  RawClient client(server.port());
  Json body = prompt(0, 240, true);
  body["ignore_eos"] = true;
  body["n"] = 16;
  client.send(TestServer::request("POST", "/v1/completions", body.dump()));
  ASSERT_TRUE(client.read_until("data: "));
  EXPECT_TRUE(server.finish().ok());
  const StreamEvents events = events_of(client.read_answer().body);
  EXPECT_TRUE(events.done);
  EXPECT_EQ(events.all.back()["error"]["code"], "draining");
}

TEST(ServerTest, AFailedEngineEndsItsStreams) {
  TestServer server;
  start::EngineOptions options = server_engine_options();
  options.worker.fault = {.kind = flow::FaultKind::fail, .step = 20, .op = 3};
  server.start(options);
  RawClient stream(server.port());
  RawClient whole(server.port());
  stream.send(TestServer::request("POST", "/v1/completions", prompt(0, 200, true).dump()));
  whole.send(TestServer::request("POST", "/v1/completions", prompt(0, 200).dump()));
  const StreamEvents events = events_of(stream.read_answer().body);
  EXPECT_TRUE(events.done);
  EXPECT_EQ(events.all.back()["error"]["type"], "server_error");
  EXPECT_EQ(whole.read_answer().status, 500);
  EXPECT_FALSE(server.wait().ok());
}

}  // namespace
}  // namespace braid::server
