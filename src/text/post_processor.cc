#include "text/post_processor.h"

#include <optional>
#include <utility>

#include "base/json.h"
#include "text/vocabulary.h"

namespace braid::text {
namespace {

constexpr Role kRole = "post-processor";
constexpr std::string_view kSupported = "ByteLevel, TemplateProcessing, Sequence, null";

Error bad_template(std::string_view reason) {
  return Error(ErrorKind::corrupt_data, "the post-processor's template is not as expected")
      .with("reason", reason);
}

// The member `key` of an object, null for anything else.
const Json* member(const Json& json, std::string_view key) {
  if (!json.is_object()) return nullptr;
  const auto at = json.find(key);
  return at == json.end() ? nullptr : &*at;
}

// Appends the ids that "special_tokens" gives for the name of a template's special token.
Status append_special(const Json& component, const Json& item, std::vector<int32_t>& ids) {
  const Json* table = member(component, "special_tokens");
  const std::string name = TRY(string_field(item, kRole, "id"));
  const Json* entry = table == nullptr ? nullptr : member(*table, name);
  if (entry == nullptr || !entry->is_object()) {
    return bad_template(fmt::format("special_tokens lacks '{}'", name));
  }
  for (const Json* id : TRY(array_field(*entry, kRole, "ids"))) {
    const auto value = integer_in(*id, 0, kMaxVocabularySize - 1);
    if (!value) return bad_template(fmt::format("an id of '{}' is out of range", name));
    ids.push_back(static_cast<int32_t>(*value));
  }
  return {};
}

// {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, …], …}
Result<PostProcessor> parse_template(const Json& component) {
  PostProcessor processor;
  bool behind = false;
  for (const Json* item : TRY(array_field(component, kRole, "single"))) {
    if (const Json* special = member(*item, "SpecialToken"); special && special->is_object()) {
      TRY(append_special(component, *special, behind ? processor.behind : processor.before));
      continue;
    }
    const Json* sequence = member(*item, "Sequence");
    const Json* id = sequence == nullptr ? nullptr : member(*sequence, "id");
    if (id == nullptr || *id != "A") {
      return bad_template("an item is neither a SpecialToken nor the Sequence A");
    }
    if (behind) return bad_template("the Sequence A stands twice");
    behind = true;
  }
  if (!behind) return bad_template("the Sequence A is missing");
  return processor;
}

Result<std::optional<PostProcessor>> parse_step(const Json& component);

Result<std::optional<PostProcessor>> parse_sequence(const Json& component) {
  std::optional<PostProcessor> all;
  for (const Json* json : TRY(array_field(component, kRole, "processors"))) {
    std::optional<PostProcessor> step = TRY(parse_step(*json));
    if (all && step) return unsupported_type(kRole, "several TemplateProcessing", "one");
    if (step) all = std::move(step);
  }
  return all;
}

// The tokens that a step adds; none for a step that adds none.
Result<std::optional<PostProcessor>> parse_step(const Json& component) {
  const std::string type = TRY(component_type(component, kRole));
  if (type == "ByteLevel") return std::optional<PostProcessor>();
  if (type == "TemplateProcessing") return std::optional(TRY(parse_template(component)));
  if (type == "Sequence") return parse_sequence(component);
  return unsupported_type(kRole, type, kSupported);
}

}  // namespace

Result<PostProcessor> parse_post_processor(const Json& component) {
  if (component.is_null()) return PostProcessor{};
  return TRY(parse_step(component)).value_or(PostProcessor{});
}

}  // namespace braid::text
