// Experts placed in slots, and replicas of them: whatever the placement, every slot holds its
// expert's weights, the ranks together compute what one rank computes, and their steps meet.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "experts/balance.h"
#include "lab/verification.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

using experts::ExpertPlacement;
using experts::PlacementSizes;
using layout::LayoutOptions;
using Placement = std::shared_ptr<const ExpertPlacement>;

constexpr float kLogitError = 1e-4f;  // as on a single rank: golden_test.cc

int32_t ep_of(const LayoutOptions& layout) {
  return layout.ep > 0 ? layout.ep : layout.dp * layout.tp;
}

PlacementSizes sizes_of(const std::string& folder, const LayoutOptions& layout, int32_t redundant) {
  const model::ModelConfig config = model::load_config(folder).value();
  return model::placement_sizes(config, ep_of(layout), redundant).value();
}

Placement share(ExpertPlacement placement) {
  return std::make_shared<const ExpertPlacement>(std::move(placement));
}

// Experts of all slots, [layers, slots].
std::vector<int32_t> experts_of(const ExpertPlacement& placement) {
  std::vector<int32_t> experts;
  for (int32_t layer = 0; layer < placement.sizes().layers; ++layer) {
    const auto slots = placement.slots_of(layer);
    experts.insert(experts.end(), slots.begin(), slots.end());
  }
  return experts;
}

// The standard one, with random changes that leave it legal: slots swapped, replicas of others.
Placement random_placement(const PlacementSizes& sizes, uint32_t seed) {
  std::mt19937 random(seed);
  ExpertPlacement placement = ExpertPlacement::standard(sizes);
  const auto accept = [&](std::vector<int32_t> experts) {
    auto changed = ExpertPlacement::create(sizes, std::move(experts));
    if (changed.ok()) placement = std::move(changed).value();
  };
  for (int i = 0; i < 60 * sizes.layers; ++i) {
    std::vector<int32_t> experts = experts_of(placement);
    std::swap(experts[random() % experts.size()], experts[random() % experts.size()]);
    accept(experts);
    experts = experts_of(placement);
    experts[random() % experts.size()] =
        static_cast<int32_t>(random() % static_cast<uint32_t>(sizes.experts));
    accept(experts);
  }
  return share(std::move(placement));
}

// Computed for made-up heat.
Placement computed_placement(const PlacementSizes& sizes, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<double> heat(static_cast<size_t>(sizes.layers * sizes.experts));
  for (double& count : heat) count = std::exp2(random() % 8);
  const auto standard = ExpertPlacement::standard(sizes);
  return share(experts::plan_balance(standard, sizes.redundant(), heat).value().placement);
}

start::EngineOptions options_of(size_t tokens, const LayoutOptions& layout, Placement placement) {
  start::EngineOptions options = prompt_options(tokens);
  options.layout = layout;
  options.worker.model.placement = std::move(placement);
  return options;
}

std::vector<float> logits_of_golden(const std::string& golden, const LayoutOptions& layout,
                                    Placement placement) {
  const std::vector<int32_t> prompt = golden_ids(golden, "input_ids");
  return logits_of(run_prompt(
      *open_engine(golden_folder(golden), options_of(prompt.size(), layout, std::move(placement))),
      prompt));
}

struct Case {
  const char* golden;
  LayoutOptions layout;
  int32_t redundant;
};

// Layouts of two and four groups of experts, hybrids, groups with requests of their own; experts in
// all formats.
const Case kCases[] = {
    {"glm4_moe", {.tp = 2, .ep = 2}, 0},
    {"glm4_moe", {.tp = 4, .ep = 4}, 8},
    {"qwen3_moe", {.tp = 4, .ep = 2}, 2},
    {"mixtral", {.tp = 4, .ep = 4}, 4},
    {"deepseek_v2", {.tp = 2, .ep = 2}, 6},
    {"deepseek_v3", {.dp = 2}, 4},
    {"mixtral", {.dp = 4}, 4},
    {"glm4_moe", {.tp = 2, .dp = 2}, 4},
    {"glm4_moe_fp8_block", {.tp = 2, .ep = 2, .dp = 2}, 16},
    {"glm4_moe_nvfp4", {.tp = 2, .ep = 2}, 4},
    {"qwen3_moe_fp8_channel", {.tp = 4, .ep = 4}, 12},
};

TEST(PlacementTest, RandomPlacementsMatchTheReferences) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const Case& of = kCases[seed % std::size(kCases)];
    SCOPED_TRACE(fmt::format("{} tp {} ep {} dp {}, {} redundant, seed {}", of.golden, of.layout.tp,
                             of.layout.ep, of.layout.dp, of.redundant, seed));
    const PlacementSizes sizes = sizes_of(golden_folder(of.golden), of.layout, of.redundant);
    const auto got = logits_of_golden(of.golden, of.layout, random_placement(sizes, seed));
    EXPECT_LE(largest_difference(got, golden_floats(of.golden, "logits")), kLogitError);
  }
}

