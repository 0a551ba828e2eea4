// Parsing: command line, environment, config file and defaults, in that order.
#include <algorithm>

#include "base/json.h"
#include "base/options.h"
#include "base/spelling.h"

namespace braid {
namespace {

// The texts of a JSON value: one, or one an element of an array; nothing for null.
std::optional<std::vector<std::string>> config_texts(const Json& json) {
  if (json.is_null()) return std::nullopt;
  if (json.is_string()) return std::vector{json.get<std::string>()};
  if (!json.is_array()) return std::vector{json.dump()};
  std::vector<std::string> texts;
  for (const Json& element : json) {
    if (!element.is_string()) return std::nullopt;
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

}  // namespace

// One run of parse(): each step adds values that no earlier step has set.
class OptionParser {
 public:
  OptionParser(const OptionTable& table, const OptionSources& sources)
      : table_(table), sources_(sources) {
    options_.table_ = &table;
  }

  Result<ParsedOptions> run(std::span<const char* const> arguments) {
    arguments_ = arguments;
    TRY(take_command());
    if (!asked_for_text()) TRY(take_arguments());
    if (asked_for_text()) return std::move(options_);
    TRY(take_environment());
    TRY(take_config());
    take_defaults();
    TRY(check_together());
    return std::move(options_);
  }

 private:
  // An option as the user wrote it; foreign is set when the name is another engine's.
  struct Named {
    const OptionSpec* spec = nullptr;  // nullptr: a foreign name that is refused, or harmless
    const ForeignOption* foreign = nullptr;
  };

  bool asked_for_text() const { return options_.help_ || options_.version_; }

  bool take_general(std::string_view argument) {
    options_.help_all_ = options_.help_all_ || argument == "--help-all";
    options_.help_ =
        options_.help_ || argument == "-h" || argument == "--help" || options_.help_all_;
    options_.version_ = options_.version_ || argument == "--version";
    return asked_for_text();
  }

  // The first one or two arguments. A family without its second word ("eval --help") is a command
  // only for its help.
  Status take_command() {
    if (arguments_.empty()) return unknown_command("");
    if (arguments_[0] == std::string_view("help")) {
      options_.help_ = true;
      arguments_ = arguments_.subspan(1);
      if (arguments_.empty()) return {};
    }
    if (arguments_[0] == std::string_view("version")) options_.version_ = true;
    if (options_.version_) return {};
    for (size_t words = 0; words < 2 && words < arguments_.size(); ++words) {
      const bool asked = options_.help_;  // by the first word
      if (take_general(arguments_[words]) && !asked) return {};
      options_.command_ += (words == 0 ? "" : " ") + std::string(arguments_[words]);
      if (table_.find_command(options_.command_) != nullptr) {
        next_ = words + 1;
        return {};
      }
      if (!is_family(options_.command_)) break;
      if (asked && arguments_.size() == words + 1) return {};
    }
    return unknown_command(options_.command_);
  }

  bool is_family(std::string_view word) const {
    const std::string start = std::string(word) + " ";
    return std::any_of(table_.commands().begin(), table_.commands().end(),
                       [&](const CommandSpec& command) { return command.name.starts_with(start); });
  }

  Error unknown_command(std::string_view command) const {
    const bool family = is_family(command);
    std::vector<std::string> names, of_family;
    for (const CommandSpec& known : table_.commands()) {
      names.emplace_back(known.name);
      if (known.name.starts_with(std::string(command) + " ")) of_family.emplace_back(known.name);
    }
    const std::string nearest = family ? "" : nearest_command(command, names);
    const bool missing = command.empty() || family;
    return Error(ErrorKind::usage, missing ? "a command is missing" : "unknown command")
        .with("command", fmt::format("'{}'", command))
        .remedy(nearest.empty()
                    ? fmt::format("Commands: {}. braid help describes them.",
                                  fmt::join(family ? of_family : names, ", "))
                    : fmt::format("Did you mean braid {}? braid help lists all.", nearest));
  }

  // Also a command whose family or second word is spelled like it: "latency" of "bench latency".
  static std::string nearest_command(std::string_view command,
                                     const std::vector<std::string>& names) {
    std::string nearest = nearest_word(command, names);
    for (const std::string& name : names) {
      const size_t space = name.find(' ');
      if (!nearest.empty() || space == name.npos) continue;
      const std::string words[] = {name.substr(space + 1)};
      if (!nearest_word(command, words).empty()) nearest = name;
    }
    return nearest;
  }

  Status take_arguments() {
    bool only_positional = false;
    while (next_ < arguments_.size()) {
      const std::string_view argument = arguments_[next_++];
      if (argument == "--" && !only_positional) {
        only_positional = true;
      } else if (only_positional || argument.size() < 2 || argument[0] != '-') {
        TRY(take_positional(argument));
      } else if (take_general(argument)) {
        return {};
      } else {
        TRY(take_option(argument));
      }
    }
    return {};
  }

  Status take_positional(std::string_view argument) {
    for (const OptionSpec& spec : table_.options()) {
      if (!spec.positional || !takes(spec, options_.command_)) continue;
      if (options_.values_.count(spec.name) > 0) break;
      return set(spec, std::string(argument), Origin::command_line, "command line");
    }
    return Error(ErrorKind::usage, "unexpected argument")
        .with("argument", fmt::format("'{}'", argument))
        .remedy(fmt::format("braid {} --help lists what it takes.", options_.command_));
  }

  Status take_option(std::string_view argument) {
    const size_t equals = argument.find('=');
    const std::string_view written = argument.substr(0, equals);
    const Named named = TRY(resolve(written));
    const bool is_flag = named.foreign != nullptr ? !named.foreign->takes_value
                                                  : named.spec->type == OptionType::flag;
    std::string text = "true";
    if (equals != std::string_view::npos) {
      text = argument.substr(equals + 1);
    } else if (!is_flag) {
      text = TRY(following_value(written, named));
    }
    if (named.spec == nullptr) return refuse(*named.foreign, written, text);
    std::string origin = "command line";
    if (named.foreign != nullptr) origin += fmt::format(", as {}", written);
    return set(*named.spec, std::move(text), Origin::command_line, origin);
  }

  // The argument behind an option; another option there is more likely a forgotten value.
  Result<std::string> following_value(std::string_view written, const Named& named) {
    const bool more = next_ < arguments_.size();
    if (more && !is_option(arguments_[next_])) return std::string(arguments_[next_++]);
    return Error(ErrorKind::usage, "an option lacks its value")
        .with("option", written)
        .with("next argument", more ? arguments_[next_] : "none")
        .remedy(named.spec == nullptr
                    ? std::string(named.foreign->advice)
                    : fmt::format("Write {}=VALUE: {}.", written, allowed_values(*named.spec)));
  }

  bool is_option(std::string_view argument) const {
    if (argument == "-h" || argument == "--help" || argument == "--help-all") return true;
    if (!argument.starts_with("--")) return false;
    const std::string_view name = argument.substr(2, argument.find('=') - 2);
    return table_.find(name) != nullptr || table_.find_foreign(name) != nullptr;
  }

  // `written`: "--name", or a key of the config file. That file serves all commands, so that an
  // option of another command is refused on the command line only.
  Result<Named> resolve(std::string_view written) const {
    const bool dashed = written.starts_with("-");
    const size_t dashes = std::min(written.find_first_not_of('-'), written.size());
    const std::string_view name = written.substr(dashes);
    Named named;
    if (dashes == 2 || !dashed) {
      named.foreign = table_.find_foreign(name);
      named.spec = table_.find(named.foreign != nullptr ? named.foreign->option : name);
    }
    if (named.spec == nullptr && named.foreign == nullptr) return unknown_option(written, name);
    if (!dashed || named.spec == nullptr || takes(*named.spec, options_.command_)) return named;
    return Error(ErrorKind::usage, "this command does not take the option")
        .with("option", written)
        .with("command", options_.command_)
        .remedy(fmt::format("--{} belongs to: {}.", named.spec->name,
                            fmt::join(named.spec->commands, ", ")));
  }

  Error unknown_option(std::string_view written, std::string_view name) const {
    const std::string nearest = suggestion(name);
    const std::string list = fmt::format("braid {} --help-all lists all.", options_.command_);
    return Error(ErrorKind::usage, "unknown option")
        .with("option", written)
        .remedy(nearest.empty() ? list : fmt::format("Did you mean {}? {}", nearest, list));
  }

  // "--top-p"; for a word of one or two letters, which is like many, what begins so: "--tp or
  // --top-k". Nothing where that would be many.
  std::string suggestion(std::string_view name) const {
    constexpr size_t kShort = 2, kMost = 3;
    if (name.size() > kShort) {
      const std::string nearest = table_.nearest(name, options_.command_);
      return nearest.empty() ? nearest : "--" + nearest;
    }
    std::vector<std::string> begin_so;
    for (const OptionSpec& spec : table_.options()) {
      if (!takes(spec, options_.command_) || !spec.name.starts_with(name)) continue;
      if (spec.everyday || spec.required) begin_so.push_back(fmt::format("--{}", spec.name));
    }
    if (begin_so.empty() || begin_so.size() > kMost || name.empty()) return {};
    return fmt::format("{}", fmt::join(begin_so, " or "));
  }

  static Status refuse(const ForeignOption& foreign, std::string_view written,
                       std::string_view text) {
    const auto& harmless = foreign.harmless;
    if (std::find(harmless.begin(), harmless.end(), text) != harmless.end()) return {};
    return Error(ErrorKind::usage, "this is no option of braid")
        .with("option", written)
        .with("value", fmt::format("'{}'", text))
        .remedy(std::string(foreign.advice));
  }

  // Checks a value and stores it, unless a stronger origin has set the option already.
  Status set(const OptionSpec& spec, std::string text, Origin origin,
             const std::string& origin_text) {
    TRY(check_value(spec, text, origin_text));
    if (spec.type == OptionType::flag) text = *parse_flag(text) ? "true" : "false";
    const auto [entry, added] =
        options_.values_.try_emplace(std::string(spec.name), ParsedOptions::Value{});
    ParsedOptions::Value& value = entry->second;
    if (!added && value.origin != origin) return {};
    if (!added && !spec.repeatable) {
      return Error(ErrorKind::usage, fmt::format("--{} is given twice", spec.name))
          .with("first", fmt::format("'{}'", value.texts[0]))
          .with("second", fmt::format("'{}'", text))
          .with("from", origin_text);
    }
    value.origin = origin;
    value.origin_text = origin_text;
    value.texts.push_back(std::move(text));
    return {};
  }

  Status take_environment() {
    for (const OptionSpec& spec : table_.options()) {
      if (!takes(spec, options_.command_)) continue;
      const std::string variable = environment_name(spec);
      const auto text = sources_.environment(variable);
      if (text) TRY(set(spec, *text, Origin::environment, "environment " + variable));
    }
    return {};
  }

  Status take_config() {
    if (!options_.has("config")) return {};
    const std::string path = options_.text("config");
    const auto content = sources_.read_file(path);
    if (!content.ok()) {
      return Error(ErrorKind::usage, fmt::format("--config: {}", content.error().to_string()));
    }
    const auto json = parse_json(*content, path);
    if (!json.ok() || !json->is_object()) {
      return Error(ErrorKind::usage, "the config file is no JSON object")
          .with("--config", path)
          .remedy("Write one object: {\"max-tokens\": 64}.");
    }
    for (const auto& [key, value] : json->items()) TRY(take_config_entry(path, key, value));
    return {};
  }

  Status take_config_entry(const std::string& path, const std::string& key, const Json& json) {
    const std::string origin = "config " + path;
    const Result<Named> named = resolve(key);
    if (!named.ok()) {
      Error error = named.error();
      return std::move(error).with("from", origin);
    }
    const auto texts = config_texts(json);
    if (named->spec == nullptr) {
      return refuse(*named->foreign, key, texts && texts->size() == 1 ? texts->front() : "");
    }
    const OptionSpec& spec = *named->spec;
    if (!texts || spec.name == "config" || (json.is_array() && !spec.repeatable)) {
      return Error(ErrorKind::usage, fmt::format("the config file cannot set {} to this", key))
          .with("value", json.dump(-1, ' ', false, Json::error_handler_t::replace))
          .with("from", origin)
          .remedy(fmt::format("Allowed: {}.", spec.name == "config" ? "no config in a config"
                                                                    : allowed_values(spec)));
    }
    for (const std::string& text : *texts) {
      TRY(takes(spec, options_.command_) ? set(spec, text, Origin::config_file, origin)
                                         : check_value(spec, text, origin));
    }
    return {};
  }

  void take_defaults() {
    for (const OptionSpec& spec : table_.options()) {
      if (!spec.standard || !takes(spec, options_.command_)) continue;
      options_.values_.try_emplace(
          std::string(spec.name),
          ParsedOptions::Value{{std::string(*spec.standard)}, Origin::standard, "default"});
    }
  }

  Status check_together() const {
    for (const OptionSpec& spec : table_.options()) {
      if (!takes(spec, options_.command_)) continue;
      const auto& [other, value] = spec.only_with;
      if (options_.given(spec.name) && !other.empty() &&
          !(options_.has(other) && options_.text(other) == value)) {
        return Error(ErrorKind::usage, fmt::format("--{} needs --{} {}", spec.name, other, value))
            .with(spec.name, options_.value(spec.name).texts[0])
            .with("from", options_.value(spec.name).origin_text)
            .remedy(fmt::format("Add --{} {}, or leave --{} out.", other, value, spec.name));
      }
      if (spec.required && !options_.has(spec.name)) {
        return Error(ErrorKind::usage, fmt::format("--{} is missing", spec.name))
            .with("command", options_.command_)
            .remedy(fmt::format("Give {}: {}.", allowed_values(spec), spec.help));
      }
    }
    return {};
  }

  const OptionTable& table_;
  const OptionSources& sources_;
  ParsedOptions options_;
  std::span<const char* const> arguments_;
  size_t next_ = 0;
};

Result<ParsedOptions> parse(const OptionTable& table, std::span<const char* const> arguments,
                            const OptionSources& sources) {
  return OptionParser(table, sources).run(arguments);
}

}  // namespace braid
