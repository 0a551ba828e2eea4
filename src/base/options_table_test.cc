#include "base/options_table.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/json.h"
#include "base/terminal.h"

namespace braid {
namespace {

Result<ParsedOptions> parse_here(const std::vector<std::string>& arguments) {
  OptionSources sources;
  sources.environment = [](const std::string&) { return std::nullopt; };
  sources.read_file = [](const std::string&) { return std::string("{}"); };
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  return parse(braid_options(), pointers, sources);
}

// "eval logits" and more arguments, as they stand on a command line.
std::vector<std::string> command_line(std::string_view command, std::vector<std::string> more) {
  std::vector<std::string> arguments;
  const size_t space = command.find(' ');
  arguments.emplace_back(command.substr(0, space));
  if (space != std::string_view::npos) arguments.emplace_back(command.substr(space + 1));
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(OptionsTableTest, RowsAgree) { EXPECT_EQ(braid_options().check().to_string(), "ok"); }

TEST(OptionsTableTest, EveryCommandParsesAndHasHelp) {
  for (const CommandSpec& command : braid_options().commands()) {
    std::vector<std::string> arguments = {"folder"};
    for (const OptionSpec& spec : braid_options().options()) {
      if (spec.required && !spec.positional && takes(spec, command.name)) {
        arguments.push_back(fmt::format("--{}=file", spec.name));
      }
    }
    const auto options = parse_here(command_line(command.name, arguments));
    ASSERT_TRUE(options.ok()) << command.name << ": " << options.status().to_string();
    EXPECT_EQ(options->command(), command.name);
    const bool reads_model = takes(*braid_options().find("model"), command.name);
    EXPECT_EQ(options->text(reads_model ? "model" : "kernel"), "folder");
    EXPECT_NE(braid_options().help_text(command.name).find(command.help), std::string::npos);
  }
}

// But for a single word that is longer.
TEST(OptionsTableTest, HelpLinesFitTheScreen) {
  for (const CommandSpec& command : braid_options().commands()) {
    for (const size_t columns : {40u, 80u, 100u, 120u}) {
      for (const bool all : {false, true}) {
        const std::string text =
            braid_options().help_text(command.name, {.all = all, .columns = columns});
        for (size_t start = 0; start < text.size();) {
          const size_t end = text.find('\n', start);
          const std::string line = text.substr(start, end - start);
          // The heads of options and of the page stay whole where nothing is beside them.
          const bool head = line.starts_with("  --") || line.starts_with("Usage: ");
          const bool word = line.find(' ', line.find_first_not_of(' ')) == line.npos;
          EXPECT_TRUE((columns < 80 && (head || word)) || columns_of(line) <= columns) << line;
          start = end + 1;
        }
      }
    }
  }
}

// A name from another engine works as braid's option, or tells what to do; it is never unknown.
TEST(OptionsTableTest, EveryForeignNameIsAnswered) {
  for (const ForeignOption& foreign : braid_options().foreign()) {
    const std::string name = fmt::format("--{}", foreign.name);
    if (!foreign.option.empty()) {
      const OptionSpec& spec = *braid_options().find(foreign.option);
      const std::string value = spec.type == OptionType::integer ? "2" : "{}";
      const auto options = parse_here(command_line(spec.commands[0], {"m", name, value}));
      ASSERT_TRUE(options.ok()) << name << ": " << options.status().to_string();
      EXPECT_TRUE(options->given(spec.name)) << name;
      continue;
    }
    const auto refused = parse_here({"generate", "m", name + "=something"});
    ASSERT_FALSE(refused.ok()) << name;
    EXPECT_EQ(refused.error().message(), "this is no option of braid");
    EXPECT_EQ(refused.error().remedy(), foreign.advice);
    for (const std::string_view value : foreign.harmless) {
      EXPECT_TRUE(parse_here({"generate", "m", fmt::format("{}={}", name, value)}).ok()) << name;
    }
  }
}

TEST(OptionsTableTest, NamesThatUsersBringAreKnown) {
  for (const std::string_view name : {"enable-ep-moe",
                                      "enable-expert-parallel",
                                      "enable-flashinfer-cutlass-moe",
                                      "disable-flashinfer-cutlass-moe-fp4-allgather",
                                      "quantization",
                                      "trust-remote-code",
                                      "num-prompts",
                                      "random-input",
                                      "random-output",
                                      "max-model-len",
                                      "gpu-memory-utilization",
                                      "tensor-parallel-size",
                                      "tp",
                                      "tp-size",
                                      "enforce-eager",
                                      "max-num-seqs",
                                      "max-num-batched-tokens",
                                      "served-model-name",
                                      "model-path",
                                      "mem-fraction-static",
                                      "disable-radix-cache",
                                      "disable-cuda-graph",
                                      "host",
                                      "port",
                                      "api-key",
                                      "device"}) {
    EXPECT_TRUE(braid_options().find(name) || braid_options().find_foreign(name)) << name;
  }
}

TEST(OptionsTableTest, SyntaxOfTexts) {
  const auto accepts = [](const std::string& command, const std::string& option,
                          const std::string& value) {
    return parse_here(
               command_line(command, {"m", "--load-format", "dummy", "--" + option + "=" + value}))
        .ok();
  };
  for (const char* good : {"balanced", "zipf:1", "zipf:0.5", "zipf:1e-1"}) {
    EXPECT_TRUE(accepts("verify", "routing", good)) << good;
  }
  for (const char* bad :
       {"", "zipf", "zipf:", "zipf:0", "zipf:-1", "zipf:nan", "zipf:1x", "even"}) {
    EXPECT_FALSE(accepts("verify", "routing", bad)) << bad;
  }
  EXPECT_TRUE(accepts("chat", "json-model-override-args", R"({"num_hidden_layers": 2})"));
  EXPECT_FALSE(accepts("chat", "json-model-override-args", "[]"));
  EXPECT_FALSE(accepts("chat", "json-model-override-args", "{"));
}

TEST(OptionsTableTest, ASecretIsNeverPrinted) {
  const auto options = parse_here({"generate", "m", "--job-secret", "sesame, open yourself"});
  ASSERT_TRUE(options.ok()) << options.status().to_string();
  EXPECT_EQ(options->text("job-secret"), "sesame, open yourself");
  EXPECT_EQ(options->explain().find("sesame"), std::string::npos);
  const auto refused = parse_here({"generate", "m", "--job-secret", "sesame"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().to_string().find("sesame"), std::string::npos);
  EXPECT_NE(refused.status().to_string().find("at least 16 characters"), std::string::npos);
}

// docs/options.md is this table. Write it anew: BRAID_WRITE_DOCS=1 base_test --gtest_filter=*Page*
TEST(OptionsTableTest, PageOfDocumentationIsCurrent) {
  const std::string path = std::string(BRAID_SOURCE_DIR) + "/docs/options.md";
  const std::string page = braid_options().markdown();
  if (std::getenv("BRAID_WRITE_DOCS") != nullptr) std::ofstream(path) << page;
  const auto stored = read_file(path);
  ASSERT_TRUE(stored.ok()) << stored.status().to_string();
  EXPECT_TRUE(*stored == page) << "docs/options.md differs from the table; write it anew with "
                                  "BRAID_WRITE_DOCS=1 base_test --gtest_filter=*Page*";
}

}  // namespace
}  // namespace braid
