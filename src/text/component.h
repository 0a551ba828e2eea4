// Reading the components of a tokenizer.json: objects with a "type" and fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/status.h"

namespace braid::text {

// What a component does in the pipeline: "normalizer", "decoder", … It names it in errors.
using Role = std::string_view;

// The component's "type". Errors: corrupt_data.
Result<std::string> component_type(const Json& component, Role role);

// The refusal of a type that is not done: names it and the `supported` ones.
Error unsupported_type(Role role, std::string_view type, std::string_view supported);

// The refusal of a field's value that is not done.
Error unsupported_field(Role role, std::string_view key, const Json& value,
                        std::string_view supported);

// Fields; null counts as absent. Errors: corrupt_data (absent without a default, or another type).
Result<bool> bool_field(const Json& component, Role role, std::string_view key, bool absent);
Result<std::string> string_field(const Json& component, Role role, std::string_view key);
Result<int64_t> integer_field(const Json& component, Role role, std::string_view key, int64_t low,
                              int64_t high);

// The integer in a value, or none if it is something else or out of [low, high].
std::optional<int64_t> integer_in(const Json& value, int64_t low, int64_t high);

// The members of the array `key`; the pointers live as long as `component`.
Result<std::vector<const Json*>> array_field(const Json& component, Role role,
                                             std::string_view key);

// The only character of the string `key`, as UTF-8.
Result<std::string> char_field(const Json& component, Role role, std::string_view key);

}  // namespace braid::text
