#include "kernels/moe/cuda/route_experts.h"

#include <cmath>

#include "kernels/cuda/test_support.h"
#include "kernels/moe/cpu/moe.h"
#include "kernels/norm/cuda/norm.h"

namespace braid::kernels::cuda {
namespace {

struct Shape {
  int64_t hidden;
  int32_t experts;
  int32_t top_k;
};

// Rows, weights and what belongs to the rows, as one op has them.
struct Inputs {
  Inputs(Random& random, const RouteExpertsDesc& desc, int64_t rows, int64_t hidden, bool with_bias)
      : x(random, rows, hidden, 8),
        addend(random, rows, hidden, 16),
        norm_weight(random, 1, hidden),
        router(random, desc.route.num_experts, hidden, 24),
        heat(static_cast<size_t>(2 * desc.route.num_experts), 5) {
    for (int32_t e = 0; with_bias && e < desc.route.num_experts; ++e) {
      bias.push_back(cpu::random_value<float>(random));
    }
    for (int64_t t = 0; t < rows; ++t) kv_slots.push_back(t % 7 == 3 ? -1 : 9);
  }

  Grid<bf16> x, addend, norm_weight, router;
  std::vector<float> bias;
  std::vector<int32_t> kv_slots;
  std::vector<uint64_t> heat;
};

struct Results {
  Grid<bf16> sum, normed;
  Grid<float> logits, weights;
  Grid<int32_t> ids, places;
  std::vector<int32_t> offsets, source;
  std::vector<uint64_t> heat;
};

int64_t of_row(const RouteExpertsDesc& desc) { return desc.route.top_k + desc.permute.num_shared; }

// Rows [first, first + rows) of the inputs, with or without the addend.
Results run(const RouteExpertsDesc& desc, const Inputs& in, int64_t first, int64_t rows,
            bool adds) {
  const int64_t hidden = in.x.cols(), experts = desc.route.num_experts;
  const DeviceGrid<bf16> x(in.x), addend(in.addend), norm_weight(in.norm_weight), router(in.router),
      sum(rows, hidden, 8), normed(rows, hidden, 0);
  const DeviceGrid<float> logits(rows, experts, 4), weights(rows, desc.route.top_k, 1);
  const DeviceGrid<int32_t> ids(rows, desc.route.top_k, 2), places(rows, of_row(desc), 3);
  const DeviceArray<float> bias(in.bias);
  const DeviceArray<int32_t> kv_slots(in.kv_slots);
  const DeviceArray<uint64_t> heat(in.heat);
  const DeviceArray<int32_t> offsets(desc.permute.num_slots + 1), source(rows * of_row(desc));
  RouteExpertsArgs args;
  args.hidden = hidden;
  args.x = x.input(first);
  if (adds) args.addend = addend.input(first);
  args.norm_weight = norm_weight.input().data;
  args.router = router.input();
  if (adds) args.sum = sum.matrix();
  args.normed = normed.matrix();
  args.logits = logits.matrix();
  args.route.rows = rows;
  args.route.bias = in.bias.empty() ? nullptr : bias.data();
  args.route.slots = kv_slots.data() + first;
  args.route.first_row = first;
  args.route.ids = ids.matrix();
  args.route.weights = weights.matrix();
  args.route.heat = {heat.data(), experts};
  args.offsets = offsets.data();
  args.source = source.data();
  args.places = places.matrix();
  EXPECT_TRUE(can_route_experts(desc, args));
  route_experts(desc, args, nullptr);
  return {sum.fetch(),    normed.fetch(),  logits.fetch(), weights.fetch(), ids.fetch(),
          places.fetch(), offsets.fetch(), source.fetch(), heat.fetch()};
}

// sum and normed are those of the norm's own kernel.
void expect_norm(const RouteExpertsDesc& desc, const Inputs& in, Results& got, bool adds) {
  const int64_t rows = in.x.rows(), hidden = in.x.cols();
  const DeviceGrid<bf16> x(in.x), addend(in.addend), weight(in.norm_weight), sum(rows, hidden, 8),
      normed(rows, hidden);
  if (adds) {
    add_rms_norm<bf16>(desc.norm, {rows}, hidden, x.input(), addend.input(), weight.input().data,
                       sum.matrix(), normed.matrix(), nullptr);
    expect_same(got.sum, sum.fetch(), rows);
  } else {
    rms_norm<bf16>({desc.norm.eps, 0}, {rows}, hidden, x.input(), weight.input().data,
                   normed.matrix(), nullptr);
  }
  expect_same(got.normed, normed.fetch(), rows);
}

// The logits are near what double gives for these normed rows.
void expect_logits(const Inputs& in, Results& got) {
  const int64_t rows = in.x.rows(), experts = in.router.rows();
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t e = 0; e < experts; ++e) {
      double want = 0, size = 0;
      for (int64_t h = 0; h < in.x.cols(); ++h) {
        const double term = got.normed.value(t, h) * in.router.value(e, h);
        want += term;
        size += std::abs(term);
      }
      ASSERT_NEAR(got.logits.value(t, e), want, 2e-6 * size) << "row " << t << " expert " << e;
    }
  }
}

