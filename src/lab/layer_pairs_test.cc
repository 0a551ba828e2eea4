// Pairs of a layer's runs on the CPU: what is compared, counted and timed.
#include "lab/layer_pairs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "lab/layer_variants.h"
#include "model/dummy_source.h"
#include "model/testing.h"
#include "passes/chunk_collectives.h"
#include "passes/count_heat.h"
#include "passes/dual_stream.h"
#include "passes/quantize_dispatch.h"

namespace braid::lab {
namespace {

constexpr layout::LayoutOptions kTp{.tp = 2, .ep = 1, .dp = 1};
constexpr layout::LayoutOptions kDp{.tp = 1, .ep = 2, .dp = 2};
constexpr layout::LayoutOptions kCut{.tp = 1, .ep = 1, .dp = 2};
const LayerRows kPrefill{.rows = 12, .groups = {12, 12}};
const LayerRows kDecode{.rows = 3, .context = 20, .groups = {3, 3}};

// GLM's first layer, with experts.
model::ModelConfig glm() {
  model::ModelConfig config = model::load_config(model::testing::golden_folder("glm4_moe")).value();
  config.moe_layers.front() = true;
  return config;
}

PairSide plain(const layout::LayoutOptions& layout) {
  PairSide side{.layout = layout};
  side.passes.of<passes::DualStreamOptions>().mode = passes::Switch::off;
  side.passes.of<passes::HeatOptions>().mode = passes::Switch::off;
  side.passes.of<passes::QuantizeDispatchOptions>().dtype = passes::DispatchDtype::unquantized;
  return side;
}
PairSide quantized(passes::DispatchDtype dtype) {
  PairSide side = plain(kDp);
  side.passes.of<passes::QuantizeDispatchOptions>().dtype = dtype;
  return side;
}
PairSide counting() {
  PairSide side = plain(kDp);
  side.passes.of<passes::HeatOptions>().mode = passes::Switch::on;
  return side;
}
PairSide chunked() {
  PairSide side = plain(kTp);
  side.passes.of<passes::ChunkOptions>().chunks = 2;
  side.passes.of<passes::ChunkOptions>().continued = true;
  return side;
}

// Ready to compare and to time.
class Pairs {
 public:
  explicit Pairs(std::vector<LayerPair> pairs,
                 const model::TensorSource& weights = model::DummySource(3)) {
    auto opened = LayerPairs::open(std::move(pairs), {.shapes = {glm()}}, control_);
    BRAID_CHECK(opened.ok(), "{}", opened.status().to_string());
    pairs_ = std::move(*opened);
    BRAID_CHECK(pairs_->allocate(weights).ok());
  }
  LayerPairs* operator->() { return pairs_.get(); }

  LayerDifference compare(size_t pair, int64_t inputs = 3) {
    const auto found = pairs_->compare(pair, inputs);
    EXPECT_TRUE(found.ok()) << found.status().to_string();
    return found.ok() ? *found : LayerDifference{.error = std::nan("")};
  }

