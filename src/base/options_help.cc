// What people read: --help, the page of documentation, and --explain's table of values.
#include <algorithm>

#include "base/json.h"
#include "base/options.h"
#include "base/terminal.h"

namespace braid {
namespace {

constexpr std::string_view kSources =
    "Every option can also be given as the environment variable BRAID_<NAME> (BRAID_MAX_TOKENS for "
    "--max-tokens) or as a key of the JSON object in --config FILE. The command line comes first, "
    "then the environment, then the file.";

constexpr size_t kPageColumns = 95;  // of the page of documentation

// Where the explanations start: on a narrow terminal below the names.
size_t help_column(size_t columns) { return columns >= 90 ? 36 : columns >= 70 ? 26 : 6; }

std::string value_name(const OptionSpec& spec) {
  if (!spec.value_name.empty()) return std::string(spec.value_name);
  switch (spec.type) {
    case OptionType::flag: return "";
    case OptionType::integer: return "N";
    case OptionType::number: return "X";
    case OptionType::choice: return fmt::format("{}", fmt::join(spec.choices, "|"));
    case OptionType::path: return "PATH";
    case OptionType::text: return "TEXT";
  }
  return "";
}

// "1 to 64, default 16", without the parts that say nothing.
std::string facts(const OptionSpec& spec) {
  std::vector<std::string> parts;
  if (spec.type == OptionType::integer || spec.type == OptionType::number) {
    parts.push_back(fmt::format("{} to {}", spec.minimum, spec.maximum));
  }
  if (!spec.syntax.empty()) parts.emplace_back(spec.syntax);
  if (spec.repeatable) parts.emplace_back("repeatable");
  if (!spec.only_with.first.empty()) {
    parts.push_back(fmt::format("with --{} {} only", spec.only_with.first, spec.only_with.second));
  }
  if (spec.required) parts.emplace_back("required");
  if (spec.standard) parts.push_back(fmt::format("default {}", *spec.standard));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// "  left      text", the text wrapped in a column of its own.
std::string two_columns(std::string_view left, std::string_view text, size_t columns) {
  const size_t indent = help_column(columns);
  std::string line = fmt::format("  {:<{}}", left, indent - 2);
  if (line.size() > indent) line += "\n" + std::string(indent, ' ');
  const std::string beside = wrapped(text, columns - indent);
  for (const char c : beside)
    line += c == '\n' ? "\n" + std::string(indent, ' ') : std::string(1, c);
  return line + "\n";
}

std::string option_lines(const OptionSpec& spec, size_t columns) {
  std::string names = fmt::format("--{}", spec.name);
  const std::string value = value_name(spec);
  if (!value.empty()) names += " " + value;
  std::string text(spec.help);
  if (spec.positional) text += "; also without its name, as the first argument";
  for (const std::string_view alias : spec.aliases) text += fmt::format("; also --{}", alias);
  const std::string more = facts(spec);
  if (!more.empty()) text += fmt::format(" ({})", more);
  return two_columns(names, text, columns);
}

// The groups' headings, each once, in the order of the rows that `wanted` picks.
template <typename Wanted>
std::vector<std::string_view> groups(const std::vector<OptionSpec>& options, Wanted wanted) {
  std::vector<std::string_view> names;
  for (const OptionSpec& spec : options) {
    if (wanted(spec) && std::find(names.begin(), names.end(), spec.group) == names.end()) {
      names.push_back(spec.group);
    }
  }
  return names;
}

std::string commands_help(const OptionTable& table, std::string_view family, size_t columns) {
  std::string text = fmt::format("Usage: braid {}COMMAND [MODEL] [OPTIONS]\n\nCommands\n",
                                 family.empty() ? "" : std::string(family) + " ");
  for (const CommandSpec& command : table.commands()) {
    if (family.empty() || command.name.starts_with(std::string(family) + " ")) {
      text += two_columns(command.name, command.help, columns);
    }
  }
  text += "\nGeneral\n";
  text += two_columns("help [COMMAND]", "this text, or a command's everyday options", columns);
  text += two_columns("-h, --help", "the same, in any place", columns);
  text += two_columns("--help-all", "behind a command, all of its options", columns);
  text += two_columns("--version", "the version", columns);
  return text + "\n" + wrapped(kSources, columns) + "\n";
}

// Text in a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string option_row(const OptionSpec& spec, size_t all_commands) {
  std::string names = fmt::format("`--{}`", spec.name);
  for (const std::string_view alias : spec.aliases) names += fmt::format(", `--{}`", alias);
  const std::string value = value_name(spec);
  const std::string more = facts(spec);
  const bool all = spec.commands.size() == all_commands;
  return fmt::format("| {} | {} | {}{} | {} |\n", names,
                     value.empty() ? "" : "`" + cell(value) + "`", cell(spec.help),
                     more.empty() ? "" : cell(" (" + more + ")"),
                     all ? "all" : fmt::format("{}", fmt::join(spec.commands, ", ")));
}

std::string foreign_meaning(const ForeignOption& foreign) {
  std::string meaning(foreign.advice);
  if (!foreign.option.empty()) meaning = fmt::format("another name for `--{}`", foreign.option);
  if (foreign.harmless.empty()) return meaning;
  if (!foreign.takes_value) return "accepted, changes nothing: " + meaning;
  return fmt::format("`{}`: accepted, changes nothing; else refused: {}",
                     fmt::join(foreign.harmless, "`, `"), meaning);
}

// One row for each meaning, with all names that share it.
std::string foreign_rows(const std::vector<ForeignOption>& foreign) {
  std::vector<std::pair<std::string, std::string>> rows;  // meaning, names
  for (const ForeignOption& name : foreign) {
    const std::string meaning = foreign_meaning(name);
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const auto& known) { return known.first == meaning; });
    if (row == rows.end()) {
      rows.emplace_back(meaning, fmt::format("`--{}`", name.name));
    } else {
      row->second += fmt::format(", `--{}`", name.name);
    }
  }
  std::string text;
  for (const auto& [meaning, names] : rows) {
    text += fmt::format("| {} | {} |\n", names, cell(meaning));
  }
  return text;
}

