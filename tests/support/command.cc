#include "support/command.h"

#include <sstream>

#include "cli/run.h"

namespace braid::testing {

Json Ran::json() const {
  BRAID_CHECK(out.ends_with('\n'), "(output '{}', messages '{}')", out, err);
  const size_t before = out.rfind('\n', out.size() - 2);
  const std::string last = out.substr(before == out.npos ? 0 : before + 1);
  return parse_json(last, "last line").value();
}

Ran run_braid(const std::vector<std::string>& arguments, const Surroundings& around) {
  Ran ran;
  std::istringstream in(around.in);
  cli::Output out([&](std::string_view text) {
    if (around.write) return around.write(text);
    ran.out += text;
    return 0;
  });
  Console console({.write = [&](std::string_view text) { ran.err += text; }});
  OptionSources sources = process_sources();
  sources.environment = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = around.environment.find(name);
    if (found == around.environment.end()) return std::nullopt;
    return found->second;
  };
  cli::Streams streams{.in = in,
                       .in_is_terminal = around.in_is_terminal,
                       .out = out,
                       .console = console,
                       .sources = std::move(sources)};
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  ran.code = cli::run(pointers, streams);
  return ran;
}

}  // namespace braid::testing
