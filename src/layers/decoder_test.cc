// The Programs that layers write: which ops, in which scopes, in which order.
#include "layers/decoder.h"

#include <gtest/gtest.h>

#include "flow/compile.h"

namespace braid::layers {
namespace {

using flow::Role;

constexpr int64_t kRows = 3, kHidden = 16, kExperts = 4, kTopK = 2, kWidth = 8;

class DecoderTest : public ::testing::Test {
 protected:
  DecoderTest() : b_(residents_) {}

  Value weight(int64_t rows, int64_t cols) {
    return b_.resident(
        residents_.declare({.name = "w", .format = Format::f32, .rows = rows, .cols = cols}));
  }
  Value input(Format format, int64_t rows, int64_t cols) {
    return b_.resident(residents_.declare({.name = "input",
                                           .format = format,
                                           .rows = rows,
                                           .cols = cols,
                                           .lifetime = flow::Lifetime::carried}));
  }

  StepRows rows() {
    const auto column = [this] { return input(Format::i32, kRows, 1); };
    StepRows rows;
    rows.paged = {column(), column(), column(), input(Format::i32, 2, 4)};
    rows.rotary_table = input(Format::f32, kRows, 4);
    rows.attention_plans = {{.group = 2, .words = input(Format::i32, 100, 1)}};
    return rows;
  }

  GqaWeights gqa_weights(bool qk_norm) {
    return {.qkv = {.weight = weight(4 * 4 + 2 * 2 * 4, kHidden), .bias = {}},
            .q_norm = qk_norm ? weight(1, 4) : Value{},
            .k_norm = qk_norm ? weight(1, 4) : Value{},
            .o = {.weight = weight(kHidden, 16)},
            .cache = input(Format::f32, 64, 16)};
  }

  MoeWeights moe_weights(bool shared) {
    MoeWeights w{.router = weight(kExperts, kHidden),
                 .route = {},
                 .gate_up = weight(kExperts * 2 * kWidth, kHidden),
                 .down = weight(kExperts * kHidden, kWidth),
                 .shared = {}};
    if (shared) {
      w.shared = MlpWeights{.gate_up = {.weight = weight(2 * kWidth, kHidden)},
                            .down = {.weight = weight(kHidden, kWidth)}};
    }
    return w;
  }

  DecoderDesc desc() const {
    return {
        .attention = GqaDesc{.attention = {.num_heads = 4,
                                           .num_kv_heads = 2,
                                           .head_dim = 4,
                                           .page_size = 4,
                                           .scale = 0.5f},
                             .rotary = {.head_dim = 4, .dims = 4}},
        .moe = {.route = {.num_experts = kExperts, .top_k = kTopK}, .slots = {.count = kExperts}}};
  }

  flow::Program layer(bool qk_norm, bool shared) {
    const DecoderWeights w{.attention_norm = weight(1, kHidden),
                           .attention = gqa_weights(qk_norm),
                           .mlp_norm = weight(1, kHidden),
                           .mlp = moe_weights(shared)};
    b_.set_layer(0);
    decoder_layer(b_, w, desc(), rows(), input(Format::f32, kRows, kHidden));
    return std::move(b_).finish().value();
  }

  static std::vector<std::string> kinds(const flow::Program& program, Role role) {
    std::vector<std::string> names;
    for (const flow::Op& op : program.ops) {
      if (op.scope.role == role) names.emplace_back(op.kind().name);
    }
    return names;
  }

  flow::Residents residents_;
  Builder b_;
};

using Names = std::vector<std::string>;

TEST_F(DecoderTest, AttentionIsTheseOps) {
  const flow::Program program = layer(/*qk_norm=*/true, /*shared=*/true);
  EXPECT_EQ(kinds(program, Role::attention),
            (Names{"gemm", "rms_norm", "rms_norm", "rotary", "kv_write", "attention", "gemm"}));
}

TEST_F(DecoderTest, WithoutHeadNormsThereAreNone) {
  const flow::Program program = layer(/*qk_norm=*/false, /*shared=*/true);
  EXPECT_EQ(kinds(program, Role::attention),
            (Names{"gemm", "rotary", "kv_write", "attention", "gemm"}));
}

TEST_F(DecoderTest, TheMoeLayerIsTheseOps) {
  const flow::Program program = layer(true, /*shared=*/true);
  EXPECT_EQ(kinds(program, Role::router), (Names{"gemm", "route"}));
  EXPECT_EQ(kinds(program, Role::shared_expert), (Names{"gemm", "gemm"}));
  EXPECT_EQ(kinds(program, Role::experts),
            (Names{"permute", "grouped_gemm", "grouped_gemm", "combine"}));
  EXPECT_EQ(kinds(program, Role::residual), (Names{"rms_norm", "add", "rms_norm", "add", "add"}));
}

TEST_F(DecoderTest, WithoutSharedExpertsNothingIsAddedForThem) {
  const flow::Program program = layer(true, /*shared=*/false);
  EXPECT_TRUE(kinds(program, Role::shared_expert).empty());
  EXPECT_EQ(kinds(program, Role::residual), (Names{"rms_norm", "add", "rms_norm", "add"}));
}

TEST_F(DecoderTest, TheProgramCompilesAndReusesItsWorkspace) {
  const flow::Schedule schedule = flow::compile(layer(true, true)).value();
  int64_t all = 0;
  for (const flow::Extent& extent : schedule.buffers) all += extent.bytes;
  EXPECT_LT(schedule.workspace_bytes, all);
  EXPECT_EQ(schedule.lanes_used(), 1);
}

}  // namespace
}  // namespace braid::layers