TEST(PlacementTest, ComputedPlacementsMatchTheReferences) {
  for (const Case& of : kCases) {
    SCOPED_TRACE(of.golden);
    const PlacementSizes sizes = sizes_of(golden_folder(of.golden), of.layout, of.redundant);
    const auto got = logits_of_golden(of.golden, of.layout, computed_placement(sizes, 1));
    EXPECT_LE(largest_difference(got, golden_floats(of.golden, "logits")), kLogitError);
  }
}

TEST(PlacementTest, TheBundledModelComputesWhatOneRankComputes) {
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 70; ++i) prompt.push_back((i * 131 + 7) % 4000);
  const auto logits = [&](const LayoutOptions& layout, Placement placement) {
    return logits_of(run_prompt(
        *open_engine(fairytale_folder(), options_of(prompt.size(), layout, placement)), prompt));
  };
  const std::vector<float> one = logits({}, nullptr);
  for (const LayoutOptions& layout : {LayoutOptions{.tp = 2, .ep = 2},
                                      {.tp = 4, .ep = 4},
                                      {.tp = 4, .ep = 2},
                                      {.dp = 2},
                                      {.tp = 2, .dp = 2}}) {
    const PlacementSizes sizes = sizes_of(fairytale_folder(), layout, 4);
    EXPECT_LT(relative_error(logits(layout, random_placement(sizes, 3)), one), 1e-5);
    EXPECT_LT(relative_error(logits(layout, computed_placement(sizes, 3)), one), 1e-5);
  }
}

// The same slots by a table, other slots of the same ranks, and, where two ranks are summed up, the
// ranks exchanged: the same terms in the same order. (A model without shared experts: their parts
// are added to a rank's sum before it is reduced.)
TEST(PlacementTest, WhatAddsUpInTheSameOrderIsBitwiseEqual) {
  for (const LayoutOptions& layout :
       {LayoutOptions{.tp = 2, .ep = 2}, {.tp = 4, .ep = 4}, {.tp = 4, .ep = 2}, {.dp = 2}}) {
    const PlacementSizes sizes = sizes_of(golden_folder("qwen3_moe"), layout, 0);
    const auto logits = [&](Placement placement) {
      return logits_of_golden("qwen3_moe", layout, std::move(placement));
    };
    const std::vector<float> without = logits(nullptr);
    const ExpertPlacement standard = ExpertPlacement::standard(sizes);
    EXPECT_TRUE(same_bytes(logits(share(standard)), without));
    std::vector<int32_t> reversed = experts_of(standard);
    for (auto slot = reversed.begin(); slot != reversed.end(); slot += sizes.slots_of_rank()) {
      std::reverse(slot, slot + sizes.slots_of_rank());
    }
    EXPECT_TRUE(same_bytes(logits(share(*ExpertPlacement::create(sizes, reversed))), without));
    if (layout.tp * layout.dp != 2) continue;
    std::vector<int32_t> exchanged = experts_of(standard);
    for (int32_t layer = 0; layer < sizes.layers; ++layer) {
      const auto first = exchanged.begin() + layer * sizes.slots;
      std::rotate(first, first + sizes.slots_of_rank(), first + sizes.slots);
    }
    EXPECT_TRUE(same_bytes(logits(share(*ExpertPlacement::create(sizes, exchanged))), without));
  }
}

// A rank's buffer with this name; null where it has none.
std::byte* buffer(ranks::Worker& worker, const std::string& name, int64_t* bytes) {
  const flow::Residents& residents = worker.model().residents();
  for (int32_t index = 0; index < residents.size(); ++index) {
    if (residents[index].name != name) continue;
    *bytes = residents[index].bytes();
    return worker.data(index);
  }
  return nullptr;
}

// Every slot of every rank has the bytes that the expert has where no expert is elsewhere.
void expect_weights(const std::string& folder, const LayoutOptions& layout, int32_t redundant) {
  const PlacementSizes sizes = sizes_of(folder, layout, redundant);
  const Placement placement = random_placement(sizes, 5);
  const int32_t moe_tp = layout.tp * layout.dp / sizes.ranks;
  const auto whole = open_engine(folder, options_of(16, {.tp = moe_tp}, nullptr));
  const auto placed = open_engine(folder, options_of(16, layout, placement));
  const model::ModelConfig& config = placed->config();
  int32_t moe_layer = -1;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    if (!config.is_moe(layer)) continue;
    ++moe_layer;
    for (const char* pool : {"gate_up", "down"}) {
      const std::string_view block = config.family->expert_names.block;
      const auto name = fmt::format("model.layers.{}.{}.experts.{}", layer, block, pool);
      for (int32_t rank = 0; rank < placed->ranks().size(); ++rank) {
        int64_t bytes = 0, all = 0;
        const std::byte* got = buffer(placed->ranks()[rank], name, &bytes);
        const std::byte* from = buffer(whole->ranks()[rank % moe_tp], name, &all);
        ASSERT_NE(got, nullptr);
        const int64_t slot_bytes = bytes / sizes.slots_of_rank();
        for (int32_t slot = 0; slot < sizes.slots_of_rank(); ++slot) {
          const int32_t expert =
              placement->slots_of(moe_layer, rank / moe_tp)[static_cast<size_t>(slot)];
          ASSERT_LE((expert + 1) * slot_bytes, all);
          EXPECT_EQ(0, std::memcmp(got + slot * slot_bytes, from + expert * slot_bytes,
                                   static_cast<size_t>(slot_bytes)))
              << name << " rank " << rank << " slot " << slot;
        }
      }
    }
  }
}

