// The modules of a quantized checkpoint that stay unquantized.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid::model {

// Exact names, globs (* and ?), and "re:" regular expressions that must match from the name's start
// but not to its end. Immutable; copies share the compiled patterns; thread-safe.
class IgnoreList {
 public:
  IgnoreList();  // lists nothing
  // An error for a regular expression that does not compile, and for globs with brackets.
  static Result<IgnoreList> parse(const std::vector<std::string>& entries);

  // Whether module "model.layers.0.mlp.gate" (a tensor name without .weight) is listed. An error
  // when a regular expression takes too many steps.
  Result<bool> matches(std::string_view module) const;

 private:
  struct Patterns;
  std::shared_ptr<const Patterns> patterns_;
};

// Whether all of `text` matches `glob`: * is any run of characters, ? any one.
bool glob_matches(std::string_view glob, std::string_view text);

}  // namespace braid::model
