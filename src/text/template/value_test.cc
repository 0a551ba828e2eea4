// Values and the operations on them, without a template.
#include "text/template/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/json.h"
#include "text/template/access.h"
#include "text/template/arithmetic.h"
#include "text/template/compare.h"
#include "text/template/json_text.h"
#include "text/template/print.h"
#include "text/template/sequence.h"
#include "text/template/sort.h"

namespace braid::text::tmpl {
namespace {

constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();

class ValueTest : public testing::Test {
 protected:
  Value integer(int64_t value) { return Value(value); }
  Value text(const std::string& value) { return *runtime_.text(value); }
  Value list(std::vector<Value> values) { return *runtime_.list(std::move(values)); }
  Value tuple(std::vector<Value> values) { return *runtime_.tuple(std::move(values)); }
  Value numbers(int64_t count) {
    std::vector<Value> values;
    for (int64_t i = 0; i < count; ++i) values.emplace_back(i);
    return list(std::move(values));
  }
  Value range(int64_t start, int64_t stop, int64_t step) {
    return std::make_shared<const Range>(Range{start, stop, step});
  }

  std::string shown(const Result<Value>& value) {
    if (!value.ok()) return "error: " + value.error().message();
    std::string out;
    const Status status = append_repr(runtime_, *value, out);
    return status.ok() ? out : "error: " + status.error().message();
  }
  std::string calculated(Operator op, const Value& left, const Value& right) {
    return shown(arithmetic(runtime_, op, left, right));
  }
  std::string sliced(const Value& value, const Value& start, const Value& stop, const Value& step) {
    return shown(slice(runtime_, value, start, stop, step));
  }

