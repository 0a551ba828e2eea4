#include "base/options.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"

namespace braid {
namespace {

bool is_even(std::string_view text) { return !text.empty() && text.size() % 2 == 0; }

const OptionTable& small_table() {
  static const OptionTable table(
      {{"run", "runs"}, {"eval fast", "evaluates"}, {"eval slow", "evaluates slowly"}},
      {
          {.name = "model",
           .type = OptionType::path,
           .group = "Model",
           .help = "the folder",
           .commands = {"run", "eval fast"},
           .aliases = {"model-path"},
           .positional = true,
           .required = true},
          {.name = "load-format",
           .type = OptionType::choice,
           .group = "Model",
           .help = "what to load",
           .commands = {"run"},
           .standard = "auto",
           .choices = {"auto", "dummy"}},
          {.name = "routing",
           .group = "Model",
           .help = "how to route",
           .commands = {"run"},
           .accepts = is_even,
           .syntax = "a text of even length",
           .only_with = {"load-format", "dummy"}},
          {.name = "max-tokens",
           .type = OptionType::integer,
           .group = "Sampling",
           .help = "most tokens",
           .commands = {"run"},
           .standard = "16",
           .minimum = 1,
           .maximum = 64},
          {.name = "temperature",
           .type = OptionType::number,
           .group = "Sampling",
           .help = "how random",
           .commands = {"run"},
           .minimum = 0,
           .maximum = 2},
          {.name = "stop",
           .group = "Sampling",
           .help = "where to stop",
           .commands = {"run"},
           .repeatable = true},
          {.name = "json",
           .type = OptionType::flag,
           .group = "Reports",
           .help = "one line",
           .commands = {"run"}},
          {.name = "window",
           .type = OptionType::integer,
           .group = "Sampling",
           .help = "length of a piece",
           .commands = {"eval fast", "eval slow"},
           .minimum = 2,
           .maximum = 8},
          {.name = "config",
           .type = OptionType::path,
           .group = "Reports",
           .help = "a file",
           .commands = {"run"}},
      },
      {{"max-new-tokens", true, "max-tokens"},
       {"tp", true, {}, "One rank only.", {"1"}},
       {"eager", false, {}, "It is eager anyway.", {"true"}},
       {"quantization", true, {}, "Leave it out."}});
  return table;
}

// parse() with a given environment and given files.
struct World {
  std::map<std::string, std::string> environment;
  std::map<std::string, std::string> files;

  Result<ParsedOptions> operator()(const std::vector<const char*>& arguments) const {
    OptionSources sources;
    sources.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto entry = environment.find(name);
      if (entry == environment.end()) return std::nullopt;
      return entry->second;
    };
    sources.read_file = [this](const std::string& path) -> Result<std::string> {
      const auto entry = files.find(path);
      if (entry == files.end()) {
        return Error(ErrorKind::not_found, "cannot open file").with("path", path);
      }
      return entry->second;
    };
    return parse(small_table(), arguments, sources);
  }

