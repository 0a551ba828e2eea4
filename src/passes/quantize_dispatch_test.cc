#include "passes/quantize_dispatch.h"

#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/quantize.h"
#include "ops/rows.h"

namespace braid::passes {
namespace {

using flow::Program;
using flow::Role;
using ops::AllGatherVOperand;
using ops::AllToAllVOperand;
using ops::Value;

constexpr int64_t kHidden = 7168;
constexpr flow::Placement kOwn = {.axes = {flow::Shard::row_sharded, flow::Shard::replicated}};

// Two layers of the beginning of a MoE layer on one of `dp` ranks: rows, their routing, a shared
// expert, the dispatch, and what reads the dispatched rows.
class Layers {
 public:
  explicit Layers(int64_t group, int32_t dp = 4, int64_t own = 2,
                  ops::DispatchKind kind = ops::DispatchKind::gather)
      : meshes_{.attention = {dp, 1}, .moe = {dp, 1}, .attention_sums = {0, -1, -1}},
        errors_(residents_.declare({.name = "dispatch_errors",
                                    .format = Format::f64,
                                    .rows = 2,
                                    .cols = 2,
                                    .lifetime = flow::Lifetime::carried})),
        b_(residents_, meshes_) {
    const ops::RankRows ranks{
        .counts = given(Format::i32, dp, 1, {}), .own = own, .group = group, .kind = kind};
    for (int32_t layer = 0; layer < 2; ++layer) {
      b_.set_layer(layer);
      const Value x = b_.step("x", Format::bf16, own, kHidden, kOwn);
      ops::copy(b_, given(Format::bf16, own, kHidden, kOwn), x);
      const ops::Routing routing = ops::scope(b_, Role::router, [&] {
        return ops::route(b_, given(Format::f32, own, 8, kOwn), given(Format::i32, own, 1, kOwn),
                          {.num_experts = 8, .top_k = 2});
      });
      ops::scope(b_, Role::shared_expert,
                 [&] { ops::copy(b_, x, b_.step("shared", Format::bf16, own, kHidden, kOwn)); });
      ops::scope(b_, Role::experts, [&] {
        const ops::Dispatched all = ops::dispatch(b_, x, routing, ranks, {.count = 8 / dp});
        ops::copy(
            b_, all.rows,
            b_.step("read", Format::bf16, b_.num_rows(all.rows), kHidden, b_.placement(all.rows)));
      });
    }
  }

  Program rewritten(DispatchDtype dtype, const cost::CostModel& cost = cost::h100_profile()) {
    program_ = std::move(b_).finish().value();
    PassOptions options;
    options.cost = cost;
    const PassContext context{.options = options,
                              .residents = residents_,
                              .decisions = why,
                              .meshes = meshes_,
                              .buffers = {.dispatch_errors = errors_}};
    return quantize_dispatch(program_, {.dtype = dtype}, context).value();
  }
  const Program& original() const { return program_; }

  Decisions why;

 private:
  // What was there before the Program.
  Value given(Format format, int64_t rows, int64_t cols, ops::Placement placement) {
    return b_.resident(residents_.declare({.name = fmt::format("given {}", residents_.size()),
                                           .format = format,
                                           .rows = rows,
                                           .cols = cols,
                                           .lifetime = flow::Lifetime::carried}),
                       placement);
  }

