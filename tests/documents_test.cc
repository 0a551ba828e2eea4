// What the documentation names exists: files, commands with their options, tests.
#include <gtest/gtest.h>

// g++ 12 with sanitizers takes members of std::regex for uninitialized.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "base/options_table.h"

namespace braid::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = BRAID_SOURCE_DIR;

std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<fs::path> documents() {
  std::vector<fs::path> found = {kRoot / "README.md"};
  for (const auto& entry : fs::directory_iterator(kRoot / "docs")) {
    if (entry.path().extension() == ".md") found.push_back(entry.path());
  }
  return found;
}

std::vector<std::string> matches(const std::string& text, const std::regex& pattern, int group) {
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
    found.push_back((*it)[static_cast<size_t>(group)]);
  }
  return found;
}

// Paths below the project's folders: "src/flow/check/check.h", "tools/check_gpu.sh". Those with
// placeholders (…, *, CAPITALS) are patterns, not paths.
std::vector<std::string> missing_paths(const std::string& text) {
  static const std::regex pattern(
      R"((^|[\s`(|])((src|tests|docs|tools|bench/shapes|models|cmake)/[\w./+-]*\w)([^\w/*…-]|$))");
  std::vector<std::string> missing;
  for (const std::string& path : matches(text, pattern, 2)) {
    if (!fs::exists(kRoot / path)) missing.push_back(path);
  }
  return missing;
}

std::string without_spaces(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c) != 0; });
  return text;
}

// Lines of a document's C++ that are not in the file of src/ that it names last before them.
std::vector<std::string> foreign_code(const std::string& text) {
  static const std::regex block(R"(\((src/[\w/.]+)\)[^`]*```cpp\n([^`]*)```)");
  std::vector<std::string> foreign;
  for (std::sregex_iterator it(text.begin(), text.end(), block), end; it != end; ++it) {
    const std::string code = without_spaces(read(kRoot / (*it)[1].str()));
    std::istringstream lines((*it)[2].str());
    for (std::string line; std::getline(lines, line);) {
      if (code.find(without_spaces(line)) == code.npos) foreign.push_back(line);
    }
  }
  return foreign;
}

// The words of every "braid …" command: in a line of code, or between backticks.
std::vector<std::string> commands_in(const std::string& text) {
  static const std::regex inline_code(R"(`(build/release/)?braid ([^`]*)`)");
  static const std::regex lines(R"((^|\n)(build/release/)?braid ((\\\n|[^\n])*))");
  std::vector<std::string> found = matches(text, inline_code, 2);
  for (const std::string& line : matches(text, lines, 3)) found.push_back(line);
  return found;
}

// What is wrong with one command, or nothing.
std::string mistake_in(const std::string& command) {
  std::istringstream words(command);
  std::vector<std::string> options;
  std::string name, word;
  while (words >> word && !word.starts_with("#")) {
    const bool first = name.empty();
    if (first || braid_options().find_command(name + " " + word) != nullptr) {
      name += (first ? "" : " ") + word;
    } else if (word.starts_with("--")) {
      options.push_back(word.substr(2, word.find_first_of("=`.,;:)|…") - 2));
    }
  }
  if (name.empty() || name.starts_with("-")) return {};  // "braid --help"
  const bool family =
      std::any_of(braid_options().commands().begin(), braid_options().commands().end(),
                  [&](const CommandSpec& spec) { return spec.name.starts_with(name + " "); });
  const CommandSpec* spec = braid_options().find_command(name);
  if (spec == nullptr) return family ? "" : "no command " + name;
  for (const std::string& option : options) {
    if (option == "help" || option == "version" || option == "config") continue;
    const OptionSpec* row = braid_options().find(option);
    if (row == nullptr) return "no option --" + option;
    if (!takes(*row, spec->name)) return name + " takes no --" + option;
  }
  return {};
}

