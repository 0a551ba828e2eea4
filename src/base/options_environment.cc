#include "base/options_environment.h"

#include <unistd.h>

#include <algorithm>

#include "base/spelling.h"

namespace braid {
namespace {

constexpr std::string_view kPrefix = "BRAID_";
// What braid's own tests and checks read.
constexpr std::string_view kOthers[] = {"BRAID_LONG", "BRAID_WRITE_DOCS", "BRAID_PROGRAM"};

}  // namespace

std::vector<std::string> process_variables() {
  std::vector<std::string> names;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry = *at;
    if (entry.starts_with(kPrefix)) names.emplace_back(entry.substr(0, entry.find('=')));
  }
  return names;
}

std::vector<std::string> unknown_variables(const OptionTable& table,
                                           std::span<const std::string> names) {
  std::vector<std::string> known;
  for (const OptionSpec& spec : table.options()) known.push_back(environment_name(spec));
  std::vector<std::string> warnings;
  for (const std::string& name : names) {
    const bool other = std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
    if (other || std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string nearest = nearest_word(name, known);
    warnings.push_back(fmt::format("the environment variable {} is no option of braid{}", name,
                                   nearest.empty() ? "" : fmt::format(": {} is", nearest)));
  }
  return warnings;
}

}  // namespace braid
