#include "passes/fuse_route.h"

#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/route_experts.h"
#include "ops/rows.h"
#include "passes/count_heat.h"
#include "passes/fuse_norm.h"

namespace braid::passes {
namespace {

using flow::Program;
using flow::Value;

constexpr int64_t kRows = 5, kHidden = 16;
constexpr int32_t kExperts = 6, kTopK = 2;

// From the residual stream to the lists of a layer with experts, as layers write it.
class FuseRouteTest : public ::testing::Test {
 protected:
  Value resident(ops::Builder& b, const char* name, Format format, int64_t rows, int64_t cols,
                 flow::Lifetime lifetime = flow::Lifetime::carried) {
    return b.resident(residents_.declare(
        {.name = name, .format = format, .rows = rows, .cols = cols, .lifetime = lifetime}));
  }

  struct Shape {
    bool adds = false;
    bool shared_expert = false;  // a product of the normed rows between routing and permutation
    bool early_reader = false;   // the same before the routing
  };

  Program build(const Shape& shape) {
    ops::Builder b(residents_);
    b.set_layer(3);
    const auto weight = [&](const char* name, int64_t rows) {
      return resident(b, name, Format::f32, rows, kHidden, flow::Lifetime::weight);
    };
    Value x = resident(b, "x", Format::f32, kRows, kHidden);
    if (shape.adds) x = ops::add(b, x, resident(b, "h", Format::f32, kRows, kHidden), "sum");
    const Value normed = ops::rms_norm(b, x, weight("norm", 1), 1e-5f, "normed");
    const auto read_elsewhere = [&] {
      const Value out =
          ops::gemm(b, normed, {.weight = weight("shared", 8)}, Format::f32, "shared_out");
      ops::copy(b, out, resident(b, "shared.end", Format::f32, kRows, 8));
    };
    b.set_role(flow::Role::router);
    const Value logits =
        ops::gemm(b, normed, {.weight = weight("router", kExperts)}, Format::f32, "logits");
    if (shape.early_reader) read_elsewhere();
    const ops::Routing routing =
        ops::route(b, logits, resident(b, "kv_slots", Format::i32, kRows, 1),
                   {.num_experts = kExperts, .top_k = kTopK, .layer = 3});
    b.set_role(flow::Role::experts);
    if (shape.shared_expert) read_elsewhere();
    const ops::Permuted permuted = ops::permute(b, {normed, routing, {}}, {.count = kExperts});
    ops::copy(b, permuted.places, resident(b, "places", Format::i32, kRows, kTopK));
    ops::copy(b, logits, resident(b, "probe", Format::f32, kRows, kExperts));
    return std::move(b).finish().value();
  }

  PassContext context(int32_t rows = kRows) {
    const layers::RowCounts counts{.decode = rows};
    return {.options = options_,
            .residents = residents_,
            .decisions = why_,
            .shape = {.own = counts, .group = counts},
            .buffers = {.heat = heat_}};
  }
  Program fused(Program program, Switch mode = Switch::automatic) {
    program = fuse_route(std::move(program), {.mode = mode}, context()).value();
    const auto proof = flow::check_schedule(flow::compile(program).value());
    EXPECT_TRUE(proof.ok()) << proof.status().to_string();
    return program;
  }
  static std::vector<std::string> names(const Program& program) {
    std::vector<std::string> found;
    for (const flow::Op& op : program.ops) {
      if (op.kind().name != "copy") found.emplace_back(op.kind().name);
    }
    return found;
  }

  const PassOptions options_;
  flow::Residents residents_;
  layers::HeatBuffers heat_;
  Decisions why_;
};

using Names = std::vector<std::string>;

TEST_F(FuseRouteTest, FromTheNormToTheListsIsOneOp) {
  const Program program = fused(build({}));
  EXPECT_EQ(names(program), (Names{"route_experts"}));
  const flow::Op& op = program.ops.front();
  const auto desc = op.desc.as<kernels::RouteExpertsDesc>();
  EXPECT_EQ(desc.norm.eps, 1e-5f);
  EXPECT_EQ(desc.route.layer, 3);
  EXPECT_EQ(desc.permute.num_slots, kExperts);
  EXPECT_EQ(desc.router.tuned_rows, kRows);
  EXPECT_FALSE(op.operands[ops::RouteExpertsOperand::sum].present());
  EXPECT_EQ(op.scope.to_string(), "layer 3 router");
  EXPECT_EQ(why_.back().choice, "on");
  EXPECT_EQ(why_.back().rewrites, 4);
}

TEST_F(FuseRouteTest, TakesInASumThatTheNormTookIn) {
  Program program = fuse_norm(build({.adds = true}), {}, context(17)).value();
  ASSERT_EQ(names(program), (Names{"add_rms_norm", "gemm", "route", "permute"}));
  program = fused(std::move(program));
  EXPECT_EQ(names(program), (Names{"route_experts"}));
  EXPECT_TRUE(program.ops.front().operands[ops::RouteExpertsOperand::sum].present());
  EXPECT_EQ(names(fused(build({.adds = true}))), (Names{"add", "route_experts"}));
}

TEST_F(FuseRouteTest, StandsBeforeOtherReadersOfTheNormedRows) {
  EXPECT_EQ(names(fused(build({.shared_expert = true}))), (Names{"route_experts", "gemm"}));
  const Names apart = {"rms_norm", "gemm", "gemm", "route", "permute"};
  EXPECT_EQ(names(fused(build({.early_reader = true}))), apart);
  EXPECT_EQ(why_.back().choice, "off");
}

TEST_F(FuseRouteTest, OffAndManyRowsChangeNothing) {
  const Names apart = {"rms_norm", "gemm", "route", "permute"};
  EXPECT_EQ(names(fused(build({}), Switch::off)), apart);
  const auto many = fuse_route(build({}), {}, context(17));
  EXPECT_EQ(names(*many), apart);
  EXPECT_EQ(why_.back().reason, "auto: 17 rows, above the limit of 16");
  const auto asked = fuse_route(build({}), {.mode = Switch::on}, context(17));
  EXPECT_EQ(names(*asked), (Names{"route_experts"}));
}

TEST_F(FuseRouteTest, TheOneOpCountsHeat) {
  const auto counters = [&](const char* name, int32_t copies) {
    return residents_.declare({.name = name,
                               .format = Format::u64,
                               .rows = 2,
                               .cols = kExperts,
                               .lifetime = flow::Lifetime::carried,
                               .copies = copies});
  };
  heat_ = {counters("heat", 1), counters("heat.snapshot", 2), counters("heat.host", 2)};
  const Program program =
      count_heat(fused(build({})), {.mode = Switch::on}, context(kRows - 1)).value();
  const flow::Op& op = program.ops.front();
  EXPECT_EQ(op.desc.as<kernels::RouteExpertsDesc>().route.decode_rows, kRows - 1);
  EXPECT_EQ(program.describe(op.operands[ops::RouteExpertsOperand::heat]), "heat [2, 6] u64");
  EXPECT_EQ(why_.back().choice, "on");
}

}  // namespace
}  // namespace braid::passes