// Every "--option" in backticks, whichever command takes it.
std::vector<std::string> unknown_options(const std::string& text) {
  static const std::regex pattern(R"(`--([a-z][a-z0-9-]*[a-z0-9]))");
  std::vector<std::string> unknown;
  for (const std::string& option : matches(text, pattern, 1)) {
    if (option == "help" || option == "version" || option == "config") continue;
    if (option == "full" || option == "sanitize" || option == "name") continue;  // not braid's
    const bool known =
        braid_options().find(option) != nullptr || braid_options().find_foreign(option) != nullptr;
    if (!known) unknown.push_back(option);
  }
  return unknown;
}

// "Suite.Name" of every test in the sources.
std::set<std::string> all_tests() {
  static const std::regex pattern(R"(TEST(_F|_P)?\((\w+),\s*(\w+)\))");
  std::set<std::string> names;
  for (const char* folder : {"src", "tests"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (!entry.path().filename().string().ends_with("_test.cc")) continue;
      const std::string text = read(entry.path());
      for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
        names.insert((*it)[2].str() + "." + (*it)[3].str());
      }
    }
  }
  return names;
}

TEST(DocumentsTest, PathsExist) {
  for (const fs::path& document : documents()) {
    for (const std::string& path : missing_paths(read(document))) {
      ADD_FAILURE() << document.filename() << " names " << path;
    }
  }
}

TEST(DocumentsTest, CommandsExistAndTakeTheirOptions) {
  int commands = 0;
  for (const fs::path& document : documents()) {
    for (const std::string& command : commands_in(read(document))) {
      ++commands;
      EXPECT_EQ(mistake_in(command), "") << document.filename() << ": braid " << command;
    }
  }
  EXPECT_GT(commands, 10);
}

TEST(DocumentsTest, OptionsExist) {
  for (const fs::path& document : documents()) {
    if (document.filename() == "options.md") continue;  // names those of other engines, too
    for (const std::string& option : unknown_options(read(document))) {
      ADD_FAILURE() << document.filename() << " names --" << option;
    }
  }
}

TEST(DocumentsTest, TestsExist) {
  static const std::regex pattern(R"(`([A-Z]\w*Test)\.(\w+)`)");
  const std::set<std::string> tests = all_tests();
  ASSERT_GT(tests.size(), 500u);
  for (const fs::path& document : documents()) {
    const std::string text = read(document);
    for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
      const std::string name = (*it)[1].str() + "." + (*it)[2].str();
      EXPECT_TRUE(tests.contains(name)) << document.filename() << " names the test " << name;
    }
  }
}

TEST(DocumentsTest, TheCodeOfTheFirstScreenIsTheCode) {
  const std::string text = read(kRoot / "README.md");
  EXPECT_EQ(foreign_code(text), std::vector<std::string>());
  EXPECT_NE(text.find("```cpp"), text.npos);
  EXPECT_EQ(foreign_code("(src/layers/mlp.cc):\n```cpp\nreturn 7;\n```\n"),
            std::vector<std::string>{"return 7;"});
}

TEST(DocumentsTest, MistakesAreFound) {
  EXPECT_EQ(missing_paths("see `src/flow/check/check.h`, and src/flow/chock.h."),
            (std::vector<std::string>{"src/flow/chock.h"}));
  EXPECT_EQ(mistake_in("generate DIR --tp 2"), "");
  EXPECT_EQ(mistake_in("genarate DIR"), "no command genarate");
  EXPECT_EQ(mistake_in("bench latency DIR --tqp 2"), "no option --tqp");
  EXPECT_EQ(mistake_in("generate DIR --window 3"), "generate takes no --window");
  EXPECT_EQ(unknown_options("`--tp N` and `--tipi N`"), (std::vector<std::string>{"tipi"}));
  EXPECT_EQ(commands_in("`braid chat DIR` or\nbuild/release/braid verify DIR \\\n  --tp 2\n"),
            (std::vector<std::string>{"chat DIR", "verify DIR \\\n  --tp 2"}));
}

}  // namespace
}  // namespace braid::testing
