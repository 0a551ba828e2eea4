#include "passes/fuse_experts.h"

#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "layers/mlp.h"
#include "ops/norm.h"
#include "ops/rows.h"
#include "passes/dual_stream.h"

namespace braid::passes {
namespace {

using flow::Program;
using flow::Role;
using flow::Value;
using kernels::ExpertsDownDesc;
using ops::ExpertsDownOperand;

constexpr int64_t kRows = 6, kHidden = 32, kWidth = 16;
constexpr int32_t kExperts = 8, kTopK = 2;

struct Made {
  bool shared = true;           // a layer with a shared expert
  bool another_reader = false;  // of the experts' sum
};

// A MoE layer with its residual, as a decoder layer ends.
class Layer {
 public:
  explicit Layer(const Made& made) : b_(residents_) {
    b_.set_layer(0);
    const Value x = given(kRows, kHidden);
    const Value h = b_.step("h", Format::f32, kRows, kHidden);
    ops::copy(b_, x, h);
    layers::StepRows rows;
    rows.paged.kv_slots = given(kRows, 1, Format::i32);
    Value routed = experts(made, rows, h);
    if (made.another_reader) ops::copy(b_, routed, given(kRows, kHidden));
    ops::scope(b_, Role::residual, [&] { ops::copy(b_, ops::add(b_, x, routed, "y"), x); });
  }

  Program finished() { return std::move(b_).finish().value(); }
  PassContext context() { return {.options = options_, .residents = residents_, .decisions = why}; }

  Decisions why;

 private:
  Value experts(const Made& made, const layers::StepRows& rows, Value h) {
    const layers::MoeWeights weights{
        .router = weight(kExperts, kHidden),
        .route = {},
        .gate_up = weight(kExperts * 2 * kWidth, kHidden),
        .down = weight(kExperts * kHidden, kWidth),
        .table = {},
        .shared = made.shared ? std::optional(layers::MlpWeights{
                                    .gate_up = {.weight = weight(2 * kWidth, kHidden), .bias = {}},
                                    .down = {.weight = weight(kHidden, kWidth), .bias = {}}})
                              : std::nullopt};
    return layers::moe(b_, weights,
                       {.route = {.num_experts = kExperts, .top_k = kTopK},
                        .slots = {.first = 0, .count = kExperts}},
                       rows, h);
  }
  Value given(int64_t rows, int64_t cols, Format format = Format::f32) {
    return resident(rows, cols, format, flow::Lifetime::carried);
  }
  Value weight(int64_t rows, int64_t cols) {
    return resident(rows, cols, Format::f32, flow::Lifetime::weight);
  }
  Value resident(int64_t rows, int64_t cols, Format format, flow::Lifetime lifetime) {
    return b_.resident(residents_.declare({.name = fmt::format("given {}", residents_.size()),
                                           .format = format,
                                           .rows = rows,
                                           .cols = cols,
                                           .lifetime = lifetime}));
  }

  const PassOptions options_;
  flow::Residents residents_;
  ops::Builder b_;
};

std::string kinds(const Program& program) {
  std::string text;
  for (const flow::Op& op : program.ops) {
    text += fmt::format("{}{}", text.empty() ? "" : " ", op.kind().name);
  }
  return text;
}

const flow::Op& down_of(const Program& program) {
  for (const flow::Op& op : program.ops) {
    if (op.desc.is<ExpertsDownDesc>()) return op;
  }
  BRAID_CHECK(false, "no experts_down in {}", kinds(program));
}

Program fused(Layer& layer, Program program, Switch mode = Switch::automatic) {
  Program out = fuse_experts(std::move(program), {.mode = mode}, layer.context()).value();
  const flow::Schedule schedule = flow::compile(out).value();
  EXPECT_TRUE(flow::check_schedule(schedule).ok());
  return out;
}

TEST(FuseExpertsTest, TakesInTheResidual) {
  Layer layer({.shared = false});
  const Program program = fused(layer, layer.finished());
  EXPECT_EQ(kinds(program), "copy gemm route permute grouped_gemm experts_down copy");
  const flow::Op& down = down_of(program);
  EXPECT_FALSE(down.operands[ExpertsDownOperand::shared].present());
  EXPECT_TRUE(down.operands[ExpertsDownOperand::residual].present());
  EXPECT_EQ(down.desc.as<ExpertsDownDesc>().num_slots, kExperts);
  EXPECT_EQ(down.desc.as<ExpertsDownDesc>().tokens, kRows);
  EXPECT_EQ(down.desc.as<ExpertsDownDesc>().tuned_rows, kRows * kTopK);
  ASSERT_EQ(layer.why.size(), 1u);
  EXPECT_EQ(layer.why[0].choice, "on");
  EXPECT_EQ(layer.why[0].rewrites, 3);
  ASSERT_EQ(layer.why[0].alternatives.size(), 2u);
  EXPECT_LT(layer.why[0].alternatives[1].us, layer.why[0].alternatives[0].us);
}

TEST(FuseExpertsTest, TakesInTheSharedExpertsSumBeforeTheResidual) {
  Layer layer({});
  const Program program = fused(layer, layer.finished(), Switch::on);
  EXPECT_EQ(kinds(program), "copy gemm route gemm gemm permute grouped_gemm experts_down copy");
  const flow::Op& down = down_of(program);
  EXPECT_EQ(program.buffer_of(down.operands[ExpertsDownOperand::shared]).label, "mlp_out");
  EXPECT_EQ(program.buffer_of(down.operands[ExpertsDownOperand::residual]).lifetime,
            flow::Lifetime::carried);
}

TEST(FuseExpertsTest, DoesNotHoldUpTheExpertsForWhatRunsBesideThem) {
  Layer layer({});
  const Program two_lanes =
      dual_stream(layer.finished(), {.mode = Switch::on}, layer.context()).value();
  const Program program = fused(layer, two_lanes);
  EXPECT_EQ(kinds(program),
            "copy gemm route permute grouped_gemm experts_down gemm gemm add add copy");
  EXPECT_FALSE(down_of(program).operands[ExpertsDownOperand::residual].present());
}

TEST(FuseExpertsTest, LeavesWhatAnotherOpReads) {
  Layer layer({.shared = false, .another_reader = true});
  const Program program = fused(layer, layer.finished());
  EXPECT_EQ(kinds(program), "copy gemm route permute grouped_gemm experts_down copy add copy");
}

TEST(FuseExpertsTest, OffChangesNothing) {
  Layer layer({});
  const Program before = layer.finished();
  const Program program = fused(layer, before, Switch::off);
  EXPECT_EQ(kinds(program), kinds(before));
  ASSERT_EQ(layer.why.size(), 1u);
  EXPECT_EQ(layer.why[0].choice, "off");
  EXPECT_EQ(layer.why[0].rewrites, 0);
}

}  // namespace
}  // namespace braid::passes
