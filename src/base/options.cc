// The rows and the values: looking up names, checking values, typed access.
#include "base/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <set>

#include "base/json.h"
#include "base/spelling.h"

namespace braid {
namespace {

// A whole text as a number; nothing for leftovers, overflow, infinity and NaN.
template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) return std::nullopt;
  }
  return value;
}

bool is_legal(const OptionSpec& spec, std::string_view text) {
  const auto in_range = [&](double value) {
    return value >= spec.minimum && value <= spec.maximum;
  };
  switch (spec.type) {
    case OptionType::flag: return parse_flag(text).has_value();
    case OptionType::integer: {
      const auto value = parse_number<int64_t>(text);
      return value && in_range(static_cast<double>(*value));
    }
    case OptionType::number: {
      const auto value = parse_number<double>(text);
      return value && in_range(*value);
    }
    case OptionType::choice:
      return std::find(spec.choices.begin(), spec.choices.end(), text) != spec.choices.end();
    case OptionType::path: return !text.empty();
    case OptionType::text: return spec.accepts == nullptr || spec.accepts(text);
  }
  return false;
}

// Names are compared with '-' for '_', as other engines allow.
std::string dashed(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

template <typename T>
bool contains(const std::vector<T>& values, std::string_view value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

OptionTable::OptionTable(std::vector<CommandSpec> commands, std::vector<OptionSpec> options,
                         std::vector<ForeignOption> foreign)
    : commands_(std::move(commands)), options_(std::move(options)), foreign_(std::move(foreign)) {}

const OptionSpec* OptionTable::find(std::string_view name) const {
  const std::string wanted = dashed(name);
  for (const OptionSpec& spec : options_) {
    if (spec.name == wanted || contains(spec.aliases, wanted)) return &spec;
  }
  return nullptr;
}

const ForeignOption* OptionTable::find_foreign(std::string_view name) const {
  const std::string wanted = dashed(name);
  for (const ForeignOption& foreign : foreign_) {
    if (foreign.name == wanted) return &foreign;
  }
  return nullptr;
}

const CommandSpec* OptionTable::find_command(std::string_view name) const {
  for (const CommandSpec& command : commands_) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

std::string OptionTable::nearest(std::string_view name, std::string_view command) const {
  const std::string wanted = dashed(name);
  std::vector<std::string> known;
  for (const OptionSpec& spec : options_) {
    if (!takes(spec, command)) continue;
    known.emplace_back(spec.name);
    known.insert(known.end(), spec.aliases.begin(), spec.aliases.end());
  }
  return nearest_word(wanted, known);
}

bool takes(const OptionSpec& spec, std::string_view command) {
  return contains(spec.commands, command);
}

std::string environment_name(const OptionSpec& spec) {
  std::string name = "BRAID_";
  for (const char c : spec.name) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::string allowed_values(const OptionSpec& spec) {
  switch (spec.type) {
    case OptionType::flag: return "true or false";
    case OptionType::integer:
      return fmt::format("an integer from {:.0f} to {:.0f}", spec.minimum, spec.maximum);
    case OptionType::number:
      return fmt::format("a number from {} to {}", spec.minimum, spec.maximum);
    case OptionType::choice: return fmt::format("{}", fmt::join(spec.choices, ", "));
    case OptionType::path: return "a path";
    case OptionType::text: return spec.syntax.empty() ? "any text" : std::string(spec.syntax);
  }
  return "";
}

std::optional<bool> parse_flag(std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return std::nullopt;
}

Status check_value(const OptionSpec& spec, std::string_view text, std::string_view origin) {
  if (is_legal(spec, text)) return {};
  return Error(ErrorKind::usage, fmt::format("--{} does not take this value", spec.name))
      .with("value", spec.secret ? "(not shown)" : fmt::format("'{}'", text))
      .with("from", origin)
      .remedy(fmt::format("Allowed: {}.", allowed_values(spec)));
}

OptionSources process_sources() {
  OptionSources sources;
  sources.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* text = std::getenv(name.c_str());
    if (text == nullptr) return std::nullopt;
    return text;
  };
  sources.read_file = [](const std::string& path) { return read_file(path, int64_t{1} << 20); };
  return sources;
}

namespace {

Error bad_row(std::string_view name, std::string_view what) {
  return Error(ErrorKind::internal, std::string(what)).with("option", name);
}

Status check_row(const OptionTable& table, const OptionSpec& spec) {
  if (spec.help.empty() || spec.group.empty() || spec.commands.empty()) {
    return bad_row(spec.name, "a row lacks help, group or commands");
  }
  for (const std::string_view command : spec.commands) {
    if (table.find_command(command) == nullptr) return bad_row(spec.name, "unknown command in row");
  }
  if (spec.standard) TRY(check_value(spec, *spec.standard, "default"));
  if (spec.repeatable && spec.type != OptionType::text) {
    return bad_row(spec.name, "only texts are repeatable");
  }
  if (!spec.only_with.first.empty() && table.find(spec.only_with.first) == nullptr) {
    return bad_row(spec.name, "the row depends on an option that does not exist");
  }
  return {};
}

Status check_foreign(const OptionTable& table, const ForeignOption& foreign) {
  if (foreign.option.empty() == foreign.advice.empty()) {
    return bad_row(foreign.name, "a foreign name needs either an option or an advice");
  }
  if (foreign.option.empty()) return {};
  const OptionSpec* spec = table.find(foreign.option);
  if (spec == nullptr || foreign.takes_value != (spec->type != OptionType::flag)) {
    return bad_row(foreign.name, "a foreign name stands for no option, or one of another kind");
  }
  return {};
}

}  // namespace

Status OptionTable::check() const {
  std::set<std::string_view> names = {"help", "version"};
  for (const OptionSpec& spec : options_) {
    if (!names.insert(spec.name).second) return bad_row(spec.name, "a name is used twice");
    for (const std::string_view alias : spec.aliases) {
      if (!names.insert(alias).second) return bad_row(alias, "a name is used twice");
    }
    TRY(check_row(*this, spec));
  }
  for (const ForeignOption& foreign : foreign_) {
    if (!names.insert(foreign.name).second) return bad_row(foreign.name, "a name is used twice");
    TRY(check_foreign(*this, foreign));
  }
  return {};
}

const OptionSpec& ParsedOptions::spec(std::string_view name) const {
  const OptionSpec* spec = table_->find(name);
  BRAID_CHECK(spec != nullptr && spec->name == name, "(no option --{})", name);
  return *spec;
}

const ParsedOptions::Value& ParsedOptions::value(std::string_view name) const {
  const auto entry = values_.find(name);
  BRAID_CHECK(entry != values_.end(), "(--{} has no value)", name);
  return entry->second;
}

bool ParsedOptions::has(std::string_view name) const { return values_.count(spec(name).name) > 0; }

bool ParsedOptions::given(std::string_view name) const {
  return has(name) && value(name).origin != Origin::standard;
}

bool ParsedOptions::flag(std::string_view name) const {
  BRAID_CHECK(spec(name).type == OptionType::flag, "(--{} is no flag)", name);
  return has(name) && value(name).texts[0] == "true";
}

std::vector<std::string> ParsedOptions::values(std::string_view name) const {
  return has(name) ? value(name).texts : std::vector<std::string>();
}

int64_t ParsedOptions::integer(std::string_view name) const {
  BRAID_CHECK(spec(name).type == OptionType::integer, "(--{} is no integer)", name);
  return *parse_number<int64_t>(value(name).texts[0]);
}

double ParsedOptions::number(std::string_view name) const {
  BRAID_CHECK(spec(name).type == OptionType::number, "(--{} is no number)", name);
  return *parse_number<double>(value(name).texts[0]);
}

const std::string& ParsedOptions::text(std::string_view name) const {
  const OptionType type = spec(name).type;
  BRAID_CHECK(type == OptionType::text || type == OptionType::choice || type == OptionType::path,
              "(--{} is no text)", name);
  return value(name).texts[0];
}

std::vector<std::string> ParsedOptions::texts(std::string_view name) const {
  BRAID_CHECK(spec(name).repeatable, "(--{} is not repeatable)", name);
  return has(name) ? value(name).texts : std::vector<std::string>{};
}

Origin ParsedOptions::origin(std::string_view name) const { return value(spec(name).name).origin; }

}  // namespace braid
