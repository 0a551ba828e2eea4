#include "flow/program.h"

#include <gtest/gtest.h>

#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

struct Product {};
struct ProductOperand {
  enum : size_t { x, bias, y, num_operands };
};
constexpr auto kProductOperands = operand_specs<ProductOperand>(
    {{ProductOperand::x, "x"},
     {ProductOperand::bias, "bias", Access::read, Slicing::whole, true},
     {ProductOperand::y, "y", Access::write}});

}  // namespace

template <>
const KindInfo& kind_of<Product>() {
  static const KindInfo kInfo{.name = "product", .operands = kProductOperands};
  return kInfo;
}

namespace {

using testing::Draft;

TEST(RegionTest, OverlapsAndConflicts) {
  const Region rows{0, 2, 6, Access::read};
  EXPECT_TRUE(overlap(rows, {0, 5, 8, Access::read}));
  EXPECT_FALSE(overlap(rows, {0, 6, 8, Access::read}));
  EXPECT_FALSE(overlap(rows, {1, 2, 6, Access::read}));
  EXPECT_FALSE(overlap(rows, {0, 4, 4, Access::write}));  // no rows
  EXPECT_FALSE(conflict(rows, {0, 2, 6, Access::read}));
  EXPECT_TRUE(conflict(rows, {0, 2, 3, Access::write}));
  EXPECT_TRUE(conflict(rows, {0, 2, 3, Access::read_write}));
}

TEST(KindTest, SpecsStandInTheOrderOfTheirEnumerators) {
  struct Operand {
    enum : size_t { x, weight, y, num_operands };
  };
  static_assert(in_order({{Operand::x, "x"}, {Operand::weight, "weight"}, {Operand::y, "y"}},
                         Operand::num_operands));
  static_assert(!in_order({{Operand::x, "x"}, {Operand::y, "y"}, {Operand::weight, "weight"}},
                          Operand::num_operands));
  static_assert(!in_order({{Operand::x, "x"}, {Operand::y, "y"}}, Operand::num_operands));
  static_assert(!in_order({{Operand::x, "x"}, {Operand::weight, "weight"}}, Operand::num_operands));
  const auto specs =
      operand_specs<Operand>({{Operand::x, "x"},
                              {Operand::weight, "weight", Access::read, Slicing::whole, true},
                              {Operand::y, "y", Access::write}});
  EXPECT_EQ(specs[Operand::x].slicing, Slicing::rows);
  EXPECT_EQ(specs[Operand::weight].slicing, Slicing::whole);
  EXPECT_TRUE(specs[Operand::weight].optional);
  EXPECT_EQ(specs[Operand::y].access, Access::write);
}

TEST(OperandsOfTest, PutsNamedOperandsInTheirPlaces) {
  const KindInfo& kind = kind_of<Product>();
  const auto operands = [&](std::initializer_list<NamedValue> named) {
    return operands_of(kind, std::span(named.begin(), named.size()));
  };
  EXPECT_EQ(operands({{ProductOperand::y, {2}}, {ProductOperand::x, {1}}}),
            (OpValues{{1}, {}, {2}}));
  EXPECT_EQ(
      operands({{ProductOperand::x, {1}}, {ProductOperand::bias, {}}, {ProductOperand::y, {2}}}),
      (OpValues{{1}, {}, {2}}));
  EXPECT_DEATH(operands({{ProductOperand::x, {1}}}), "operand y of product is missing");
  EXPECT_DEATH(operands({{ProductOperand::x, {1}}, {ProductOperand::x, {2}}}),
               "operand x of product is named twice");
  EXPECT_DEATH(operands({{ProductOperand::num_operands, {1}}}), "product has 3 operands");
}

TEST(ProgramTest, VisitsOperandsAndTheirCounts) {
  Draft draft;
  const Value count = draft.carried("count", 0, 1), x = draft.step("x"), y = draft.step("y");
  draft.op(Lane::compute, {.out = {draft.counted(y, count)}, .in = {draft.rows(x, 1, 2)}});
  std::vector<Region> regions;
  for_each_region(draft.program, draft.program.ops[0],
                  [&](const Region& region) { regions.push_back(region); });
  ASSERT_EQ(regions.size(), 3u);
  EXPECT_EQ(regions[0].access, Access::write);
  EXPECT_EQ(regions[1].buffer, draft.program.info(count).buffer);
  EXPECT_EQ(regions[1].access, Access::read);
  EXPECT_EQ(regions[2].first, 1);
  EXPECT_EQ(regions[2].last, 3);
}

TEST(ProgramTest, DescribesValuesAndOps) {
  Draft draft;
  const Value x = draft.step("gate_up", 3, 32);
  draft.op(Lane::compute, {.out = {x}}, {3, Role::experts});
  EXPECT_EQ(draft.program.describe(x), "gate_up [3, 8] i32");
  EXPECT_EQ(draft.program.describe(draft.program.ops[0]),
            "layer 3 experts: mix → gate_up [3, 8] i32");
  EXPECT_EQ(draft.program.type_of({}).rows, 0);
  EXPECT_EQ(draft.program.type_of(x).cols, 8);
}

// Two layers of router → shared expert → experts → residual.
Draft two_layers() {
  Draft draft;
  const Value x = draft.step("x"), y = draft.step("y"), shared = draft.step("shared");
  draft.op(Lane::compute, {.out = {x}}, {-1, Role::embedding});
  for (int32_t layer = 0; layer < 2; ++layer) {
    draft.op(Lane::compute, {.out = {shared}, .in = {x}}, {layer, Role::shared_expert});
    draft.op(Lane::compute, {.out = {y}, .in = {x}}, {layer, Role::experts});
    draft.op(Lane::compute, {.inout = {shared}}, {layer, Role::shared_expert});
    draft.op(Lane::compute, {.inout = {x}, .in = {y, shared}}, {layer, Role::residual});
  }
  return draft;
}

TEST(ProgramTest, ScopesOfARole) {
  const Draft draft = two_layers();
  const auto scopes = draft.program.scopes(Role::shared_expert);
  ASSERT_EQ(scopes.size(), 2u);
  EXPECT_EQ(scopes[0].ops, (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(scopes[1].scope.layer, 1);
  EXPECT_EQ(scopes[1].ops, (std::vector<int32_t>{5, 7}));
  EXPECT_TRUE(draft.program.scopes(Role::sampling).empty());
}

TEST(ProgramTest, JoinIsTheFirstReaderOutside) {
  Draft draft = two_layers();
  const auto scopes = draft.program.scopes(Role::shared_expert);
  EXPECT_EQ(draft.program.join_of(scopes[0]), 4);
  EXPECT_EQ(draft.program.join_of(scopes[1]), 8);
  EXPECT_EQ(draft.program.join_of(draft.program.scopes(Role::residual)[1]), -1);
}

TEST(KindTest, RowWiseUnlessSomethingWrittenIsWhole) {
  KindInfo kind = kind_of<testing::Mix>();
  EXPECT_TRUE(kind.row_wise());  // whole operands are only read
  const std::array<OperandSpec, 1> whole = {{{"table", Access::read_write, Slicing::whole}}};
  kind.operands = whole;
  EXPECT_FALSE(kind.row_wise());
}

TEST(KindTest, DescsKeepTheirTypeAndValue) {
  const AnyDesc desc(testing::Mix{7, 64});
  EXPECT_TRUE(desc.is<testing::Mix>());
  EXPECT_FALSE(desc.is<testing::Meet>());
  EXPECT_EQ(desc.as<testing::Mix>().seed, 7u);
  EXPECT_DEATH(desc.as<testing::Meet>(), "op is a mix");
}

TEST(TypesTest, Names) {
  EXPECT_EQ(name_of(Lane::copy), "copy");
  EXPECT_EQ(name_of(Lifetime::carried), "carried");
  EXPECT_EQ(name_of(Access::read_write), "read-write");
  EXPECT_EQ((Scope{4, Role::mlp}).to_string(), "layer 4 mlp");
  EXPECT_EQ((Scope{-1, Role::head}).to_string(), "head");
  const Placement placement{Mesh::moe, {Shard::row_sharded, Shard::partial}};
  EXPECT_EQ(placement.to_string(), "moe(row_sharded, partial)");
  EXPECT_TRUE(placement.is_partial());
}

}  // namespace
}  // namespace braid::flow