// All that follows the logits is the CPU's for these logits.
void expect_lists(const RouteExpertsDesc& desc, const Inputs& in, Results& got) {
  const int64_t rows = in.x.rows(), top_k = desc.route.top_k;
  Grid<int32_t> ids(rows, top_k), places(rows, of_row(desc));
  Grid<float> weights(rows, top_k);
  std::vector<uint64_t> heat = in.heat;
  std::vector<std::byte> scratch(static_cast<size_t>(cpu::route_scratch_bytes(desc.route)));
  RouteArgs args;
  args.rows = rows;
  args.logits = got.logits.input();
  args.bias = in.bias.empty() ? nullptr : in.bias.data();
  args.slots = in.kv_slots.data();
  args.ids = ids.matrix();
  args.weights = weights.matrix();
  args.heat = {heat.data(), desc.route.num_experts};
  cpu::route(desc.route, args, scratch.data());
  expect_same(got.ids, ids, rows);
  expect_same(got.weights, weights, rows);
  EXPECT_EQ(got.heat, heat);
  std::vector<int32_t> offsets(static_cast<size_t>(desc.permute.num_slots) + 1);
  std::vector<int32_t> source(static_cast<size_t>(rows * of_row(desc)), -1);
  cpu::permute(desc.permute, rows, top_k, ids.input(), {}, offsets.data(), source.data(),
               places.matrix());
  EXPECT_EQ(got.offsets, offsets);
  EXPECT_EQ(got.source, source);
  expect_same(got.places, places, rows);
}

RouteExpertsDesc desc_of(const Shape& shape, Score score) {
  RouteExpertsDesc desc;
  desc.norm.eps = 1e-5f;
  desc.route.num_experts = shape.experts;
  desc.route.top_k = shape.top_k;
  desc.route.score = score;
  desc.route.normalize = 1;
  desc.route.scaling_factor = 2.5f;
  desc.route.decode_rows = 5;
  desc.permute.num_slots = shape.experts;
  return desc;
}

void expect_right(const RouteExpertsDesc& desc, const Inputs& in, bool adds) {
  SCOPED_TRACE(testing::Message() << in.x.rows() << " rows of " << in.x.cols() << ", "
                                  << desc.route.num_experts << " experts, top " << desc.route.top_k
                                  << (adds ? ", adds" : ""));
  Results got = run(desc, in, 0, in.x.rows(), adds);
  expect_norm(desc, in, got, adds);
  expect_logits(in, got);
  expect_lists(desc, in, got);
}

constexpr Shape kShapes[] = {
    {2048, 128, 8},  {4096, 128, 8}, {4096, 8, 2},  {2048, 64, 6}, {5120, 160, 6}, {7168, 256, 8},
    {2048, 512, 10}, {320, 30, 3},   {1024, 16, 4}, {2880, 32, 4}, {128, 2, 2},    {4096, 160, 8},
};

TEST(CudaRouteExpertsTest, EqualsItsPartsForTheseLogits) {
  BRAID_NEEDS_GPU();
  Random random(1);
  int turn = 0;
  for (const Shape& shape : kShapes) {
    for (const int64_t rows : {1, 2, 3, 5, 8, 16, 33, 64}) {
      const bool is_large = shape.experts * shape.hidden >= (1 << 20);
      if (rows > 16 && is_large) continue;  // not all of the router is in shared memory
      const Score score = turn % 2 == 0 ? Score::softmax : Score::sigmoid;
      const RouteExpertsDesc desc = desc_of(shape, score);
      const Inputs in(random, desc, rows, shape.hidden, score == Score::sigmoid);
      expect_right(desc, in, ++turn % 3 == 0);
    }
  }
}

TEST(CudaRouteExpertsTest, GroupsSharedSlotsAndOtherRanksSlots) {
  BRAID_NEEDS_GPU();
  Random random(2);
  for (const GroupScore group_score : {GroupScore::max, GroupScore::sum_of_top2}) {
    RouteExpertsDesc desc = desc_of({5120, 160, 6}, Score::sigmoid);
    desc.route.num_groups = 8;
    desc.route.topk_groups = 3;
    desc.route.group_score = group_score;
    for (const int64_t rows : {1, 16}) {
      desc.permute = {.num_slots = 162, .num_shared = 2};
      expect_right(desc, Inputs(random, desc, rows, 5120, true), true);
      desc.permute = {.num_slots = 40, .first_slot = 80};
      expect_right(desc, Inputs(random, desc, rows, 5120, true), false);
    }
  }
}

TEST(CudaRouteExpertsTest, ARowsBitsDontDependOnTheOthers) {
  BRAID_NEEDS_GPU();
  Random random(3);
  for (const Shape& shape : {Shape{2048, 128, 8}, {4096, 128, 8}, {7168, 256, 8}}) {
    const RouteExpertsDesc desc = desc_of(shape, Score::sigmoid);
    const int64_t all = shape.experts == 256 ? 16 : 64;
    const Inputs in(random, desc, all, shape.hidden, true);
    const Results whole = run(desc, in, 0, all, true);
    for (int64_t first = 0; first < all; first += 3) {
      for (const int64_t rows : {int64_t{1}, std::min<int64_t>(1 + first % 17, all - first)}) {
        const Results part = run(desc, in, first, rows, true);
        for (int64_t t = 0; t < rows; ++t) {
          ASSERT_TRUE(part.normed.same_row(t, whole.normed, first + t));
          ASSERT_TRUE(part.logits.same_row(t, whole.logits, first + t));
          ASSERT_TRUE(part.ids.same_row(t, whole.ids, first + t));
          ASSERT_TRUE(part.weights.same_row(t, whole.weights, first + t));
        }
      }
    }
  }
}

}  // namespace
}  // namespace braid::kernels::cuda
