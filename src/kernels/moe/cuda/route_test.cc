#include <algorithm>
#include <limits>
#include <optional>

#include "kernels/cuda/test_support.h"
#include "kernels/moe/cpu/moe.h"
#include "kernels/moe/cuda/moe.h"

namespace braid::kernels::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Inputs {
  Grid<float> logits;
  std::vector<float> bias;        // [E] or empty
  std::vector<int32_t> slots;     // [rows]
  Grid<int32_t> forced{0, 0};     // [rows, K] or empty
  std::vector<float> popularity;  // [E] or empty
  int64_t first_row = 0;
  std::vector<uint64_t> heat;  // [2, E + 1], or empty
};

// Logits in [−4, 4), a tenth of them the same few values; about one row of six is padding.
Inputs random_inputs(Random& random, const RouteDesc& desc, int64_t rows, bool with_bias) {
  Inputs in{Grid<float>(random, rows, desc.num_experts, 3)};
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t e = 0; e < desc.num_experts; ++e) {
      const bool tie = cpu::random_below(random, 10) == 0;
      in.logits.at(r, e) =
          tie ? static_cast<float>(cpu::random_below(random, 4)) : 4 * in.logits.at(r, e);
    }
    in.slots.push_back(r > 0 && cpu::random_below(random, 6) == 0 ? -1 : 7);
  }
  for (int32_t e = 0; with_bias && e < desc.num_experts; ++e) {
    in.bias.push_back(cpu::random_value<float>(random));
  }
  float sum = 0;
  for (int32_t e = 0; desc.choice == Choice::zipf && e < desc.num_experts; ++e) {
    in.popularity.push_back(sum += 1.0f / static_cast<float>(e + 1));
  }
  return in;
}

struct Routed {
  Grid<int32_t> ids;
  Grid<float> weights;
  std::vector<uint64_t> heat;
};

int64_t heat_stride(const RouteDesc& desc) { return desc.num_experts + 1; }

Routed on_cpu(const RouteDesc& desc, const Inputs& in) {
  const int64_t rows = in.logits.rows();
  Routed out{Grid<int32_t>(rows, desc.top_k), Grid<float>(rows, desc.top_k), in.heat};
  std::vector<std::byte> scratch(static_cast<size_t>(cpu::route_scratch_bytes(desc)));
  RouteArgs args;
  args.rows = rows;
  args.logits = in.logits.input();
  args.bias = in.bias.empty() ? nullptr : in.bias.data();
  args.slots = in.slots.data();
  if (in.forced.rows() > 0) args.forced = in.forced.input();
  args.popularity = in.popularity.empty() ? nullptr : in.popularity.data();
  args.first_row = in.first_row;
  args.ids = out.ids.matrix();
  args.weights = out.weights.matrix();
  if (!out.heat.empty()) args.heat = {out.heat.data(), heat_stride(desc)};
  cpu::route(desc, args, scratch.data());
  return out;
}

Routed on_gpu(const RouteDesc& desc, const Inputs& in, int64_t first, int64_t rows) {
  const DeviceGrid<float> logits(in.logits), weights(rows, desc.top_k, 1);
  const DeviceGrid<int32_t> forced(in.forced), ids(rows, desc.top_k, 2);
  const DeviceArray<float> bias(in.bias), popularity(in.popularity);
  const DeviceArray<int32_t> slots(in.slots);
  const DeviceArray<uint64_t> heat(in.heat);
  RouteArgs args;
  args.rows = rows;
  args.logits = logits.input(first);
  args.bias = in.bias.empty() ? nullptr : bias.data();
  args.slots = slots.data() + first;
  if (in.forced.rows() > 0) args.forced = forced.input(first);
  args.popularity = in.popularity.empty() ? nullptr : popularity.data();
  args.first_row = in.first_row + first;
  args.ids = ids.matrix();
  args.weights = weights.matrix();
  if (!in.heat.empty()) args.heat = {heat.data(), heat_stride(desc)};
  route(desc, args, nullptr);
  return {ids.fetch(), weights.fetch(), heat.fetch()};
}

void expect_cpus_bits(const RouteDesc& desc, const Inputs& in) {
  const Routed want = on_cpu(desc, in);
  Routed got = on_gpu(desc, in, 0, in.logits.rows());
  expect_same(got.ids, want.ids, in.logits.rows());
  expect_same(got.weights, want.weights, in.logits.rows());
  EXPECT_EQ(got.heat, want.heat);
}

RouteDesc desc_of(int32_t experts, int32_t top_k, Score score) {
  RouteDesc desc;
  desc.num_experts = experts;
  desc.top_k = top_k;
  desc.score = score;
  desc.scaling_factor = 2.5f;
  return desc;
}

constexpr Score kScores[] = {Score::softmax, Score::sigmoid, Score::softmax_of_topk};

TEST(CudaRouteTest, HasTheCpusBits) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const Score score : kScores) {
    for (const auto& [experts, top_k] :
         {std::pair<int32_t, int32_t>{1, 1}, {8, 2}, {30, 7}, {128, 8}, {160, 6}, {1024, 32}}) {
      for (const int32_t normalize : {0, 1}) {
        SCOPED_TRACE(testing::Message() << experts << " experts, top " << top_k);
        RouteDesc desc = desc_of(experts, top_k, score);
        desc.normalize = normalize;
        expect_cpus_bits(desc, random_inputs(random, desc, 37, normalize == 1));
      }
    }
  }
}

