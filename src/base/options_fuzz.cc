// Bytes → arguments, environment value and config file: parsing ends in options or in an error.
#include <algorithm>
#include <cstdint>

#include "base/options_table.h"

namespace {

// Splits at zero bytes: the config file, the environment's value, then the arguments.
std::vector<std::string> split(std::string_view bytes) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = bytes.find('\0');
    parts.emplace_back(bytes.substr(0, end));
    if (end == std::string_view::npos) return parts;
    bytes.remove_prefix(end + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::string> parts = split({reinterpret_cast<const char*>(data), size});
  parts.resize(std::max<size_t>(parts.size(), 2));
  braid::OptionSources sources;
  sources.environment = [&](const std::string& name) -> std::optional<std::string> {
    if (name == "BRAID_CONFIG") return "config.json";
    if (name == "BRAID_MAX_TOKENS" && !parts[1].empty()) return parts[1];
    return std::nullopt;
  };
  sources.read_file = [&](const std::string&) { return parts[0]; };
  std::vector<const char*> arguments = {"generate"};
  for (size_t i = 2; i < parts.size(); ++i) arguments.push_back(parts[i].c_str());

  const auto options = braid::parse(braid::braid_options(), arguments, sources);
  if (options.ok() && !options->help() && !options->version()) {
    BRAID_CHECK(options->integer("max-tokens") >= 1, "(out of range)");
    BRAID_CHECK(!options->text("model").empty(), "(empty path)");
    BRAID_CHECK(!options->explain().empty(), "(no table)");
  }
  if (!options.ok()) BRAID_CHECK(!options.error().message().empty(), "(no message)");
  return 0;
}
