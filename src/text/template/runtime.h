// What one rendering owns: its budget, its clock, its namespaces, and the factories of values.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/template/limits.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

// Containers nested more deeply are refused.
constexpr int kMaxNesting = 256;

// An error of the template's own: of a wrong type, a missing value, ...
template <typename... Args>
Error failure(fmt::format_string<Args...> text, Args&&... args) {
  return Error(ErrorKind::usage, fmt::format(text, std::forward<Args>(args)...));
}

// Something that jinja2 or Python has and this engine lacks: "<what> is not supported".
template <typename... Args>
Error not_supported(fmt::format_string<Args...> what, Args&&... args) {
  return Error(ErrorKind::unsupported,
               fmt::format(what, std::forward<Args>(args)...) + " is not supported");
}

// A result that Python has and this engine can't hold or print, said in a sentence.
template <typename... Args>
Error limitation(fmt::format_string<Args...> text, Args&&... args) {
  return Error(ErrorKind::unsupported, fmt::format(text, std::forward<Args>(args)...));
}

class Runtime {
 public:
  Runtime(const Limits& limits, std::function<std::tm()> now)
      : now(std::move(now)), limits_(limits) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Every evaluated node, visited element and kBytesPerStep bytes of text cost a step, so that one
  // budget bounds both time and memory. Errors: exhausted.
  Status charge(int64_t steps);
  Status charge_bytes(size_t bytes) {
    return charge(1 + static_cast<int64_t>(bytes / kBytesPerStep));
  }

  // Charge for a value's storage and build it. Errors: exhausted (budget, kMaxNesting).
  // `pairs` has distinct keys (see DictBuilder).
  Result<Value> text(std::string bytes, bool safe = false);
  Result<Value> list(std::vector<Value> values);
  Result<Value> tuple(std::vector<Value> values);
  Result<Value> dict(std::vector<std::pair<Value, Value>> pairs);
  // `failure` is what the walk ends in; a budget that is used up is an error at once.
  Result<Value> iterator(std::vector<Value> values, Status failure = {});
  Result<ItemsPtr> items(std::vector<Value> values);
  Namespace* new_namespace();

  const Limits& limits() const { return limits_; }

  const std::function<std::tm()> now;  // for strftime_now

 private:
  static constexpr size_t kBytesPerStep = 32;

  Limits limits_;
  int64_t steps_ = 0;
  std::vector<std::unique_ptr<Namespace>> namespaces_;
};

// The undefined value that tells `message` when it is used.
Value undefined(std::string message);

// The error of using `value` where it can't be used: an undefined value's own message, or else
// "`what` does not take a <type>".
Error misuse(std::string_view what, const Value& value);

}  // namespace braid::text::tmpl