// A row of --explain's table. An origin that its value leaves no room for stands on the next line.
std::string explain_row(std::string_view option, std::string_view value, std::string_view origin) {
  constexpr size_t kOption = 26;  // columns
  constexpr size_t kValue = 32;
  // fmt pads by columns on the screen: of a wide character two, whatever its bytes.
  const bool fits = fmt::format("{:<{}}", value, kValue + 1).size() > value.size();
  if (fits) return fmt::format("{:<{}} {:<{}} {}\n", option, kOption, value, kValue, origin);
  const std::string indent(kOption + kValue + 2, ' ');
  return fmt::format("{:<{}} {}\n{}{}\n", option, kOption, value, indent, origin);
}

}  // namespace

std::string OptionTable::help_text(std::string_view command, const HelpStyle& style) const {
  const CommandSpec* spec = find_command(command);
  if (spec == nullptr) return commands_help(*this, command, style.columns);
  const auto wanted = [&](const OptionSpec& option) {
    return takes(option, command) && (style.all || option.everyday || option.required);
  };
  const bool model = std::any_of(options_.begin(), options_.end(), [&](const OptionSpec& option) {
    return option.positional && wanted(option);
  });
  const std::string head = fmt::format("braid {}: {}", command, spec->help);
  std::string text = fmt::format("{}\n\nUsage: braid {}{} [OPTIONS]\n",
                                 wrapped(head, style.columns), command, model ? " MODEL" : "");
  for (const std::string_view group : groups(options_, wanted)) {
    text += fmt::format("\n{}\n", group);
    for (const OptionSpec& option : options_) {
      if (wanted(option) && option.group == group) text += option_lines(option, style.columns);
    }
  }
  const auto left_out = std::count_if(
      options_.begin(), options_.end(),
      [&](const OptionSpec& option) { return takes(option, command) && !wanted(option); });
  const std::string more =
      fmt::format("There are {} more options: braid {} --help-all.", left_out, command);
  return text + "\n" + wrapped(left_out > 0 ? more : kSources, style.columns) + "\n";
}

std::string OptionTable::markdown() const {
  std::string text = fmt::format(
      "# Options\n\n{}\n\n## Commands\n\n| command | what it does |\n"
      "| --- | --- |\n",
      wrapped(kSources, kPageColumns));
  for (const CommandSpec& command : commands_) {
    text += fmt::format("| `braid {}` | {} |\n", command.name, cell(command.help));
  }
  for (const std::string_view group : groups(options_, [](const OptionSpec&) { return true; })) {
    text += fmt::format(
        "\n## {}\n\n| option | value | meaning | commands |\n"
        "| --- | --- | --- | --- |\n",
        group);
    for (const OptionSpec& option : options_) {
      if (option.group == group) text += option_row(option, commands_.size());
    }
  }
  text += "\n## Names from other engines\n\n| name | in braid |\n| --- | --- |\n";
  return text + foreign_rows(foreign_);
}

std::vector<ParsedOptions::Shown> ParsedOptions::shown() const {
  std::vector<Shown> all;
  for (const OptionSpec& spec : table_->options()) {
    if (!takes(spec, command_)) continue;
    if (!has(spec.name)) {
      all.push_back({.name = spec.name, .value = {}, .origin = "not set"});
      continue;
    }
    const Value& set = value(spec.name);
    all.push_back({.name = spec.name,
                   .value = spec.secret ? std::string("(not shown)")
                                        : fmt::format("{}", fmt::join(set.texts, ", ")),
                   .origin = set.origin_text});
  }
  return all;
}

std::string ParsedOptions::explain() const {
  std::string text = explain_row("option", "value", "origin");
  for (const Shown& option : shown()) {
    std::string value = option.value.value_or("-");
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' '; };
    if (std::any_of(value.begin(), value.end(), is_control)) {
      value = Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    text += explain_row(option.name, value, option.origin);
  }
  return text;
}

}  // namespace braid