  Runtime runtime_{Limits{}, {}};
};

TEST_F(ValueTest, RangeSizes) {
  EXPECT_EQ((Range{0, 5, 1}).size(), 5);
  EXPECT_EQ((Range{0, 5, 2}).size(), 3);
  EXPECT_EQ((Range{5, 0, -2}).size(), 3);
  EXPECT_EQ((Range{0, 0, 1}).size(), 0);
  EXPECT_EQ((Range{0, 5, -1}).size(), 0);
  EXPECT_EQ((Range{kMaxRangeBound, -kMaxRangeBound, -kMaxRangeBound}).size(), 2);
}

TEST_F(ValueTest, FloatsPrintAsInPython) {
  EXPECT_EQ(float_repr(1), "1.0");
  EXPECT_EQ(float_repr(-0.0), "-0.0");
  EXPECT_EQ(float_repr(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(float_repr(1e15), "1000000000000000.0");
  EXPECT_EQ(float_repr(1e16), "1e+16");
  EXPECT_EQ(float_repr(1.5e16), "1.5e+16");
  EXPECT_EQ(float_repr(0.0001), "0.0001");
  EXPECT_EQ(float_repr(0.00001), "1e-05");
  EXPECT_EQ(float_repr(5e-324), "5e-324");
  EXPECT_EQ(float_repr(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(float_repr(123456.75), "123456.75");
  EXPECT_EQ(float_repr(HUGE_VAL), "inf");
  EXPECT_EQ(float_repr(-HUGE_VAL), "-inf");
  EXPECT_EQ(float_repr(std::nan("")), "nan");
}

TEST_F(ValueTest, TextsAreQuotedAsInPython) {
  const auto quoted = [](std::string_view text) {
    std::string out;
    append_quoted(text, out);
    return out;
  };
  EXPECT_EQ(quoted("a"), "'a'");
  EXPECT_EQ(quoted("it's"), "\"it's\"");
  EXPECT_EQ(quoted("\"it's\""), "'\"it\\'s\"'");
  EXPECT_EQ(quoted("\n\t\r\\ \x01\x7f"), "'\\n\\t\\r\\\\ \\x01\\x7f'");
  EXPECT_EQ(quoted("é\u00a0\u200b\U000e0001"), "'é\\xa0\\u200b\\U000e0001'");
}

TEST_F(ValueTest, ContainersPrint) {
  const Value one = tuple({integer(1)});
  EXPECT_EQ(shown(list({one, Value(), Value(true), text("a"), Value(0.5)})),
            "[(1,), None, True, 'a', 0.5]");
  EXPECT_EQ(shown(range(0, 5, 1)), "range(0, 5)");
  EXPECT_EQ(shown(undefined("x")), "Undefined");
}

TEST_F(ValueTest, IntArithmeticAtTheEdges) {
  EXPECT_EQ(calculated(Operator::floor_divide, integer(kLowest), integer(-1)),
            "error: the result of '//' has more than 64 bits");
  EXPECT_EQ(calculated(Operator::modulo, integer(kLowest), integer(-1)), "0");
  EXPECT_EQ(calculated(Operator::add, integer(kHighest), integer(1)),
            "error: the result of '+' has more than 64 bits");
  EXPECT_EQ(calculated(Operator::multiply, integer(kHighest), integer(2)),
            "error: the result of '*' has more than 64 bits");
  EXPECT_EQ(calculated(Operator::subtract, integer(kLowest), integer(1)),
            "error: the result of '-' has more than 64 bits");
  EXPECT_EQ(calculated(Operator::power, integer(-1), integer(kHighest)), "-1");
  EXPECT_EQ(calculated(Operator::power, integer(0), integer(kHighest)), "0");
  EXPECT_EQ(calculated(Operator::power, integer(2), integer(62)), "4611686018427387904");
  EXPECT_EQ(calculated(Operator::power, integer(0), integer(-1)), "error: division by zero");
}

TEST_F(ValueTest, QuotientsRoundDown) {
  EXPECT_EQ(calculated(Operator::floor_divide, integer(-7), integer(2)), "-4");
  EXPECT_EQ(calculated(Operator::modulo, integer(-7), integer(2)), "1");
  EXPECT_EQ(calculated(Operator::modulo, integer(7), integer(-2)), "-1");
  EXPECT_EQ(calculated(Operator::floor_divide, Value(-7.5), Value(2.0)), "-4.0");
  EXPECT_EQ(calculated(Operator::modulo, Value(-7.5), Value(2.0)), "0.5");
  EXPECT_EQ(calculated(Operator::modulo, Value(6.0), Value(-2.0)), "-0.0");
  EXPECT_EQ(calculated(Operator::divide, integer(1), integer(2)), "0.5");
  EXPECT_EQ(calculated(Operator::divide, Value(1.0), Value(0.0)), "error: division by zero");
}

TEST_F(ValueTest, TypesThatDoNotGoTogether) {
  EXPECT_EQ(calculated(Operator::add, text("a"), integer(1)),
            "error: '+' does not take a value of type 'str' and one of type 'int'");
  EXPECT_EQ(calculated(Operator::add, list({}), tuple({})),
            "error: '+' does not take a value of type 'list' and one of type 'tuple'");
  EXPECT_EQ(calculated(Operator::add, undefined("no x"), integer(1)), "error: no x");
  EXPECT_EQ(calculated(Operator::add, integer(1), undefined("no x")), "error: no x");
}

TEST_F(ValueTest, EqualityAcrossTypes) {
  const auto same = [&](const Value& a, const Value& b) { return *equal(runtime_, a, b); };
  EXPECT_TRUE(same(integer(1), Value(1.0)));
  EXPECT_TRUE(same(integer(1), Value(true)));
  EXPECT_TRUE(same(undefined("x"), undefined("y")));
  EXPECT_FALSE(same(undefined("x"), Value()));
  EXPECT_FALSE(same(list({}), tuple({})));
  EXPECT_FALSE(same(text("1"), integer(1)));
  EXPECT_FALSE(same(Value(std::nan("")), Value(std::nan(""))));
  // Neither is the nearest float of the other.
  EXPECT_FALSE(same(integer(9007199254740993), Value(9007199254740992.0)));
  EXPECT_FALSE(same(integer(kHighest), Value(0x1p63)));
}

TEST_F(ValueTest, OrderOfNumbersAndSequences) {
  const auto before = [&](const Value& a, const Value& b) {
    return *compare(runtime_, Comparison::less, a, b);
  };
  EXPECT_TRUE(before(integer(9007199254740992), Value(9007199254740994.0)));
  EXPECT_FALSE(before(Value(std::nan("")), integer(1)));
  EXPECT_FALSE(*compare(runtime_, Comparison::greater_equal, Value(std::nan("")), integer(1)));
  EXPECT_TRUE(before(text("Z"), text("a")));
  EXPECT_TRUE(before(text("\uffff"), text("\U00010000")));
  EXPECT_TRUE(before(list({integer(1)}), list({integer(1), integer(0)})));
  EXPECT_TRUE(before(tuple({Value(), integer(1)}), tuple({Value(), integer(2)})));
  EXPECT_FALSE(compare(runtime_, Comparison::less, text("a"), integer(1)).ok());
  EXPECT_FALSE(compare(runtime_, Comparison::less, Value(), Value()).ok());
}

TEST_F(ValueTest, DictsKeepTheirFirstKeyAndLastValue) {
  DictBuilder builder(runtime_);
  EXPECT_TRUE(builder.set(integer(1), text("a")).ok());
  EXPECT_TRUE(builder.set(text("k"), text("b")).ok());
  EXPECT_TRUE(builder.set(Value(1.0), text("c")).ok());
  EXPECT_FALSE(builder.set(list({}), text("d")).ok());
  EXPECT_FALSE(builder.set(tuple({list({})}), text("d")).ok());
  EXPECT_EQ(shown(builder.finish()), "{1: 'c', 'k': 'b'}");
}

TEST_F(ValueTest, SlicesClampTheirBounds) {
  const Value none;
  const Value ten = numbers(4);
  EXPECT_EQ(sliced(ten, integer(1), integer(3), integer(1)), "[1, 2]");
  EXPECT_EQ(sliced(ten, integer(-2), none, integer(1)), "[2, 3]");
  EXPECT_EQ(sliced(ten, none, none, integer(-1)), "[3, 2, 1, 0]");
  EXPECT_EQ(sliced(ten, integer(kLowest), integer(kHighest), integer(1)), "[0, 1, 2, 3]");
  EXPECT_EQ(sliced(ten, integer(kHighest), integer(kLowest), integer(-1)), "[3, 2, 1, 0]");
  EXPECT_EQ(sliced(ten, none, none, integer(kHighest)), "[0]");
  EXPECT_EQ(sliced(ten, none, none, integer(kLowest)), "[3]");
  EXPECT_EQ(sliced(ten, none, none, integer(0)), "error: a slice's step is 0");
  EXPECT_EQ(sliced(ten, text("a"), none, integer(1)),
            "error: a slice is bounded by ints or none, not by a value of type 'str'");
  EXPECT_EQ(sliced(text("aé日x"), integer(1), integer(3), integer(1)), "'é日'");
  EXPECT_EQ(sliced(text("aé日x"), none, none, integer(-2)), "'xé'");
  EXPECT_EQ(sliced(tuple({integer(1), integer(2)}), none, integer(1), integer(1)), "(1,)");
}

TEST_F(ValueTest, SlicesOfRangesAreRanges) {
  const Value none;
  EXPECT_EQ(sliced(range(0, 10, 1), integer(2), integer(5), integer(1)), "range(2, 5)");
  EXPECT_EQ(sliced(range(0, 10, 3), none, none, integer(-1)), "range(9, -3, -3)");
  EXPECT_EQ(sliced(range(0, 10, 1), none, none, integer(kHighest)),
            "error: a range with steps beyond 4294967296 is not supported");
}

TEST_F(ValueTest, IteratorsAreUsedUp) {
  const Value it = *runtime_.iterator({integer(1), integer(2), integer(3)});
  EXPECT_TRUE(*contains(runtime_, it, integer(2)));
  EXPECT_EQ(shown(Value(List{*iterate(runtime_, it)})), "[3]");
  EXPECT_EQ(shown(Value(List{*iterate(runtime_, it)})), "[]");
  EXPECT_TRUE(it.truthy());
  EXPECT_FALSE(length_of(runtime_, it).ok());
}

TEST_F(ValueTest, AnIteratorsErrorWaitsUntilItIsReached) {
  const Value it = *runtime_.iterator({integer(1)}, failure("late"));
  EXPECT_TRUE(*contains(runtime_, it, integer(1)));
  EXPECT_EQ(iterate(runtime_, it).error().message(), "late");
  EXPECT_FALSE(runtime_.iterator({}, Error(ErrorKind::exhausted, "now")).ok());
}

TEST_F(ValueTest, DepthOfNestingIsBounded) {
  Value nested = list({});
  for (int i = 1; i < kMaxNesting; ++i) nested = list({nested});
  EXPECT_EQ(nested.depth(), kMaxNesting);
  EXPECT_EQ(runtime_.list({nested}).error().kind(), ErrorKind::exhausted);
  EXPECT_EQ(runtime_.dict({{text("a"), nested}}).error().kind(), ErrorKind::exhausted);
  EXPECT_EQ(runtime_.iterator({nested}).error().kind(), ErrorKind::exhausted);
  // A method holds its object, and so counts it.
  const Value method = *get_attribute(runtime_, nested, "index");
  EXPECT_EQ(runtime_.list({method}).error().kind(), ErrorKind::exhausted);
}

TEST_F(ValueTest, WorkIsBounded) {
  Runtime poor(Limits{.steps = 100}, {});
  EXPECT_TRUE(poor.text(std::string(3000, 'x')).ok());
  EXPECT_EQ(poor.text(std::string(3000, 'x')).error().kind(), ErrorKind::exhausted);
}

TEST_F(ValueTest, SortingIsStableBothWaysAndStopsAtErrors) {
  const auto sorted = [&](bool reverse, const std::vector<Value>& keys) {
    std::vector<Keyed> items;
    for (size_t i = 0; i < keys.size(); ++i) items.push_back({{keys[i]}, integer(i)});
    const Status status = sort_by_keys(runtime_, items, reverse);
    if (!status.ok()) return "error: " + status.error().message();
    std::string out;
    for (const Keyed& item : items) out += (*to_text(runtime_, item.value))->bytes;
    return out;
  };
  const Value a = integer(1);
  const Value b = integer(2);
  EXPECT_EQ(sorted(false, {b, a, b, a}), "1302");
  EXPECT_EQ(sorted(true, {b, a, b, a}), "0213");
  EXPECT_EQ(sorted(false, {Value(), Value()}), "01");
  EXPECT_EQ(sorted(false, {a, text("x"), b, a}),
            "error: there is no order between a value of type 'str' and one of type 'int'");
}

TEST_F(ValueTest, PathsFollowItems) {
  const nlohmann::ordered_json json = nlohmann::ordered_json::parse(R"({"a": [{"b": 7}], "1": 8})");
  const Value value = *from_json(runtime_, json);
  const auto at = [&](const Value& path) {
    return shown(follow(runtime_, value, *parse_path(runtime_, path)));
  };
  EXPECT_EQ(at(text("a.0.b")), "7");
  EXPECT_EQ(at(text("a.1")), "Undefined");
  EXPECT_EQ(at(text("1")), "Undefined");  // digits are an index, which the dict lacks
  EXPECT_EQ(at(Value()), "{'a': [{'b': 7}], '1': 8}");
  EXPECT_EQ(at(text("x.y")), "error: a dict has no attribute 'x'");
  EXPECT_FALSE(parse_path(runtime_, text("99999999999999999999")).ok());
}

TEST_F(ValueTest, JsonText) {
  const auto dumped = [&](const Value& value, const JsonStyle& style = {}) {
    std::string out;
    const Status status = append_json(runtime_, value, style, out);
    return status.ok() ? out : "error: " + status.error().message();
  };
  EXPECT_EQ(dumped(text("\"\\\n\r\t\f\b\x01\x7f/é\u2028😀")),
            "\"\\\"\\\\\\n\\r\\t\\f\\b\\u0001\x7f/é\u2028😀\"");
  EXPECT_EQ(dumped(text("\x7fé😀"), {.ensure_ascii = true}), "\"\\u007f\\u00e9\\ud83d\\ude00\"");
  EXPECT_EQ(dumped(list({Value(HUGE_VAL), Value(-HUGE_VAL), Value(std::nan(""))})),
            "[Infinity, -Infinity, NaN]");
  EXPECT_EQ(dumped(undefined("no x")), "error: no x");
  EXPECT_EQ(dumped(range(0, 1, 1)), "error: tojson does not take a value of type 'range'");
  DictBuilder builder(runtime_);
  EXPECT_TRUE(builder.set(integer(2), Value()).ok());
  EXPECT_TRUE(builder.set(integer(1), list({Value(true)})).ok());
  const Value dict = *builder.finish();
  EXPECT_EQ(dumped(dict, {.sort_keys = true}), "{\"1\": [true], \"2\": null}");
  EXPECT_EQ(dumped(dict, {.indent = " ", .item_separator = ","}),
            "{\n \"2\": null,\n \"1\": [\n  true\n ]\n}");
}

}  // namespace
}  // namespace braid::text::tmpl
