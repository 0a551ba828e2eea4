#include "text/template/sort.h"

#include <algorithm>

#include "text/template/compare.h"

namespace braid::text::tmpl {
namespace {

// Keys before the last may be equal values of any type; those that differ need an order, and a
// single key always does.
Result<bool> before(Runtime& runtime, const std::vector<Value>& left,
                    const std::vector<Value>& right) {
  for (size_t i = 0; i < left.size(); ++i) {
    if (!TRY(equal(runtime, left[i], right[i]))) {
      return TRY(order(runtime, left[i], right[i])) < 0;
    }
  }
  return false;
}

}  // namespace

Status sort_by_keys(Runtime& runtime, std::vector<Keyed>& items, bool reverse) {
  Status failed;
  // Once a comparison has failed nothing comes before anything, which ends the sort.
  std::stable_sort(items.begin(), items.end(), [&](const Keyed& left, const Keyed& right) {
    if (!failed.ok()) return false;
    const Result<bool> result =
        reverse ? before(runtime, right.keys, left.keys) : before(runtime, left.keys, right.keys);
    if (!result.ok()) failed = result.status();
    return result.ok() && *result;
  });
  return failed;
}

Status sort_pairs_by_key(Runtime& runtime, std::vector<std::pair<Value, Value>>& pairs) {
  std::vector<Keyed> keyed;
  for (auto& [key, value] : pairs) keyed.push_back({{key}, std::move(value)});
  TRY(sort_by_keys(runtime, keyed, /*reverse=*/false));
  for (size_t i = 0; i < pairs.size(); ++i) {
    pairs[i] = {std::move(keyed[i].keys[0]), std::move(keyed[i].value)};
  }
  return {};
}

}  // namespace braid::text::tmpl
