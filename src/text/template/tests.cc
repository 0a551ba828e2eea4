#include "text/template/tests.h"

#include "text/template/arithmetic.h"
#include "text/template/compare.h"
#include "text/template/filters.h"
#include "text/template/print.h"
#include "text/template/sequence.h"
#include "text/template/unicode.h"

namespace braid::text::tmpl {
namespace {

// A test that needs nothing but the value.
template <bool (*test)(const Value&)>
Result<Value> simple(Runtime&, const Value& self, const Arguments& arguments) {
  TRY(bind("a test", arguments, {}));
  return Value(test(self));
}

bool is_defined(const Value& value) { return !value.is_undefined(); }
bool is_undefined(const Value& value) { return value.is_undefined(); }
bool is_none(const Value& value) { return value.is_none(); }
bool is_boolean(const Value& value) { return value.is<bool>(); }
bool is_true(const Value& value) { return value.is<bool>() && value.truthy(); }
bool is_false(const Value& value) { return value.is<bool>() && !value.truthy(); }
bool is_integer(const Value& value) { return value.is<int64_t>(); }
bool is_float(const Value& value) { return value.is<double>(); }
bool is_number(const Value& value) {
  return is_integer(value) || is_float(value) || is_boolean(value);
}
bool is_string(const Value& value) { return value.text() != nullptr; }
bool is_escaped(const Value& value) { return value.text() != nullptr && value.text()->safe; }
bool is_mapping(const Value& value) { return value.dict() != nullptr; }
bool is_callable(const Value& value) {
  return value.is<CallablePtr>() || value.is_undefined() || value.is<LoopPtr>();
}
bool is_sequence(const Value& value) {
  return value.is_undefined() || value.text() != nullptr || value.sequence() != nullptr ||
         value.dict() != nullptr || value.is<RangePtr>();
}

template <Comparison op>
Result<Value> compares(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("a comparing test", arguments, {"other"}, 1));
  return Value(TRY(compare(runtime, op, self, bound[0])));
}

Result<bool> has_remainder(Runtime& runtime, const Value& value, const Value& divisor,
                           int64_t remainder) {
  const Value actual = TRY(arithmetic(runtime, Operator::modulo, value, divisor));
  return equal(runtime, actual, Value(remainder));
}

Result<Value> is_odd(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("odd", arguments, {}));
  return Value(TRY(has_remainder(runtime, self, Value(int64_t{2}), 1)));
}

Result<Value> is_even(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("even", arguments, {}));
  return Value(TRY(has_remainder(runtime, self, Value(int64_t{2}), 0)));
}

Result<Value> is_divisible_by(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("divisibleby", arguments, {"num"}, 1));
  return Value(TRY(has_remainder(runtime, self, bound[0], 0)));
}

template <bool (*test)(std::string_view)>
Result<Value> is_cased(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("a test", arguments, {}));
  const TextPtr text = TRY(to_text(runtime, self));
  TRY(runtime.charge_bytes(text->bytes.size()));
  return Value(test(text->bytes));
}

// Python's `is`: only for values of which there is just one.
Result<Value> is_same_as(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("sameas", arguments, {"other"}, 1));
  const auto is_singleton = [](const Value& value) { return value.is_none() || value.is<bool>(); };
  if (!is_singleton(self) && !is_singleton(bound[0])) {
    return not_supported("the test 'sameas' of anything but true, false and none");
  }
  return Value(self.data().index() == bound[0].data().index() &&
               self.truthy() == bound[0].truthy());
}

template <bool (*exists)(std::string_view)>
Result<Value> names(Runtime&, const Value& self, const Arguments& arguments) {
  TRY(bind("a test", arguments, {}));
  const Text* name = self.text();
  return Value(name != nullptr && exists(name->bytes));
}

constexpr NamedFunction kTests[] = {
    {"!=", compares<Comparison::not_equal>},
    {"<", compares<Comparison::less>},
    {"<=", compares<Comparison::less_equal>},
    {"==", compares<Comparison::equal>},
    {">", compares<Comparison::greater>},
    {">=", compares<Comparison::greater_equal>},
    {"boolean", simple<is_boolean>},
    {"callable", simple<is_callable>},
    {"defined", simple<is_defined>},
    {"divisibleby", is_divisible_by},
    {"eq", compares<Comparison::equal>},
    {"equalto", compares<Comparison::equal>},
    {"escaped", simple<is_escaped>},
    {"even", is_even},
    {"false", simple<is_false>},
    {"filter", names<is_jinja_filter>},
    {"float", simple<is_float>},
    {"ge", compares<Comparison::greater_equal>},
    {"greaterthan", compares<Comparison::greater>},
    {"gt", compares<Comparison::greater>},
    {"in", compares<Comparison::in>},
    {"integer", simple<is_integer>},
    {"iterable", simple<is_iterable>},
    {"le", compares<Comparison::less_equal>},
    {"lessthan", compares<Comparison::less>},
    {"lower", is_cased<all_lower>},
    {"lt", compares<Comparison::less>},
    {"mapping", simple<is_mapping>},
    {"ne", compares<Comparison::not_equal>},
    {"none", simple<is_none>},
    {"number", simple<is_number>},
    {"odd", is_odd},
    {"sameas", is_same_as},
    {"sequence", simple<is_sequence>},
    {"string", simple<is_string>},
    {"test", names<is_jinja_test>},
    {"true", simple<is_true>},
    {"undefined", simple<is_undefined>},
    {"upper", is_cased<all_upper>},
};

}  // namespace

Function find_test(std::string_view name) { return find_function(kTests, name); }

bool is_jinja_test(std::string_view name) { return find_test(name) != nullptr; }

}  // namespace braid::text::tmpl
