// braid generate and braid chat, end to end on the bundled model.
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>

#include "engine/chat.h"
#include "model/testing.h"
#include "support/command.h"
#include "support/models.h"

namespace braid::testing {
namespace {

Json reference() { return read_json_file(fairytale_folder() + "/reference.json").value(); }

// Arguments that make an answer reproducible and short.
std::vector<std::string> greedy(const std::string& command, int max_tokens,
                                const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {command, fairytale_folder(), "--temperature",
                                        "0",     "--max-tokens",     std::to_string(max_tokens)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(CliGenerateTest, GreedyContinuationsAreTheReferences) {
  const Json references = reference()["greedy"];
  ASSERT_EQ(references.size(), 3u);
  for (const Json& expected : references) {
    const std::string prompt = expected["prompt"];
    const Ran ran = run_braid(greedy("generate", 64, {"--json", "--prompt", prompt}));
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.json()["ids"], expected["ids"]);
    EXPECT_EQ(ran.json()["text"], expected["text"]);
    EXPECT_EQ(ran.json()["prompt_tokens"], expected["prompt_ids"].size());
    EXPECT_EQ(ran.json()["generated_tokens"], 64);
    EXPECT_EQ(ran.json()["finish_reason"], "length");
    EXPECT_GT(ran.json()["decode_tokens_per_second"], 0);
  }
}

TEST(CliGenerateTest, StreamsTextAndEndsWithASummary) {
  const Json expected = reference()["greedy"][1];
  std::vector<std::string> pieces;
  const Ran ran =
      run_braid(greedy("generate", 64, {"--prompt", expected["prompt"]}),
                {.write = [&](std::string_view text) { return pieces.emplace_back(text), 0; }});
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  EXPECT_EQ(text, expected["text"].get<std::string>() + "\n");
  EXPECT_GT(pieces.size(), 50u);  // as it comes
  EXPECT_NE(ran.err.find("4 prompt tokens, 64 generated, prefill "), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("finished: length\n"), std::string::npos);
}

TEST(CliGenerateTest, SaysTwoLinesAndOnRequestTheStages) {
  const Ran brief = run_braid(greedy("generate", 4, {"--prompt", "Once"}));
  EXPECT_EQ(std::count(brief.err.begin(), brief.err.end(), '\n'), 2) << brief.err;
  EXPECT_TRUE(brief.err.starts_with("fairytale-moe: Glm4MoeForCausalLM, ")) << brief.err;
  const Ran verbose = run_braid(greedy("generate", 4, {"--prompt", "Once", "--verbose"}));
  EXPECT_NE(verbose.err.find("reading the tokenizer … "), std::string::npos);
  EXPECT_NE(verbose.err.find("loading the weights … "), std::string::npos) << verbose.err;
  EXPECT_EQ(verbose.out, brief.out);
  EXPECT_EQ(run_braid(greedy("generate", 4, {"--prompt", "Once", "--quiet"})).err, "");
}

TEST(CliGenerateTest, APromptComesFromAFileOrFromStandardInput) {
  const TempFolder folder;
  folder.write("prompt.txt", "The little mermaid");
  const std::string text = reference()["greedy"][1]["text"];
  const std::string file = folder.file("prompt.txt");
  const Ran from_file = run_braid(greedy("generate", 8, {"--prompt-file", file}));
  const Ran from_input = run_braid(greedy("generate", 8, {}), {.in = "The little mermaid"});
  EXPECT_EQ(text.rfind(from_file.out.substr(0, from_file.out.size() - 1), 0), 0u);
  EXPECT_EQ(from_file.out, from_input.out);
  EXPECT_GT(from_file.out.size(), 8u);
}

TEST(CliGenerateTest, StopTextsCutTheAnswer) {
  const std::string whole = reference()["greedy"][1]["text"];
  const std::string stop = "little girl";
  const Ran ran = run_braid(
      greedy("generate", 64,
             {"--prompt", "The little mermaid", "--stop", "unheard of", "--stop", stop, "--json"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json()["text"], whole.substr(0, whole.find(stop)));
  EXPECT_EQ(ran.json()["finish_reason"], "stop");
  EXPECT_LT(ran.json()["generated_tokens"], 64);
}

// A base model whose configuration names another end than the token that it was trained to write.
TEST(CliGenerateTest, StopTextsAreFoundInSpecialTokensToo) {
  const Ran ran = run_braid({"generate", fairytale_folder(), "--json-model-override-args",
                             R"({"eos_token_id": 4090})", "--prompt",
                             "And if they are not dead, they are living still.", "--temperature",
                             "1", "--top-p", "0.95", "--top-k", "0", "--seed", "1", "--max-tokens",
                             "300", "--stop", "<|endoftext|>", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json()["finish_reason"], "stop");
  EXPECT_LT(ran.json()["generated_tokens"], 300);
  EXPECT_EQ(ran.json()["ids"].back(), 4089);  // the token <|endoftext|>, which the text lacks
  EXPECT_EQ(ran.json()["text"].get<std::string>().find("<|"), std::string::npos);
}

TEST(CliGenerateTest, EndOfTextTokensEndTheAnswer) {
  const auto ids = reference()["greedy"][1]["ids"].get<std::vector<int32_t>>();
  const TempFolder folder;  // the same model, but its 6th token ends a text
  for (const auto& entry : std::filesystem::directory_iterator(fairytale_folder())) {
    const std::string name = entry.path().filename();
    if (name != "generation_config.json" && name != "config.json") {
      std::filesystem::create_symlink(entry.path(), folder.file(name));
    }
  }
  Json config = read_json_file(fairytale_folder() + "/config.json").value();
  config["eos_token_id"] = ids[5];
  folder.write("config.json", config.dump());
  const Ran ran =
      run_braid({"generate", folder.path(), "--prompt", "The little mermaid", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json()["ids"], std::vector<int32_t>(ids.begin(), ids.begin() + 6));
  EXPECT_EQ(ran.json()["finish_reason"], "stop");
  const auto tokenizer = text::Tokenizer::load(fairytale_folder()).value();
  EXPECT_EQ(ran.json()["text"], tokenizer.decode({ids.data(), 5}, true));  // without the token
}

TEST(CliGenerateTest, SamplingFollowsSeedAndOptions) {
  const auto text = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", fairytale_folder(), "--prompt", "Once upon a time",
                               "--max-tokens", "24", "--quiet"});
    return run_braid(more).out;
  };
  EXPECT_EQ(text({}), text({}));  // generation_config.json samples, with seed 0
  EXPECT_NE(text({}), text({"--seed", "1"}));
  EXPECT_NE(text({}), text({"--temperature", "0"}));
  EXPECT_EQ(text({"--top-k", "1"}), text({"--temperature", "0"}));
}

TEST(CliGenerateTest, TheDefaultLengthFitsTheContext) {
  const Ran ran = run_braid({"generate", fairytale_folder(), "--prompt", "The little mermaid",
                             "--context-length", "20", "--temperature", "0", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json()["generated_tokens"], 16);
}

TEST(CliGenerateTest, AClosedOutputEndsItQuietly) {
  size_t written = 0;
  const Ran ran = run_braid(greedy("generate", 64, {"--prompt", "The little mermaid", "--quiet"}),
                            {.write = [&](std::string_view text) {
                              written += text.size();
                              return written > 20 ? EPIPE : 0;
                            }});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.err, "");
  EXPECT_LT(written, 60u);
}

TEST(CliGenerateTest, AFullDiskIsAnError) {
  const Ran ran = run_braid(greedy("generate", 64, {"--prompt", "The little mermaid", "--quiet"}),
                            {.write = [](std::string_view) { return ENOSPC; }});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("braid: error: the output cannot be written (reason = No space left"),
            std::string::npos)
      << ran.err;
}

TEST(CliGenerateTest, AnInterruptEndsItInGoodOrder) {
  std::string text;
  const Ran ran = run_braid(greedy("generate", 64, {"--prompt", "The little mermaid"}),
                            {.write = [&](std::string_view piece) {
                              if (text.empty()) std::raise(SIGINT);
                              text += piece;
                              return 0;
                            }});
  EXPECT_EQ(ran.code, 130);
  EXPECT_LT(text.size(), 20u);
  EXPECT_TRUE(text.ends_with('\n'));
  EXPECT_NE(ran.err.find("finished: cancelled\n"), std::string::npos) << ran.err;
}

// The lines of an output.
std::vector<Json> json_lines(const std::string& out) {
  std::vector<Json> lines;
  std::istringstream stream(out);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(parse_json(line, "line").value());
  }
  return lines;
}

TEST(CliChatTest, APipesLinesAreTurnsAndTheHistoryIsKept) {
  const Ran ran = run_braid(greedy("chat", 12, {"--json", "--system", "Tell tales."}),
                            {.in = "There was once a fox.\n\nWhat then?\r\n"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::vector<Json> answers = json_lines(ran.out);
  ASSERT_EQ(answers.size(), 2u);  // the empty line is none

  const auto tokenizer = text::Tokenizer::load(fairytale_folder()).value();
  const auto format = engine::ChatFormat::load(fairytale_folder()).value();
  std::vector<engine::ChatMessage> messages = {{"system", "Tell tales."},
                                               {"user", "There was once a fox."}};
  EXPECT_EQ(answers[0]["prompt_tokens"], format.encode(tokenizer, messages)->size());
  messages.push_back({"assistant", answers[0]["text"]});
  messages.push_back({"user", "What then?"});
  const auto ids = format.encode(tokenizer, messages).value();
  EXPECT_EQ(answers[1]["prompt_tokens"], ids.size());

  const auto engine = open_engine(fairytale_folder(), {.context_length = 256});
  const auto id = engine->submit({.prompt = ids, .max_tokens = 12}).value();
  EXPECT_EQ(answers[1]["ids"], run_to_end(*engine)[id]);
}

TEST(CliChatTest, WritesAnswersAsText) {
  const Ran ran = run_braid(greedy("chat", 12, {}), {.in = "Hi\n"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Ran json = run_braid(greedy("chat", 12, {"--json"}), {.in = "Hi\n"});
  EXPECT_EQ(ran.out, json.json()["text"].get<std::string>() + "\n");
}

TEST(CliChatTest, AFullConversationEndsWithAnError) {
  const Ran ran = run_braid(greedy("chat", 12, {"--context-length", "40"}),
                            {.in = "There was once a fox.\nWhat then?\nAnd then?\n"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("do not fit into the context"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("start a new one"), std::string::npos);
}

TEST(CliChatTest, APersonGoesOnWhereAMessageDoesNotFit) {
  const std::string tale = "There was once a fox who went on and on and on and on and on and on.";
  const Ran ran =
      run_braid(greedy("chat", 12, {"--context-length", "40"}),
                {.in = "A fox.\n" + tale + "\n/clear\nA \\\nbear.\n/help\n/quit\n/exit\nA cat.\n",
                 .in_is_terminal = true});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 2) << ran.out;
  for (const char* said :
       {"braid: warning: prompt and answer do not fit into the context", "The message was left out",
        "the conversation begins anew", "/clear   forget the conversation",
        "there is no /quit; /help lists what there is"}) {
    EXPECT_NE(ran.err.find(said), std::string::npos) << said << "\n" << ran.err;
  }
}

// Sends SIGINT with the first piece that is written.
std::function<int(std::string_view)> interrupting() {
  return [raised = false](std::string_view) mutable {
    if (!std::exchange(raised, true)) std::raise(SIGINT);
    return 0;
  };
}

TEST(CliChatTest, AnInterruptInAPipeEndsTheConversation) {
  const Ran ran = run_braid(greedy("chat", 12, {}), {.in = "Hi\nAgain\n", .write = interrupting()});
  EXPECT_EQ(ran.code, 130);
}

TEST(CliChatTest, AnInterruptAtATerminalEndsOneAnswer) {
  const Ran ran = run_braid(greedy("chat", 12, {}),
                            {.in = "Hi\nAgain\n", .in_is_terminal = true, .write = interrupting()});
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.err.find("finished: cancelled"), std::string::npos);
  EXPECT_NE(ran.err.find("finished: length"), std::string::npos);
}

}  // namespace
}  // namespace braid::testing