  std::string error(const std::vector<const char*>& arguments) const {
    const auto options = (*this)(arguments);
    if (options.ok()) return "no error";
    EXPECT_EQ(options.error().kind(), ErrorKind::usage);
    return options.error().to_string();
  }
};

TEST(OptionsTest, DefaultsAndUnsetOptions) {
  const auto options = World{}({"run", "folder"});
  ASSERT_TRUE(options.ok()) << options.status().to_string();
  EXPECT_EQ(options->command(), "run");
  EXPECT_EQ(options->text("model"), "folder");
  EXPECT_EQ(options->integer("max-tokens"), 16);
  EXPECT_EQ(options->origin("max-tokens"), Origin::standard);
  EXPECT_TRUE(options->has("max-tokens"));
  EXPECT_FALSE(options->given("max-tokens"));
  EXPECT_FALSE(options->has("temperature"));
  EXPECT_FALSE(options->has("window"));  // of another command
  EXPECT_FALSE(options->flag("json"));
  EXPECT_TRUE(options->texts("stop").empty());
}

TEST(OptionsTest, EveryWayToWriteAnOption) {
  const auto options = World{}({"run", "--model_path=folder", "--max-tokens", "7", "--json",
                                "--temperature=0.5", "--stop", "a", "--stop=", "--stop", "--b"});
  ASSERT_TRUE(options.ok()) << options.status().to_string();
  EXPECT_EQ(options->text("model"), "folder");
  EXPECT_EQ(options->integer("max-tokens"), 7);
  EXPECT_EQ(options->number("temperature"), 0.5);
  EXPECT_TRUE(options->flag("json"));
  EXPECT_EQ(options->texts("stop"), (std::vector<std::string>{"a", "", "--b"}));
  const auto dashes = World{}({"run", "--", "--json"});
  ASSERT_TRUE(dashes.ok());
  EXPECT_EQ(dashes->text("model"), "--json");
  EXPECT_FALSE(dashes->flag("json"));
}

TEST(OptionsTest, PrecedenceIsCommandLineEnvironmentConfigDefault) {
  World world;
  world.files["c.json"] = R"({"max_tokens": 3, "temperature": 0.25, "json": true})";
  const auto from_file = world({"run", "m", "--config", "c.json"});
  ASSERT_TRUE(from_file.ok()) << from_file.status().to_string();
  EXPECT_EQ(from_file->integer("max-tokens"), 3);
  EXPECT_EQ(from_file->number("temperature"), 0.25);
  EXPECT_TRUE(from_file->flag("json"));
  EXPECT_EQ(from_file->origin("max-tokens"), Origin::config_file);

  world.environment = {{"BRAID_MAX_TOKENS", "4"}, {"BRAID_JSON", "0"}, {"BRAID_CONFIG", "c.json"}};
  const auto from_environment = world({"run", "m"});
  ASSERT_TRUE(from_environment.ok()) << from_environment.status().to_string();
  EXPECT_EQ(from_environment->integer("max-tokens"), 4);
  EXPECT_EQ(from_environment->number("temperature"), 0.25);
  EXPECT_FALSE(from_environment->flag("json"));
  EXPECT_EQ(from_environment->origin("max-tokens"), Origin::environment);

  const auto from_arguments = world({"run", "m", "--max-tokens", "5", "--json"});
  ASSERT_TRUE(from_arguments.ok());
  EXPECT_EQ(from_arguments->integer("max-tokens"), 5);
  EXPECT_TRUE(from_arguments->flag("json"));
  EXPECT_EQ(from_arguments->origin("max-tokens"), Origin::command_line);
  EXPECT_TRUE(from_arguments->given("max-tokens"));
}

TEST(OptionsTest, AWeakerOriginDoesNotAddToARepeatedOption) {
  World world;
  world.files["c.json"] = R"({"stop": ["x", "y"]})";
  const auto file = world({"run", "m", "--config=c.json"});
  EXPECT_EQ(file->texts("stop"), (std::vector<std::string>{"x", "y"}));
  const auto line = world({"run", "m", "--config=c.json", "--stop", "z"});
  EXPECT_EQ(line->texts("stop"), std::vector<std::string>{"z"});
}

TEST(OptionsTest, ExplainShowsValueAndOrigin) {
  World world;
  world.environment = {{"BRAID_TEMPERATURE", "1.5"}};
  world.files["c.json"] = R"({"stop": ["x\n", "y"]})";
  const auto options = world({"run", "m", "--max-new-tokens", "9", "--config", "c.json"});
  ASSERT_TRUE(options.ok()) << options.status().to_string();
  const std::string text = options->explain();
  const auto has_line = [&](std::string_view name, std::string_view value,
                            std::string_view origin) {
    return text.find(fmt::format("{:<26} {:<32} {}\n", name, value, origin)) != std::string::npos;
  };
  EXPECT_TRUE(has_line("option", "value", "origin")) << text;
  EXPECT_TRUE(has_line("model", "m", "command line"));
  EXPECT_TRUE(has_line("max-tokens", "9", "command line, as --max-new-tokens"));
  EXPECT_TRUE(has_line("temperature", "1.5", "environment BRAID_TEMPERATURE"));
  EXPECT_TRUE(has_line("stop", R"("x\n, y")", "config c.json"));
  EXPECT_TRUE(has_line("load-format", "auto", "default"));
  EXPECT_TRUE(has_line("json", "-", "not set"));
  EXPECT_EQ(text.find("window"), std::string::npos);  // not of this command
}

// Origins stand at column 60, whatever the values before them.
TEST(OptionsTest, ExplainKeepsItsColumns) {
  World world;
  const auto line_of_stop = [&](const std::string& value) {
    const std::string text = world({"run", "m", "--stop", value.c_str()})->explain();
    const size_t start = text.find("\nstop") + 1;
    return text.substr(start, text.find("command line", start) - start);
  };
  const std::string stop = "stop" + std::string(23, ' ');
  const auto spaces = [](size_t count) { return std::string(count, ' '); };
  EXPECT_EQ(line_of_stop("ab"), stop + "ab" + spaces(31));
  EXPECT_EQ(line_of_stop("é – ü"), stop + "é – ü" + spaces(28));
  EXPECT_EQ(line_of_stop("你好"), stop + "你好" + spaces(29));  // two columns each
  EXPECT_EQ(line_of_stop("\xff"), stop + "\xff" + spaces(32));
  const std::string full(32, 'x');
  EXPECT_EQ(line_of_stop(full), stop + full + " ");
  EXPECT_EQ(line_of_stop(full + "x"), stop + full + "x\n" + spaces(60));
  std::string wide;
  for (int i = 0; i < 16; ++i) wide += "好";
  EXPECT_EQ(line_of_stop(wide), stop + wide + " ");
  EXPECT_EQ(line_of_stop(wide + "!"), stop + wide + "!\n" + spaces(60));
}

TEST(OptionsTest, IllegalValuesAreRefusedFromEveryOrigin) {
  World world;
  EXPECT_EQ(world.error({"run", "m", "--max-tokens", "65"}),
            "--max-tokens does not take this value (value = '65', from = command line). "
            "Allowed: an integer from 1 to 64.");
  for (const char* bad : {"", "0", "-1", "1.0", " 1", "1 ", "0x1", "1e1", "99999999999999999999"}) {
    EXPECT_NE(world.error({"run", "m", "--max-tokens", bad}).find("an integer from 1 to 64"),
              std::string::npos)
        << bad;
  }
  for (const char* bad : {"", "2.1", "-0.1", "nan", "inf", "1,0", "x"}) {
    EXPECT_NE(world.error({"run", "m", "--temperature", bad}).find("a number from 0 to 2"),
              std::string::npos)
        << bad;
  }
  EXPECT_NE(world.error({"run", "m", "--load-format", "Auto"}).find("Allowed: auto, dummy."),
            std::string::npos);
  EXPECT_NE(world.error({"run", "m", "--json=yes"}).find("Allowed: true or false."),
            std::string::npos);
  EXPECT_NE(world.error({"run", ""}).find("Allowed: a path."), std::string::npos);

  world.environment = {{"BRAID_MAX_TOKENS", "many"}};
  EXPECT_EQ(world.error({"run", "m"}),
            "--max-tokens does not take this value (value = 'many', from = environment "
            "BRAID_MAX_TOKENS). Allowed: an integer from 1 to 64.");
  // An illegal value is refused even where a stronger origin has the word.
  EXPECT_NE(world.error({"run", "m", "--max-tokens", "5"}).find("'many'"), std::string::npos);
}

TEST(OptionsTest, ConfigFileRefusals) {
  World world;
  const auto error_of = [&](const char* content) {
    world.files["c.json"] = content;
    return world.error({"run", "m", "--config", "c.json"});
  };
  EXPECT_EQ(error_of(R"({"max-tokens": 99})"),
            "--max-tokens does not take this value (value = '99', from = config c.json). "
            "Allowed: an integer from 1 to 64.");
  EXPECT_NE(error_of(R"({"max-tokens": 5.0})").find("'5.0'"), std::string::npos);
  EXPECT_NE(error_of(R"({"max-tokens": null})").find("value = null"), std::string::npos);
  EXPECT_NE(error_of(R"({"max-tokens": [5]})").find("value = [5]"), std::string::npos);
  EXPECT_NE(error_of(R"({"stop": ["a", 5]})").find("value = [\"a\",5]"), std::string::npos);
  EXPECT_NE(error_of(R"({"max-token": 5})").find("Did you mean --max-tokens?"), std::string::npos);
  EXPECT_NE(error_of(R"({"config": "d.json"})").find("no config in a config"), std::string::npos);
  EXPECT_NE(error_of(R"({"quantization": "fp8"})").find("Leave it out."), std::string::npos);
  EXPECT_NE(error_of(R"({"max-tokens": 5, "max-new-tokens": 6})").find("given twice"),
            std::string::npos);
  EXPECT_NE(error_of("[1]").find("no JSON object"), std::string::npos);
  EXPECT_NE(error_of("{").find("no JSON object"), std::string::npos);
  EXPECT_NE(error_of(R"({"window": 1})").find("an integer from 2 to 8"), std::string::npos);
  EXPECT_EQ(error_of(R"({"window": 4, "tp": 1})"), "no error");  // of other commands, and harmless
  EXPECT_NE(world.error({"run", "m", "--config", "gone.json"}).find("path = gone.json"),
            std::string::npos);
}

TEST(OptionsTest, UnknownOptionsNameTheNearest) {
  const World world;
  EXPECT_EQ(
      world.error({"run", "m", "--max-tokns", "5"}),
      "unknown option (option = --max-tokns). Did you mean --max-tokens? braid run --help-all "
      "lists all.");
  EXPECT_NE(world.error({"run", "m", "--temprature=1"}).find("--temperature?"), std::string::npos);
  EXPECT_NE(world.error({"run", "m", "-json"}).find("--json?"), std::string::npos);
  EXPECT_EQ(world.error({"run", "m", "--xylophone"}).find("Did you mean"), std::string::npos);
  EXPECT_NE(world.error({"run", "m", "---"}).find("unknown option"), std::string::npos);
  EXPECT_NE(world.error({"run", "m", "--=3"}).find("unknown option"), std::string::npos);
}

TEST(OptionsTest, OptionsOfAnotherCommandAreRefused) {
  EXPECT_EQ(World{}.error({"run", "m", "--window", "4"}),
            "this command does not take the option (option = --window, command = run). "
            "--window belongs to: eval fast, eval slow.");
  // The environment serves all commands: what this one does not take is not looked at.
  World world;
  world.environment = {{"BRAID_WINDOW", "junk"}};
  EXPECT_TRUE(world({"run", "m"}).ok());
}

TEST(OptionsTest, ForgottenValuesAndSpareArguments) {
  const World world;
  EXPECT_EQ(world.error({"run", "m", "--max-tokens"}),
            "an option lacks its value (option = --max-tokens, next argument = none). "
            "Write --max-tokens=VALUE: an integer from 1 to 64.");
  EXPECT_NE(world.error({"run", "m", "--stop", "--json"}).find("next argument = --json"),
            std::string::npos);
  EXPECT_NE(world.error({"run", "m", "--stop", "--tp=2"}).find("lacks its value"),
            std::string::npos);
  EXPECT_NE(world.error({"run", "m", "--tp"}).find("One rank only."), std::string::npos);
  EXPECT_NE(world.error({"run", "m", "n"}).find("unexpected argument (argument = 'n')"),
            std::string::npos);
  EXPECT_NE(world.error({"eval", "slow", "x"}).find("unexpected argument"), std::string::npos);
  EXPECT_NE(world.error({"run", "m", "--max-tokens", "5", "--max-tokens", "6"})
                .find("--max-tokens is given twice (first = '5', second = '6'"),
            std::string::npos);
}

TEST(OptionsTest, RequiredAndDependentOptions) {
  const World world;
  EXPECT_NE(world.error({"run"}).find("--model is missing (command = run)"), std::string::npos);
  EXPECT_TRUE(world({"eval", "slow"}).ok());
  EXPECT_EQ(world.error({"run", "m", "--routing", "ab"}),
            "--routing needs --load-format dummy (routing = ab, from = command line). "
            "Add --load-format dummy, or leave --routing out.");
  EXPECT_TRUE(world({"run", "m", "--routing", "ab", "--load-format", "dummy"}).ok());
  EXPECT_NE(world.error({"run", "m", "--routing", "abc", "--load-format", "dummy"})
                .find("Allowed: a text of even length."),
            std::string::npos);
}

TEST(OptionsTest, ForeignNames) {
  const World world;
  EXPECT_EQ(world({"run", "m", "--max-new-tokens", "9"})->integer("max-tokens"), 9);
  EXPECT_TRUE(world({"run", "m", "--tp", "1", "--eager"}).ok());
  EXPECT_EQ(world.error({"run", "m", "--tp", "2"}),
            "this is no option of braid (option = --tp, value = '2'). One rank only.");
  EXPECT_NE(world.error({"run", "m", "--quantization=fp8"}).find("value = 'fp8'"),
            std::string::npos);
  EXPECT_NE(world.error({"run", "m", "--max-new-tokens", "0"}).find("as --max-new-tokens"),
            std::string::npos);
  EXPECT_NE(world.error({"eval", "fast", "m", "--max_new_tokens=3"}).find("belongs to: run"),
            std::string::npos);
}

TEST(OptionsTest, Commands) {
  const World world;
  EXPECT_EQ(world({"eval", "slow"})->command(), "eval slow");
  EXPECT_NE(world.error({}).find("a command is missing"), std::string::npos);
  EXPECT_NE(world.error({"walk"}).find("Commands: run, eval fast, eval slow."), std::string::npos);
  EXPECT_NE(world.error({"eval"}).find("a command is missing (command = 'eval')"),
            std::string::npos);
  EXPECT_NE(world.error({"eval", "run"}).find("'eval run'"), std::string::npos);
}

TEST(OptionsTest, HelpAndVersionSkipOtherChecks) {
  World world;
  world.environment = {{"BRAID_MAX_TOKENS", "many"}};
  for (const char* word : {"-h", "--help"}) {
    EXPECT_TRUE(world({word})->help());
    EXPECT_EQ(world({"run", word})->command(), "run");
    EXPECT_TRUE(world({"run", "--max-tokens", "3", word})->help());
    EXPECT_EQ(world({"eval", word})->command(), "eval");
  }
  EXPECT_TRUE(world({"--version"})->version());
  EXPECT_FALSE(world({"--version"})->help());
  // A value that looks like a request for help is none.
  EXPECT_FALSE(World{}({"run", "m", "--stop=--help"})->help());
}

TEST(OptionsTest, HelpTextOfACommand) {
  const std::string text = small_table().help_text("run");
  EXPECT_NE(text.find("Usage: braid run MODEL [OPTIONS]\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nModel\n  --model PATH "), std::string::npos);
  EXPECT_NE(text.find("most tokens (1 to 64, default 16)\n"), std::string::npos);
  EXPECT_NE(text.find("--load-format auto|dummy"), std::string::npos);
  EXPECT_EQ(text.find("--window"), std::string::npos);
  EXPECT_NE(small_table().help_text("eval slow").find("Usage: braid eval slow [OPTIONS]"),
            std::string::npos);
}

TEST(OptionsTest, HelpTextOfAFamilyAndOfBraid) {
  const std::string family = small_table().help_text("eval");
  EXPECT_NE(family.find("eval slow"), std::string::npos);
  EXPECT_EQ(family.find("runs"), std::string::npos);
  const std::string all = small_table().help_text("");
  EXPECT_NE(all.find("  run "), std::string::npos);
  EXPECT_NE(all.find("  eval fast "), std::string::npos);
}

TEST(OptionsTest, ChecksItsRows) {
  const CommandSpec run{"run", "runs"};
  const OptionSpec good{.name = "a", .group = "G", .help = "h", .commands = {"run"}};
  const auto status = [&](OptionSpec row, std::vector<ForeignOption> foreign = {}) {
    return OptionTable({run}, {good, std::move(row)}, std::move(foreign)).check().to_string();
  };
  const auto with = [&](auto change) {
    OptionSpec row = good;
    row.name = "b";
    change(row);
    return row;
  };
  EXPECT_EQ(status(with([](OptionSpec&) {})), "ok");
  EXPECT_NE(status(good), "ok");
  EXPECT_NE(status(with([](OptionSpec& row) { row.aliases = {"a"}; })), "ok");
  EXPECT_NE(status(with([](OptionSpec& row) { row.name = "help"; })), "ok");
  EXPECT_NE(status(with([](OptionSpec& row) { row.help = ""; })), "ok");
  EXPECT_NE(status(with([](OptionSpec& row) { row.commands = {"fly"}; })), "ok");
  EXPECT_NE(
      status(with([](OptionSpec& row) { row.type = OptionType::integer, row.standard = "1"; })),
      "ok");  // the range is 0 to 0
  EXPECT_NE(
      status(with([](OptionSpec& row) { row.type = OptionType::flag, row.repeatable = true; })),
      "ok");
  EXPECT_NE(status(with([](OptionSpec& row) { row.only_with = {"c", "d"}; })), "ok");
  const OptionSpec row = with([](OptionSpec&) {});
  EXPECT_EQ(status(row, {{"x", true, "a"}, {"y", true, {}, "No."}}), "ok");
  EXPECT_NE(status(row, {{"a", true, {}, "No."}}), "ok");
  EXPECT_NE(status(row, {{"x", true}}), "ok");
  EXPECT_NE(status(row, {{"x", true, "c"}}), "ok");
  EXPECT_NE(status(row, {{"x", false, "a"}}), "ok");
}

TEST(OptionsDeathTest, WrongUseOfGetters) {
  const auto options = World{}({"run", "m"});
  EXPECT_DEATH((void)options->text("no-such"), "no option --no-such");
  EXPECT_DEATH((void)options->has("model-path"), "no option --model-path");
  EXPECT_DEATH((void)options->integer("model"), "no integer");
  EXPECT_DEATH((void)options->number("temperature"), "has no value");
}

TEST(OptionsTest, ProcessSourcesReadTheEnvironment) {
  setenv("BRAID_OPTIONS_TEST", "on", 1);
  EXPECT_EQ(process_sources().environment("BRAID_OPTIONS_TEST"), "on");
  EXPECT_EQ(process_sources().environment("BRAID_OPTIONS_TEST_UNSET"), std::nullopt);
  EXPECT_FALSE(process_sources().read_file("/nonexistent").ok());
}

}  // namespace
}  // namespace braid