 private:
  comm::ControlPlane control_{-1, 0, 1};
  std::unique_ptr<LayerPairs> pairs_;
};

TEST(LayerPairsTest, ChunksAndHeatChangeNoBit) {
  Pairs pairs({{.name = "chunks", .rows = {.rows = 300}, .before = plain(kTp), .after = chunked()},
               {.name = "heat", .rows = kPrefill, .before = plain(kDp), .after = counting()}});
  for (size_t pair = 0; pair < 2; ++pair) {
    const LayerDifference found = pairs.compare(pair);
    EXPECT_TRUE(found.equal) << pair;
    EXPECT_EQ(found.error, 0) << pair;
  }
  EXPECT_GT(
      num_collectives(pairs->after(0).ranks[0]->variant(pairs->after(0).variant).schedule.program),
      num_collectives(
          pairs->before(0).ranks[0]->variant(pairs->before(0).variant).schedule.program));
}

TEST(LayerPairsTest, FewerBitsMakeALargerError) {
  using passes::DispatchDtype;
  Pairs pairs({{.name = "fp8",
                .rows = kPrefill,
                .before = plain(kDp),
                .after = quantized(DispatchDtype::fp8)},
               {.name = "nvfp4",
                .rows = kPrefill,
                .before = plain(kDp),
                .after = quantized(DispatchDtype::nvfp4)}});
  const LayerDifference fp8 = pairs.compare(0), nvfp4 = pairs.compare(1);
  EXPECT_FALSE(fp8.equal);
  EXPECT_GT(fp8.error, 1e-4);
  EXPECT_GT(fp8.residual, 0.5);
  EXPECT_LT(fp8.error, 0.1);
  EXPECT_GT(nvfp4.error, 2 * fp8.error);
}

// Each side of expert parallelism has its own memory. What runs on one of them alone leaves its
// keys in the cache of decode rows: the same keys, as all pairs have the same inputs.
TEST(LayerPairsTest, SidesWithMemoryOfTheirOwnComputeOnTheSameCache) {
  const LayerRows rows{.rows = 24, .groups = {24, 24}};  // beyond the decode rows' context
  Pairs pairs({{.name = "prefill", .rows = rows, .before = plain(kCut), .after = plain(kDp)},
               {.name = "fp8",
                .rows = rows,
                .before = plain(kDp),
                .after = quantized(passes::DispatchDtype::fp8)},
               {.name = "decode", .rows = kDecode, .before = plain(kCut), .after = plain(kDp)}});
  EXPECT_NE(pairs->before(0).ranks.data(), pairs->after(0).ranks.data());
  EXPECT_EQ(pairs->before(1).ranks.data(), pairs->after(0).ranks.data());
  for (int turn = 0; turn < 2; ++turn) {
    for (const size_t pair : {0, 1, 2}) {
      const LayerDifference found = pairs.compare(pair);
      EXPECT_FALSE(found.equal) << pair;  // other sums
      EXPECT_GT(found.error, 0) << pair;
      EXPECT_LT(found.error, pair == 1 ? 0.1 : 1e-5) << pair;
    }
  }
}

// What is no number on both sides is equal, and wrong.
TEST(LayerPairsTest, OutputThatIsNoNumberIsNoSuccess) {
  class NotANumber final : public model::TensorSource {
   public:
    NotANumber() : TensorSource({}) {}
    bool has(std::string_view) const override { return true; }
    int64_t bytes(std::string_view) const override { return 0; }
    int64_t bytes() const override { return 0; }

   private:
    Status read_checked(std::string_view, std::span<const int64_t>, const model::Block&,
                        std::span<float> out) const override {
      std::fill(out.begin(), out.end(), std::nanf(""));
      return {};
    }
  };
  Pairs pairs({{.name = "heat", .rows = kPrefill, .before = plain(kDp), .after = counting()}},
              NotANumber());
  const LayerDifference found = pairs.compare(0, 1);
  EXPECT_TRUE(found.equal);
  EXPECT_TRUE(std::isnan(found.error));
}

TEST(LayerPairsTest, OnlyTheCountingSideCounts) {
  Pairs pairs({{.name = "heat", .rows = kPrefill, .before = plain(kDp), .after = counting()}});
  const auto counted = [](const LayerRank& rank) {
    const std::vector<std::byte> bytes = rank.bytes_of(rank.model().state().heat.counters);
    std::vector<uint64_t> counters(bytes.size() / sizeof(uint64_t));
    std::memcpy(counters.data(), bytes.data(), bytes.size());
    return std::accumulate(counters.begin(), counters.end(), uint64_t{0});
  };
  const auto run = [](const LayerRun& what) {
    for (LayerRank* rank : what.ranks) rank->submit(what.variant);
    for (LayerRank* rank : what.ranks) ASSERT_TRUE(rank->wait().ok());
  };
  LayerRank& rank = *pairs->after(0).ranks.front();
  EXPECT_EQ(counted(rank), 0u);
  run(pairs->before(0));
  EXPECT_EQ(counted(rank), 0u);
  run(pairs->after(0));
  const auto chosen = static_cast<uint64_t>(12 * glm().moe->top_k);
  EXPECT_EQ(counted(rank), chosen);
  // What the step read back; it had the step's copy.
  uint64_t at_host = 0;
  const int32_t host = rank.model().state().heat.host;
  const auto* words = reinterpret_cast<const uint64_t*>(
      rank.model().residents().data(host, static_cast<int32_t>((rank.next_step() - 1) % 2)));
  for (int64_t i = 0; i < rank.model().residents()[host].bytes() / 8; ++i) at_host += words[i];
  EXPECT_EQ(at_host, chosen);
}

TEST(LayerPairsTest, TimesHaveTheNoiseBesideThem) {
  Pairs pairs({{.name = "chunks",
                .rows = {.rows = 40},
                .before = plain(kTp),
                .after = chunked(),
                .hides = true},
               {.name = "heat", .rows = kDecode, .before = plain(kDp), .after = counting()}});
  for (size_t pair = 0; pair < 2; ++pair) {
    const auto times = pairs->time(pair, {.rounds = 3, .sample_seconds = 1e-4});
    ASSERT_TRUE(times.ok()) << times.status().to_string();
    EXPECT_GT(times->before.median, 0);
    EXPECT_GT(times->after.median, 0);
    EXPECT_GT(times->ratio.low, 0);
    EXPECT_LE(times->again.low, times->again.high);
    EXPECT_EQ(times->hidden.has_value(), pair == 0);
  }
  EXPECT_GT(pairs->proven().pairs, 0);
  EXPECT_GT(pairs->proven().collectives, 0);
}

TEST(LayerPairsTest, AnIllegalLayoutIsRefused) {
  comm::ControlPlane control(-1, 0, 1);
  const auto pairs = LayerPairs::open(
      {{.name = "tp 3", .rows = {.rows = 4}, .before = plain({.tp = 3}), .after = plain(kTp)}},
      {.shapes = {glm()}}, control);
  ASSERT_FALSE(pairs.ok());
  EXPECT_EQ(pairs.error().kind(), ErrorKind::usage);
}

TEST(LayerWorldTest, RanksThatDoNotMeetAreRefused) {
  comm::ControlPlane control(-1, 0, 1);
  const LayerRows rows{.rows = 4};
  const auto world =
      LayerWorld::open(glm(),
                       {.layout = layout::make_layout(model::layout_sizes(glm()), kTp).value(),
                        .model = {},
                        .steps = {rows}},
                       control);
  ASSERT_TRUE(world.ok()) << world.status().to_string();
  const auto plain_program = [](LayerRank&, flow::Program program) -> Result<flow::Program> {
    return program;
  };
  EXPECT_EQ((*world)->add("serial", rows, plain_program).value(), 0u);
  EXPECT_EQ((*world)->add("again", rows, plain_program).value(), 1u);
  EXPECT_GT((*world)->proven().collectives, 0);
  const auto bad = (*world)->add("rank 1 alone", rows, [](LayerRank& rank, flow::Program program) {
    return rank.model().options().rank == 1 ? without_collectives(program)
                                            : Result<flow::Program>(std::move(program));
  });
  EXPECT_FALSE(bad.ok());
}

TEST(LayerDifferenceTest, TheWorstOfBothIsKept) {
  LayerDifference all{.equal = true, .error = 0.1, .residual = 2};
  all.worsen({.equal = false, .error = 0.05, .residual = 3});
  EXPECT_FALSE(all.equal);
  EXPECT_EQ(all.error, 0.1);
  EXPECT_EQ(all.residual, 3);
  all.worsen({.error = std::nan("")});
  EXPECT_TRUE(std::isnan(all.error));
  all.worsen({.error = 0.2});
  EXPECT_TRUE(std::isnan(all.error));
}

TEST(LayerTimingTest, SharesAreTakenRoundByRound) {
  const std::vector<double> compute = {10, 20, 30}, sums = {4, 8, 12}, both = {10, 24, 39};
  const Estimate hidden = hidden_share(compute, sums, both);
  EXPECT_DOUBLE_EQ(hidden.median, 0.5);
  EXPECT_DOUBLE_EQ(hidden.low, 0.25);
  EXPECT_DOUBLE_EQ(hidden.high, 1);
  EXPECT_EQ(fastest_of(std::vector<std::vector<double>>{{3, 3, 9}, {2, 1, 50}, {4, 4, 4}}), 1u);
}

}  // namespace
}  // namespace braid::lab