TEST(CudaRouteTest, GroupsAreDroppedAsOnTheCpu) {
  BRAID_NEEDS_GPU();
  Random random(2);
  for (const Score score : kScores) {
    for (const GroupScore group_score : {GroupScore::max, GroupScore::sum_of_top2}) {
      for (const auto& [groups, kept] :
           {std::pair<int32_t, int32_t>{8, 4}, {8, 1}, {8, 8}, {40, 20}, {160, 10}, {2, 1}}) {
        RouteDesc desc = desc_of(160, 6, score);
        desc.num_groups = groups;
        desc.topk_groups = kept;
        desc.group_score = group_score;
        desc.normalize = 1;
        Inputs in = random_inputs(random, desc, 21, true);
        expect_cpus_bits(desc, in);
        for (float& bias : in.bias) bias -= 10;  // all selection scores are negative
        expect_cpus_bits(desc, in);
      }
    }
  }
}

TEST(CudaRouteTest, TheReplacementsChooseAsOnTheCpu) {
  BRAID_NEEDS_GPU();
  Random random(3);
  for (const Choice choice : {Choice::balanced, Choice::zipf}) {
    for (const auto& [experts, top_k] : {std::pair<int32_t, int32_t>{16, 4}, {6, 6}, {128, 8}}) {
      RouteDesc desc = desc_of(experts, top_k, Score::sigmoid);
      desc.choice = choice;
      desc.layer = 5;
      Inputs in = random_inputs(random, desc, 70, true);
      in.first_row = 1000;
      expect_cpus_bits(desc, in);
      if (choice != Choice::zipf) continue;
      // One expert has all the weight: the others fill up.
      for (int32_t e = 0; e < experts; ++e) in.popularity[static_cast<size_t>(e)] = e < 2 ? 0 : 1;
      expect_cpus_bits(desc, in);
    }
  }
}

TEST(CudaRouteTest, ForcedIdsReplaceTheChoice) {
  BRAID_NEEDS_GPU();
  Random random(4);
  for (const Score score : kScores) {
    const RouteDesc desc = desc_of(40, 5, score);
    Inputs in = random_inputs(random, desc, 30, false);
    in.forced = Grid<int32_t>(30, 5, 1);
    for (int32_t r = 0; r < 30; ++r) {
      for (int32_t k = 0; k < 5; ++k) in.forced.at(r, k) = r % 3 == 0 ? -1 : (r * 7 + 8 * k) % 40;
    }
    expect_cpus_bits(desc, in);
  }
}

TEST(CudaRouteTest, CountsWhatTheCpuCounts) {
  BRAID_NEEDS_GPU();
  Random random(7);
  for (const Choice choice : {Choice::router, Choice::balanced, Choice::zipf}) {
    for (const int64_t rows : {1, 5, 127, 2000}) {
      RouteDesc desc = desc_of(160, 8, Score::sigmoid);
      desc.choice = choice;
      Inputs in = random_inputs(random, desc, rows, true);
      in.first_row = 1000;
      in.forced = Grid<int32_t>(rows, 8);
      for (int32_t r = 0; r < rows; ++r) {
        for (int32_t k = 0; k < 8; ++k) in.forced.at(r, k) = r % 4 == 0 ? 20 * k + r % 20 : -1;
      }
      in.heat.resize(static_cast<size_t>(2 * heat_stride(desc)));
      for (uint64_t& count : in.heat) count = (uint64_t{1} << 32) - 3;  // beyond 32 bits soon
      for (const int32_t decode_rows : {0, 1001, 1003, 5000}) {
        desc.decode_rows = decode_rows;
        expect_cpus_bits(desc, in);
      }
    }
  }
}

TEST(CudaRouteTest, TiesInfinitiesAndNaNsGoWhereTheCpuPutsThem) {
  BRAID_NEEDS_GPU();
  Random random(5);
  const std::optional<float> kinds[] = {kNaN, -kInfinity, kInfinity, 0.0f, -0.0f, 100.0f, {}};
  for (const Score score : kScores) {
    RouteDesc desc = desc_of(70, 9, score);
    for (const int32_t groups : {1, 7}) {
      desc.num_groups = groups;
      desc.topk_groups = std::min(groups, 3);
      Inputs in = random_inputs(random, desc, 200, false);
      for (int64_t r = 0; r < 200; ++r) {
        const int64_t some = 1 + cpu::random_below(random, 7);  // kinds in this row
        for (int64_t e = 0; e < 70; ++e) {
          const auto kind = kinds[(r + cpu::random_below(random, some)) % 7];
          if (kind) in.logits.at(r, e) = *kind;
        }
      }
      const Routed want = on_cpu(desc, in);
      Routed got = on_gpu(desc, in, 0, 200);
      expect_same(got.ids, want.ids, 200);  // weights are NaN here and there
    }
  }
}

TEST(CudaRouteTest, IsRowInvariant) {
  BRAID_NEEDS_GPU();
  Random random(6);
  for (const Choice choice : {Choice::router, Choice::zipf}) {
    RouteDesc desc = desc_of(64, 6, Score::softmax);
    desc.choice = choice;
    const Inputs in = random_inputs(random, desc, 67, true);
    const Routed all = on_gpu(desc, in, 0, 67);
    for (int64_t first = 0; first < 67; first += 3) {
      const Routed part = on_gpu(desc, in, first, 1 + first % 5 % (67 - first));
      for (int64_t r = 0; r < part.ids.rows(); ++r) {
        ASSERT_TRUE(part.ids.same_row(r, all.ids, first + r));
        ASSERT_TRUE(part.weights.same_row(r, all.weights, first + r));
      }
    }
  }
}

}  // namespace
}  // namespace braid::kernels::cuda
