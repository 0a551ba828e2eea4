// Accounts for every key of a model's files: read, known and harmless, or told to the user.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/config_reader.h"

namespace braid::model {

// Something that the user should know about a model's files.
struct Note {
  bool warning = true;  // else a remark: nothing is wrong
  std::string text;

  bool operator==(const Note&) const = default;
};

// Adds what there is to say about a reader's object once everything was read: its warnings, the
// keys that nobody read and that neither braid knows as harmless nor `unused` lists, and the values
// that are taken for absent keys. `where`: "config.json".
void account(const ConfigReader& config, std::span<const std::string_view> unused,
             std::vector<Note>& notes);

// The same for keys that come from --json-model-override-args: `given` are its top-level keys. An
// error (usage) when nobody knows such a key, with the nearest one that is known; a warning when it
// changes nothing.
Status account_overrides(const ConfigReader& config, std::span<const std::string_view> unused,
                         const std::set<std::string>& given, std::vector<Note>& notes);

}  // namespace braid::model
