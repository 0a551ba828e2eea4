// The values that a template computes with: Python's, as far as templates can see them.
//
// Everything but a namespace is immutable once built (the sandbox that chat templates run in
// refuses append, update and the like), so values share their storage freely. Containers know how
// deeply they are nested; the factories of runtime.h bound that depth, so that walking or freeing a
// value never overflows the stack.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace braid::text::tmpl {

class Value;

// What a missing variable, attribute or item evaluates to. Prints as nothing, iterates as empty;
// any other use is an error that tells `message`.
struct Undefined {
  std::shared_ptr<const std::string> message;
};

struct None {};

struct Text {
  std::string bytes;   // valid UTF-8
  int64_t length = 0;  // code points
  bool safe = false;   // marked by the filter 'safe': what is added to it gets escaped (escape.h)

  bool is_ascii() const { return static_cast<size_t>(length) == bytes.size(); }
};
using TextPtr = std::shared_ptr<const Text>;

struct Items {
  std::vector<Value> values;
  int depth = 1;
};
using ItemsPtr = std::shared_ptr<const Items>;
struct List {
  ItemsPtr items;
};
struct Tuple {
  ItemsPtr items;
};

struct Entries {
  std::vector<std::pair<Value, Value>> pairs;  // in insertion order, keys distinct
  int depth = 1;
};
struct Dict {
  std::shared_ptr<const Entries> entries;
};

// range(start, stop, step), built with bounds and step of at most kMaxRangeBound: nothing
// overflows.
constexpr int64_t kMaxRangeBound = int64_t{1} << 32;
struct Range {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;  // not 0

  int64_t size() const;
  int64_t at(int64_t index) const { return start + index * step; }  // 0 <= index < size()
};
using RangePtr = std::shared_ptr<const Range>;

// What dict.keys(), .values() and .items() return.
struct View {
  enum class Part { keys, values, items };
  Part part;
  Dict dict;
};
using ViewPtr = std::shared_ptr<const View>;

// What map, select, reverse and other filters return: can be walked once, has no length and no
// text, and is true even when empty. Its items are computed at once, but an error among them shows
// only when it is reached.
struct Iterator {
  ItemsPtr items;
  Status failure;  // behind the items
  size_t next = 0;
};
using IteratorPtr = std::shared_ptr<Iterator>;

// namespace(): the one thing that a template can change. Owned by the Runtime, so that cycles of
// namespaces are freed.
struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

struct Callable;
using CallablePtr = std::shared_ptr<const Callable>;

// The variable `loop` inside a for: the items that are walked, of which those behind the current
// one are put to the for's filter only when they are asked for.
struct Loop {
  ItemsPtr source;
  std::function<Result<bool>(const Value&)> passes;  // the filter; null without one, and at the end
  std::vector<Value> passed;                         // with a filter: items that passed so far
  size_t tested = 0;                                 // with a filter: items of source put to it
  int64_t index0 = 0;
  ItemsPtr last_changed;  // arguments of the last call of loop.changed; null before the first

  // Item `index`, or null when there are not that many.
  Result<const Value*> at(int64_t index);
  Result<int64_t> length();
};
using LoopPtr = std::shared_ptr<Loop>;

class Value {
 public:
  using Data = std::variant<Undefined, None, bool, int64_t, double, TextPtr, List, Tuple, Dict,
                            RangePtr, ViewPtr, IteratorPtr, Namespace*, CallablePtr, LoopPtr>;

  Value() : data_(None{}) {}
  template <typename T>
  requires std::is_same_v<T, bool> Value(T value)
      : data_(value) {}                                  // NOLINT: bool only, never a pointer
  Value(int64_t value) : data_(value) {}                 // NOLINT
  Value(double value) : data_(value) {}                  // NOLINT
  Value(Undefined value) : data_(std::move(value)) {}    // NOLINT
  Value(TextPtr value) : data_(std::move(value)) {}      // NOLINT
  Value(List value) : data_(std::move(value)) {}         // NOLINT
  Value(Tuple value) : data_(std::move(value)) {}        // NOLINT
  Value(Dict value) : data_(std::move(value)) {}         // NOLINT
  Value(RangePtr value) : data_(std::move(value)) {}     // NOLINT
  Value(ViewPtr value) : data_(std::move(value)) {}      // NOLINT
  Value(IteratorPtr value) : data_(std::move(value)) {}  // NOLINT
  Value(Namespace* value) : data_(value) {}              // NOLINT
  Value(CallablePtr value) : data_(std::move(value)) {}  // NOLINT
  Value(LoopPtr value) : data_(std::move(value)) {}      // NOLINT

  // The T held, or null.
  template <typename T>
  const T* get_if() const {
    return std::get_if<T>(&data_);
  }
  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  bool is_none() const { return is<None>(); }
  bool is_undefined() const { return is<Undefined>(); }

  // The Text held, or null.
  const Text* text() const;
  // The items of a list or tuple, or null.
  const Items* sequence() const;
  // The entries of a dict, or null.
  const Entries* dict() const;
  // A bool or int as an int, as Python's int operations take it; false when it is neither.
  bool as_int(int64_t& out) const;
  // A bool, int or float as a float.
  bool as_double(double& out) const;

  // Python's bool().
  bool truthy() const;
  // Python's name of the type, for errors: 'str', 'list', 'Undefined', ...
  std::string_view type_name() const;
  // How deeply containers are nested in this value: 0 for a scalar.
  int depth() const;

  const Data& data() const { return data_; }

 private:
  Data data_;
};

class Runtime;
struct Arguments;
struct MacroNode;
struct Scope;

}  // namespace braid::text::tmpl