  flow::Residents residents_;
  ops::MeshSizes meshes_;
  int32_t errors_;
  ops::Builder b_;
  Program program_;
};

std::string kinds(const Program& program) {
  std::string text;
  for (const flow::Op& op : program.ops) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", op.scope.layer, op.kind().name);
  }
  return text;
}

TEST(QuantizeDispatchTest, EachRankQuantizesBehindTheRouterAndDequantizesWhatItGot) {
  Layers layers(16);
  const Program program = layers.rewritten(DispatchDtype::fp8);
  EXPECT_EQ(kinds(program),
            "0:copy 0:route 0:quantize 0:copy 0:all_gather_v 0:sum_errors 0:dequantize 0:copy "
            "1:copy 1:route 1:quantize 1:copy 1:all_gather_v 1:sum_errors 1:dequantize 1:copy");
  const flow::Op& quantize = program.ops[2];
  const flow::Op& shared = program.ops[3];
  const flow::Op& gather = program.ops[4];
  EXPECT_EQ(quantize.scope.role, Role::experts);
  EXPECT_EQ(shared.operands[ops::CopyOperand::in],
            quantize.operands[ops::QuantizeRowsOperand::x]);  // both read the unquantized rows
  EXPECT_EQ(gather.lane, flow::Lane::comm);
  EXPECT_EQ(program.describe(gather.operands[AllGatherVOperand::rows]), "payload [2, 7168] u8");
  EXPECT_EQ(program.describe(gather.operands[AllGatherVOperand::all_scales]),
            "all_scales [64, 56] f32");
  EXPECT_EQ(program.ops[6].operands[ops::DequantizeRowsOperand::out],
            program.ops[7].operands[ops::CopyOperand::in]);  // the reader's, as before
  EXPECT_EQ(program.info(program.ops[13].operands[ops::SumErrorsOperand::sums]).first_row,
            1);  // errors of layer 1
  const auto schedule = flow::compile(program).value();
  EXPECT_TRUE(flow::check_schedule(schedule).ok());
  ASSERT_EQ(layers.why.size(), 1u);
  EXPECT_EQ(layers.why[0].choice, "fp8");
  EXPECT_EQ(layers.why[0].rewrites, 2);
  EXPECT_EQ(layers.why[0].reason, "asked for; 7392 bytes a row for 14336, changes results");
}

TEST(QuantizeDispatchTest, RowsThatAreSentAreQuantizedLikewise) {
  Layers layers(16, 4, 2, ops::DispatchKind::all_to_all);
  const Program program = layers.rewritten(DispatchDtype::fp8);
  EXPECT_EQ(kinds(program).substr(0, 100),
            "0:copy 0:route 0:copy 0:rank_order 0:quantize 0:all_to_all_v 0:sum_errors "
            "0:dequantize 0:copy 1:copy");
  const flow::Op& send = program.ops[5];
  EXPECT_EQ(program.describe(send.operands[AllGatherVOperand::all_rows]),
            "all_payload [64, 7168] u8");
  EXPECT_EQ(program.describe(send.operands[AllToAllVOperand::received]), "received [4, 1] i32");
  EXPECT_EQ(program.ops[7].operands[ops::DequantizeRowsOperand::out],
            program.ops[8].operands[ops::CopyOperand::in]);
  EXPECT_TRUE(flow::check_schedule(flow::compile(program).value()).ok());
}

// A link of so many bytes a second, and what quantizing an element takes.
cost::CostModel priced(double link, double quantize_ns, double dequantize_ns, double op_us) {
  return cost::DeviceProfile{.name = "",
                             .flop_per_second = 1e12,
                             .bytes_per_second = 1e12,
                             .launch_us = op_us,
                             .link = {.bytes_per_second = link},
                             .quantize_ns = quantize_ns,
                             .dequantize_ns = dequantize_ns};
}

// Two of 8 experts a row: half of the rows of 4 ranks, of which three quarters come from others.
// That is in each of the two layers half of what the test of gathers below says.
TEST(QuantizeDispatchTest, AutoCountsTheRowsThatAreSent) {
  Layers layers(64, 4, 2, ops::DispatchKind::all_to_all);
  layers.rewritten(DispatchDtype::automatic, priced(1e9, 0.4, 0.2, 10));
  EXPECT_EQ(layers.why[0].why(),
            "auto: rows of 4 ranks, 64 each at most; 7392 bytes a row for 14336, changes results; "
            "predicted: unquantized 2752.5 µs, fp8 2560.3 µs");
}

TEST(QuantizeDispatchTest, Nvfp4MovesLess) {
  Layers layers(16);
  const Program program = layers.rewritten(DispatchDtype::nvfp4);
  const flow::Op& gather = program.ops[4];
  double bytes = 0;
  for (const size_t operand : {AllGatherVOperand::rows, AllGatherVOperand::scales}) {
    const flow::Type type = program.type_of(gather.operands[operand]);
    bytes += static_cast<double>(type.cols * bytes_of(type.format));
  }
  EXPECT_EQ(bytes, 4034);
  const auto work = gather.kind().work(gather.desc.data(), program.types_of(gather));
  EXPECT_DOUBLE_EQ(work.link_bytes, 0.75 * 64 * (4034 + 2 * 4 + 2 * 4));
}

// A rank that gathers rows as they are doesn't meet ranks that quantize, nor do two payloads.
TEST(QuantizeDispatchTest, PayloadsHaveDifferentSignatures) {
  const auto signature = [](DispatchDtype dtype, int64_t own) {
    const Program program = Layers(16, 4, own).rewritten(dtype);
    for (const flow::Op& op : program.ops) {
      if (const auto collective = program.collective_of(op)) return collective->signature;
    }
    return uint64_t{0};
  };
  const uint64_t plain = signature(DispatchDtype::unquantized, 2);
  const uint64_t fp8 = signature(DispatchDtype::fp8, 2);
  const uint64_t nvfp4 = signature(DispatchDtype::nvfp4, 2);
  EXPECT_NE(plain, fp8);
  EXPECT_NE(plain, nvfp4);
  EXPECT_NE(fp8, nvfp4);
  EXPECT_EQ(signature(DispatchDtype::fp8, 0), fp8);  // whatever a rank has for itself
}

std::string choice_of(int64_t group, const cost::CostModel& cost,
                      DispatchDtype dtype = DispatchDtype::automatic) {
  Layers layers(group);
  const Program program = layers.rewritten(dtype, cost);
  const bool changed = kinds(program) != kinds(layers.original());
  EXPECT_EQ(changed, layers.why[0].rewrites > 0);
  return layers.why[0].choice + ": " + layers.why[0].why();
}

TEST(QuantizeDispatchTest, AutoNeedsMeasuredTimesOfQuantization) {
  EXPECT_EQ(choice_of(4096, cost::h100_profile()).substr(0, 78),
            "unquantized: auto: the device profile has no measured time of quantization; pr");
  EXPECT_TRUE(choice_of(4096, cost::cpu_profile(), DispatchDtype::unquantized)
                  .starts_with("unquantized: asked for; predicted: unquantized "));
}

// A core quantizes a row later than it copies one to another rank.
TEST(QuantizeDispatchTest, AutoLeavesRowsOfThreadsAsTheyAre) {
  for (const int64_t group : {2, 64, 4096}) {
    EXPECT_EQ(choice_of(group, cost::cpu_profile()).substr(0, 12), "unquantized:");
  }
}

// 4 ranks, rows of 14336 bytes, which as fp8 are 7392: 3 · 64 rows take 192 · 14.336 µs over a link
// of 1 GB/s, and 192 · 7.392 + 64 · 7.168 · (0.4 + 4 · 0.2) + 2 · 10 µs quantized; in two layers.
TEST(QuantizeDispatchTest, AutoWeighsTheLinkAgainstQuantization) {
  EXPECT_EQ(choice_of(64, priced(1e9, 0.4, 0.2, 10)),
            "fp8: auto: rows of 4 ranks, 64 each at most; 7392 bytes a row for 14336, changes "
            "results; predicted: unquantized 5505.0 µs, fp8 3979.5 µs");
  EXPECT_EQ(choice_of(64, priced(20e9, 0.4, 0.2, 10)),
            "unquantized: auto: rows of 4 ranks, 64 each at most; predicted: unquantized 275.3 µs, "
            "fp8 1282.9 µs");
}

TEST(QuantizeDispatchTest, AutoLeavesFewRowsAsTheyAre) {
  const cost::CostModel cost = priced(20e9, 0.01, 0.01, 3);
  EXPECT_EQ(choice_of(2, cost).substr(0, 11), "unquantized");
  EXPECT_EQ(choice_of(512, cost).substr(0, 4), "fp8:");
}

TEST(QuantizeDispatchTest, WithoutAGatherNothingHappens) {
  Layers layers(2, /*dp=*/1);
  const Program program = layers.rewritten(DispatchDtype::fp8);
  EXPECT_EQ(kinds(program), kinds(layers.original()));
  EXPECT_EQ(layers.why[0].choice, "unquantized");
  EXPECT_EQ(layers.why[0].reason, "no rows go to other ranks' experts (dp 1)");
}

TEST(QuantizeDispatchTest, ParsesItsOption) {
  EXPECT_EQ(parse_dispatch_dtype("--dispatch-dtype", "auto").value(), DispatchDtype::automatic);
  EXPECT_EQ(parse_dispatch_dtype("--dispatch-dtype", "nvfp4").value(), DispatchDtype::nvfp4);
  const auto wrong = parse_dispatch_dtype("--dispatch-dtype", "fp4");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().kind(), ErrorKind::usage);
}

}  // namespace
}  // namespace braid::passes
