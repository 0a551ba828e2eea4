// The options machinery: rows of data in, parser, help, documentation and BRAID_* names out.
//
// A value comes from the first of: the command line, the environment variable BRAID_<NAME>, the
// JSON object in --config FILE (keys are option names), the row's default. Where each came from is
// kept. The rows of braid itself stand in options_table.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid {

enum class OptionType { flag, integer, number, text, choice, path };

// One option. Names are written without the leading dashes.
struct OptionSpec {
  std::string_view name;
  OptionType type = OptionType::text;
  std::string_view group;                  // heading in the help text
  std::string_view help;                   // one line: lower-case start, no full stop
  std::vector<std::string_view> commands;  // what takes it: "generate", "eval logits", …
  std::string_view value_name = {};        // in the help text: "N", "FILE"; none: from the type
  std::optional<std::string_view> standard = {};  // the default, as text; none: stays unset
  double minimum = 0;                             // integer and number: inclusive range
  double maximum = 0;
  std::vector<std::string_view> choices = {};
  std::vector<std::string_view> aliases = {};
  bool repeatable = false;  // text only; values add up in order
  bool positional = false;  // may stand first without its name
  bool required = false;
  bool everyday = false;                        // in the short help; required ones are, too
  bool secret = false;                          // its value is never printed
  bool (*accepts)(std::string_view) = nullptr;  // text only: a syntax of its own, and
  std::string_view syntax = {};                 // how errors and help describe it
  // Refused unless the other option has this value: {"load-format", "dummy"}.
  std::pair<std::string_view, std::string_view> only_with = {};
};

// A subcommand: "generate", or "eval logits" with a space in it.
struct CommandSpec {
  std::string_view name;
  std::string_view help;
};

// A name that users know from other engines. Either another name for `option`, or refused with
// `advice`, except for the values in `harmless`, which already describe what braid does.
struct ForeignOption {
  std::string_view name;
  bool takes_value = false;
  std::string_view option = {};
  std::string_view advice = {};
  std::vector<std::string_view> harmless = {};
};

// Which options a text of help has, and how wide it may be.
struct HelpStyle {
  bool all = true;  // else everyday options alone
  size_t columns = 100;
};

// The rows. Views in them must outlive the table (string literals do).
class OptionTable {
 public:
  OptionTable(std::vector<CommandSpec> commands, std::vector<OptionSpec> options,
              std::vector<ForeignOption> foreign);

  const std::vector<CommandSpec>& commands() const { return commands_; }
  const std::vector<OptionSpec>& options() const { return options_; }
  const std::vector<ForeignOption>& foreign() const { return foreign_; }

  // By name or alias, without dashes; '_' counts as '-'. nullptr when there is none.
  const OptionSpec* find(std::string_view name) const;
  const ForeignOption* find_foreign(std::string_view name) const;
  const CommandSpec* find_command(std::string_view name) const;
  // The known option of `command` whose name or alias is spelled most alike; empty when none is
  // alike enough to suggest.
  std::string nearest(std::string_view name, std::string_view command) const;

  // Help of a command, of a family ("eval"), or with an empty name of all of braid.
  std::string help_text(std::string_view command, const HelpStyle& style = {}) const;
  // The same facts as a page of documentation.
  std::string markdown() const;
  // Contradictions between rows (a name used twice, an illegal default, an unknown command).
  Status check() const;

 private:
  std::vector<CommandSpec> commands_;
  std::vector<OptionSpec> options_;
  std::vector<ForeignOption> foreign_;
};

bool takes(const OptionSpec& spec, std::string_view command);
std::string environment_name(const OptionSpec& spec);  // "max-tokens": "BRAID_MAX_TOKENS"
std::string allowed_values(const OptionSpec& spec);    // "an integer from 1 to 64"
// Whether `text` is a legal value; the error names option, value, origin and what is allowed.
std::optional<bool> parse_flag(std::string_view text);  // true, 1, false, 0
Status check_value(const OptionSpec& spec, std::string_view text, std::string_view origin);

enum class Origin { command_line, environment, config_file, standard };

class ParsedOptions {
 public:
  const std::string& command() const { return command_; }
  bool help() const { return help_; }          // "help", -h, --help: nothing else was checked
  bool help_all() const { return help_all_; }  // --help-all; help() holds, too
  bool version() const { return version_; }    // --version

  // Getters abort on a name that isn't in the table, or has another type. All but has() and
  // texts() also abort on an option without a value: ask has() first where there is no default.
  bool has(std::string_view name) const;    // has a value, be it the default
  bool given(std::string_view name) const;  // has a value that is not the default
  bool flag(std::string_view name) const;   // an unset flag is false
  int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  const std::string& text(std::string_view name) const;  // text, choice or path
  std::vector<std::string> texts(std::string_view name) const;
  std::vector<std::string> values(std::string_view name) const;  // of any type, as written
  Origin origin(std::string_view name) const;

  // Every option that the command takes, with its value and where that comes from.
  struct Shown {
    std::string_view name;
    std::optional<std::string> value;  // none: not set; of a secret not what it is
    std::string origin;                // "environment BRAID_SEED"
  };
  std::vector<Shown> shown() const;
  // The same as a table.
  std::string explain() const;

 private:
  friend class OptionParser;
  struct Value {
    std::vector<std::string> texts;
    Origin origin = Origin::standard;
    std::string origin_text;  // "environment BRAID_SEED"
  };
  const OptionSpec& spec(std::string_view name) const;
  const Value& value(std::string_view name) const;

  const OptionTable* table_ = nullptr;
  std::string command_;
  bool help_ = false;
  bool help_all_ = false;
  bool version_ = false;
  std::map<std::string, Value, std::less<>> values_;
};

// What parse() reads beside the arguments.
struct OptionSources {
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::function<Result<std::string>(const std::string& path)> read_file;
};
OptionSources process_sources();  // getenv and the file system

// Parses `arguments` (without the program's name). The table must outlive the result. Every error
// is one of usage, naming the option, the value and what is allowed.
Result<ParsedOptions> parse(const OptionTable& table, std::span<const char* const> arguments,
                            const OptionSources& sources);

}  // namespace braid