TEST(PlacementTest, EverySlotHoldsItsExpertsWeights) {
  expect_weights(golden_folder("glm4_moe"), {.tp = 4, .ep = 4}, 4);
  expect_weights(golden_folder("qwen3_moe"), {.tp = 4, .ep = 2}, 2);
  expect_weights(golden_folder("mixtral_fp8_tensor"), {.tp = 2, .ep = 2}, 4);
  expect_weights(golden_folder("deepseek_v3_fp8_block"), {.dp = 2}, 2);
}

// Two experts exchanged in the table alone, in one layer: others' weights answer for them.
TEST(PlacementMutationTest, ATableThatLiesIsSeenInTheLogits) {
  const LayoutOptions layout{.tp = 2, .ep = 2};
  const PlacementSizes sizes = sizes_of(golden_folder("glm4_moe"), layout, 0);
  const std::vector<int32_t> prompt = golden_ids("glm4_moe", "input_ids");
  const std::vector<float> expected = golden_floats("glm4_moe", "logits");
  for (const auto& [a, b] : {std::pair{2, 3}, {1, 12}}) {  // of one rank, of two
    const auto engine =
        open_engine(golden_folder("glm4_moe"),
                    options_of(prompt.size(), layout, share(ExpertPlacement::standard(sizes))));
    for (int32_t rank = 0; rank < 2; ++rank) {
      int64_t bytes = 0;
      std::byte* table = buffer(engine->ranks()[rank], "model.layers.1.mlp.experts.table", &bytes);
      ASSERT_EQ(bytes, 16 * 4);
      std::swap(reinterpret_cast<int32_t*>(table)[a], reinterpret_cast<int32_t*>(table)[b]);
    }
    const auto got = logits_of(run_prompt(*engine, prompt));
    EXPECT_GT(largest_difference(got, expected), 10 * kLogitError);
  }
}

// A rank whose table differs from the others' computes a row twice, or not at all.
TEST(PlacementMutationTest, RanksWithDifferentTablesAreSeenInTheLogits) {
  const LayoutOptions layout{.tp = 2, .ep = 2};
  const PlacementSizes sizes = sizes_of(golden_folder("glm4_moe"), layout, 16);
  const std::vector<int32_t> prompt = golden_ids("glm4_moe", "input_ids");
  const auto engine =
      open_engine(golden_folder("glm4_moe"),
                  options_of(prompt.size(), layout, share(ExpertPlacement::standard(sizes))));
  int64_t bytes = 0;
  auto* table = reinterpret_cast<int32_t*>(
      buffer(engine->ranks()[0], "model.layers.1.mlp.experts.table", &bytes));
  ASSERT_EQ(bytes, 16 * 2 * 4);
  for (int expert = 0; expert < 16; ++expert) std::swap(table[2 * expert], table[2 * expert + 1]);
  const auto got = logits_of(run_prompt(*engine, prompt));
  EXPECT_GT(largest_difference(got, golden_floats("glm4_moe", "logits")), 10 * kLogitError);
}

TEST(PlacementTest, StepsOfAllRanksMeet) {
  for (const Case& of : kCases) {
    SCOPED_TRACE(of.golden);
    const model::ModelConfig config = model::load_config(golden_folder(of.golden)).value();
    const start::EngineOptions options{.layout = of.layout,
                                       .redundant_experts = of.redundant,
                                       .context_length = 64,
                                       .max_running = 16,
                                       .chunked_prefill_size = 64,
                                       .num_blocks = 16};
    const engine::EnginePlan plan = start::resolve(config, options).value();
    EXPECT_EQ(plan.model().placement != nullptr, of.redundant > 0);
    const lab::StepCompiler compiler(config, plan.worker);
    for (const layers::RowCounts rows : {layers::RowCounts{4, 0}, {0, 16}, {2, 8}}) {
      const auto steps = compiler.compile(layers::StepShape{rows, rows}).value();
      const auto joint = compiler.check_joint(steps);
      EXPECT_TRUE(joint.ok()) << joint.status().to_string();
    }
  }
}

}  // namespace
}  // namespace braid::testing
