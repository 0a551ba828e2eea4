#include "server/generation_request.h"

#include <gtest/gtest.h>

#include "server/test_util.h"

namespace braid::server {
namespace {

using testing::fairytale;

const ServedModel& model() {
  static const ServedModel loaded = fairytale();
  return loaded;
}

Json chat(const Json& more = Json::object()) {
  Json body = {{"messages", {{{"role", "user"}, {"content", "Tell a tale."}}}}};
  body.update(more);
  return body;
}

Json completion(const Json& more = Json::object()) {
  Json body = {{"prompt", "Once upon a time"}};
  body.update(more);
  return body;
}

TEST(GenerationRequestTest, Defaults) {
  const GenerationRequest read = read_completion(completion(), model()).value();
  EXPECT_EQ(read.prompts[0], model().tokenizer.encode("Once upon a time", true).value());
  EXPECT_EQ(read.max_tokens, 16);
  EXPECT_EQ(read.n, 1);
  EXPECT_FLOAT_EQ(read.sampling.temperature, 0.8f);  // generation_config.json
  EXPECT_FLOAT_EQ(read.sampling.top_p, 0.95f);
  EXPECT_EQ(read.sampling.top_k, 0);
  EXPECT_EQ(read.stop_ids, model().stop_ids);
  EXPECT_FALSE(read.seeded || read.stream || read.chat || read.returns_ids);
  EXPECT_EQ(read.model, "fairytale");

  const GenerationRequest talk = read_chat(chat(), model()).value();
  EXPECT_EQ(talk.prompts[0],
            model().tokenizer.encode("<|user|>\nTell a tale.<|assistant|>", false).value());
  EXPECT_EQ(talk.max_tokens, 256 - std::ssize(talk.prompts[0]));
}

TEST(GenerationRequestTest, AllFields) {
  const GenerationRequest read =
      read_completion(completion({{"model", "tale"},
                                  {"max_tokens", 7},
                                  {"temperature", 0},
                                  {"top_p", 0.5},
                                  {"top_k", -1},
                                  {"seed", -1},
                                  {"n", 2},
                                  {"best_of", 2},
                                  {"stop", {"a", "b"}},
                                  {"stop_token_ids", {5, 6}},
                                  {"ignore_eos", true},
                                  {"include_stop_str_in_output", true},
                                  {"skip_special_tokens", false},
                                  {"echo", true},
                                  {"stream", true},
                                  {"stream_options",
                                   {{"include_usage", true}, {"continuous_usage_stats", true}}},
                                  {"return_token_ids", true},
                                  {"truncate_prompt_tokens", 2},
                                  {"presence_penalty", 0},
                                  {"logit_bias", Json::object()},
                                  {"logprobs", nullptr},
                                  {"response_format", {{"type", "text"}}},
                                  {"user", "u"},
                                  {"metadata", {{"a", "b"}}},
                                  {"store", false},
                                  {"service_tier", "auto"},
                                  {"surprise", 1}}),
                      model())
          .value();
  EXPECT_EQ(read.model, "tale");
  EXPECT_EQ(read.max_tokens, 7);
  EXPECT_EQ(read.sampling.temperature, 0);
  EXPECT_EQ(read.sampling.top_p, 0.5);
  EXPECT_EQ(read.sampling.top_k, 0);
  EXPECT_EQ(read.sampling.seed, UINT64_MAX);
  EXPECT_EQ(read.stop_ids, (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(read.stops, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(read.prompts[0].size(), 2u);
  EXPECT_EQ(read.echo, std::vector<std::string>{"Once upon a time"});
  EXPECT_TRUE(read.includes_stop && read.stream && read.stream_usage && read.continuous_usage &&
              read.returns_ids && read.seeded && !read.skips_special);
  EXPECT_EQ(read.ignored, std::vector<std::string>{"surprise"});
}

TEST(GenerationRequestTest, FormsOfPrompts) {
  const auto prompts = [](const Json& prompt) {
    return read_completion({{"prompt", prompt}}, model()).value().prompts;
  };
  using Prompts = std::vector<std::vector<int32_t>>;
  const std::vector<int32_t> once = model().tokenizer.encode("Once", true).value();
  EXPECT_EQ(prompts("Once"), (Prompts{once}));
  EXPECT_EQ(prompts({"Once", "Once"}), (Prompts{once, once}));
  EXPECT_EQ(prompts({1, 2, 3}), (Prompts{{1, 2, 3}}));
  EXPECT_EQ(prompts(Json::array({{1, 2}, {3}})), (Prompts{{1, 2}, {3}}));
}

struct BadCase {
  Json more;
  std::string param;
};

std::string param_of(const Result<GenerationRequest>& read) {
  if (read.ok()) return "accepted";
  EXPECT_TRUE(read.error().kind() == ErrorKind::usage ||
              read.error().kind() == ErrorKind::not_found);
  return to_json(ApiError{400, read.error()})["error"].value("param", "none");
}

// One beyond each bound, and each wrong type. Null is as if it were absent.
TEST(GenerationRequestTest, EveryFieldIsChecked) {
  const std::vector<std::string> seventeen(17, "x");
  const std::vector<BadCase> table = {
      {{{"model", "other"}}, "model"},
      {{{"model", 1}}, "model"},
      {{{"temperature", -0.01}}, "temperature"},
      {{{"temperature", 2.01}}, "temperature"},
      {{{"temperature", "1"}}, "temperature"},
      {{{"top_p", 0}}, "top_p"},
      {{{"top_p", 1.01}}, "top_p"},
      {{{"top_k", -2}}, "top_k"},
      {{{"top_k", 1.5}}, "top_k"},
      {{{"top_k", int64_t{1} << 31}}, "top_k"},
      {{{"seed", uint64_t{1} << 63}}, "seed"},
      {{{"seed", "7"}}, "seed"},
      {{{"n", 0}}, "n"},
      {{{"n", 129}}, "n"},
      {{{"n", 2}, {"best_of", 3}}, "best_of"},
      {{{"max_tokens", -1}}, "max_tokens"},
      {{{"max_tokens", true}}, "max_tokens"},
      {{{"stop", ""}}, "stop"},
      {{{"stop", {"a", ""}}}, "stop"},
      {{{"stop", 1}}, "stop"},
      {{{"stop", seventeen}}, "stop"},
      {{{"stop_token_ids", {-1}}}, "stop_token_ids"},
      {{{"stop_token_ids", {4096}}}, "stop_token_ids"},
      {{{"stop_token_ids", 5}}, "stop_token_ids"},
      {{{"ignore_eos", 1}}, "ignore_eos"},
      {{{"include_stop_str_in_output", "x"}}, "include_stop_str_in_output"},
      {{{"stream", 1}}, "stream"},
      {{{"stream_options", Json::object()}}, "stream_options"},
      {{{"stream", true}, {"stream_options", 1}}, "stream_options"},
      {{{"stream", true}, {"stream_options", {{"include_usage", 1}}}},
       "stream_options.include_usage"},
      {{{"return_token_ids", 1}}, "return_token_ids"},
      {{{"truncate_prompt_tokens", 0}}, "truncate_prompt_tokens"},
      {{{"truncate_prompt_tokens", -2}}, "truncate_prompt_tokens"},
      {{{"tools", {{{"type", "function"}}}}}, "tools"},
      {{{"tool_choice", "auto"}}, "tool_choice"},
      {{{"parallel_tool_calls", true}}, "parallel_tool_calls"},
      {{{"response_format", {{"type", "json_object"}}}}, "response_format"},
      {{{"min_p", 1.01}}, "min_p"},
      {{{"min_p", -0.01}}, "min_p"},
      {{{"presence_penalty", 2.01}}, "presence_penalty"},
      {{{"frequency_penalty", -2.01}}, "frequency_penalty"},
      {{{"repetition_penalty", 0}}, "repetition_penalty"},
      {{{"repetition_penalty", 101}}, "repetition_penalty"},
      {{{"logit_bias", 1}}, "logit_bias"},
      {{{"logit_bias", {{"4096", 1}}}}, "logit_bias"},
      {{{"logit_bias", {{"x", 1}}}}, "logit_bias"},
      {{{"logit_bias", {{"5", 101}}}}, "logit_bias.5"},
      {{{"logprobs", 21}}, "logprobs"},
      {{{"logprobs", "x"}}, "logprobs"},
      {{{"top_logprobs", 1}}, "top_logprobs"},
      {{{"prompt_logprobs", 1}}, "prompt_logprobs"},
      {{{"min_tokens", 1}}, "min_tokens"},
      {{{"priority", 1}}, "priority"},
      {{{"cache_salt", "x"}}, "cache_salt"},
      {{{"timeout", 1}}, "timeout"},
      {{{"max_tokens", 256}}, "prompt"},
  };
  for (const BadCase& row : table) {
    EXPECT_EQ(param_of(read_completion(completion(row.more), model())), row.param) << row.more;
    Json nulls = row.more;
    for (auto& [name, value] : nulls.items()) value = nullptr;
    EXPECT_EQ(param_of(read_completion(completion(nulls), model())), "accepted") << row.more;
    if (row.param == "prompt") continue;
    EXPECT_EQ(param_of(read_chat(chat(row.more), model())),
              row.param == "best_of" ? "best_of" : row.param)
        << row.more;
  }
}

TEST(GenerationRequestTest, PromptsAreChecked) {
  for (const Json& prompt :
       {Json(), Json(1), Json::array(), Json({1, -1}), Json({1, 4096}), Json({1, 2.5}),
        Json({"a", 1}), Json::array({{1}, {4096}}), Json::object(), Json::array({nullptr}),
        Json(std::vector<std::string>(1025, "a")), Json(std::vector<int>(241, 1))}) {
    EXPECT_EQ(param_of(read_completion({{"prompt", prompt}}, model())), "prompt") << prompt;
  }
  EXPECT_EQ(param_of(read_completion({{"prompt", std::vector<std::string>(9, "a")}, {"n", 128}},
                                     model())),
            "n");
  EXPECT_EQ(param_of(read_completion({{"prompt", std::vector<int>(240, 1)}}, model())), "accepted");
}

TEST(GenerationRequestTest, MessagesAreChecked) {
  const auto messages = [](const Json& list, const Json& more = Json::object()) {
    Json body = {{"messages", list}};
    body.update(more);
    return param_of(read_chat(body, model()));
  };
  const Json user = {{"role", "user"}, {"content", "Hi"}};
  EXPECT_EQ(messages(nullptr), "messages");
  EXPECT_EQ(messages(Json::array()), "messages");
  EXPECT_EQ(messages("Hi"), "messages");
  EXPECT_EQ(messages(Json::array({1})), "messages[0]");
  EXPECT_EQ(messages(Json::array({{{"content", "Hi"}}})), "messages[0].role");
  EXPECT_EQ(messages(Json::array({{{"role", 1}, {"content", "Hi"}}})), "messages[0].role");
  EXPECT_EQ(messages(Json::array({user, {{"role", "user"}, {"content", 1}}})),
            "messages[1].content");
  const auto part = [](const Json& content) {
    return Json::array({{{"role", "user"}, {"content", Json::array({content})}}});
  };
  EXPECT_EQ(messages(part({{"type", "image_url"}, {"image_url", {{"url", "x"}}}})),
            "messages[0].content[0].type");
  EXPECT_EQ(messages(part({{"type", "text"}})), "messages[0].content[0].text");
  EXPECT_EQ(messages(part(1)), "messages[0].content[0]");
  EXPECT_EQ(messages(part({{"type", "text"}, {"text", "Hi"}})), "accepted");
  EXPECT_EQ(messages(Json::array({{{"role", "assistant"}, {"tool_calls", {1}}}})),
            "messages[0].tool_calls");
  EXPECT_EQ(messages(Json::array({user}), {{"max_completion_tokens", 0}}), "max_completion_tokens");
  EXPECT_EQ(messages(Json::array({user}), {{"max_completion_tokens", 256}}), "messages");
  EXPECT_EQ(messages(Json::array({user}), {{"chat_template_kwargs", 1}}), "chat_template_kwargs");
  EXPECT_EQ(messages(Json::array({user}),
                     {{"continue_final_message", true}, {"add_generation_prompt", true}}),
            "continue_final_message");
  EXPECT_EQ(messages(Json::array({user}), {{"chat_template_kwargs", {{"messages", 1}}}}),
            "messages");
}

TEST(GenerationRequestTest, ContinuesTheLastMessage) {
  const Json list = {{{"role", "user"}, {"content", "Tell a tale."}},
                     {{"role", "assistant"}, {"content", "Once upon"}}};
  const auto prompt = [&](const Json& more) {
    Json body = {{"messages", list}};
    body.update(more);
    return model().tokenizer.decode(read_chat(body, model()).value().prompts[0], false);
  };
  EXPECT_EQ(prompt({{"continue_final_message", true}}),
            "<|user|>\nTell a tale.<|assistant|>\nOnce upon");
  EXPECT_EQ(prompt({{"add_generation_prompt", false}}),
            "<|user|>\nTell a tale.<|assistant|>\nOnce upon");
  EXPECT_EQ(prompt(Json::object()), "<|user|>\nTell a tale.<|assistant|>\nOnce upon<|assistant|>");
}

TEST(GenerationRequestTest, StrictModelsRefuseUnknownFields) {
  const ServedModel strict = fairytale(/*strict=*/true);
  EXPECT_EQ(param_of(read_completion(completion({{"surprise", 1}}), strict)), "surprise");
  EXPECT_EQ(param_of(read_completion(
                completion({{"stream", true}, {"stream_options", {{"more", 1}}}}), strict)),
            "stream_options.more");
  EXPECT_EQ(param_of(read_completion(completion({{"user", "me"}}), strict)), "accepted");
}

TEST(GenerationRequestTest, TheContextIsSaidWithBothNumbers) {
  const auto read = read_completion(completion({{"max_tokens", 1000}}), model());
  const Json error = to_json(ApiError{400, read.error()})["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_NE(error["message"].get<std::string>().find("256 tokens"), std::string::npos);
  EXPECT_NE(error["message"].get<std::string>().find("1000 in the answer"), std::string::npos);
}

}  // namespace
}  // namespace braid::server
