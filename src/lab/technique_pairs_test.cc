// The pairs of braid bench techniques: what they change, and what is left out where.
#include "lab/technique_pairs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "lab/technique_device.h"
#include "model/testing.h"
#include "passes/chunk_collectives.h"
#include "passes/count_heat.h"
#include "passes/dual_stream.h"
#include "passes/quantize_dispatch.h"

namespace braid::lab {
namespace {

using ranks::DeviceKind;

model::ModelConfig config_of(const char* golden) {
  return model::load_config(model::testing::golden_folder(golden)).value();
}

// How many things differ between both sides of a pair, which has all techniques off before.
int changes(const TechniquePair& pair) {
  const auto &before = pair.before.passes, &after = pair.after.passes;
  EXPECT_EQ(before.of<passes::DualStreamOptions>().mode, passes::Switch::off) << pair.setting;
  EXPECT_EQ(before.of<passes::ChunkOptions>().chunks, 1) << pair.setting;
  EXPECT_EQ(before.of<passes::HeatOptions>().mode, passes::Switch::off) << pair.setting;
  EXPECT_EQ(before.of<passes::QuantizeDispatchOptions>().dtype, passes::DispatchDtype::unquantized)
      << pair.setting;
  EXPECT_EQ(pair.before.method, ops::ReduceMethod::direct) << pair.setting;
  return static_cast<int>(pair.before.layout != pair.after.layout) +
         static_cast<int>(before.of<passes::DualStreamOptions>().mode !=
                          after.of<passes::DualStreamOptions>().mode) +
         static_cast<int>(before.of<passes::ChunkOptions>().chunks !=
                          after.of<passes::ChunkOptions>().chunks) +
         static_cast<int>(before.of<passes::HeatOptions>().mode !=
                          after.of<passes::HeatOptions>().mode) +
         static_cast<int>(before.of<passes::QuantizeDispatchOptions>().dtype !=
                          after.of<passes::QuantizeDispatchOptions>().dtype);
}

std::vector<std::string> names_of(const LayerTechniques& list) {
  std::vector<std::string> names;
  for (const LayerTechnique& one : list.pairs) names.push_back(one.pair.technique);
  return names;
}
std::set<std::string> left_out_of(const LayerTechniques& list) {
  std::set<std::string> names;
  for (const LeftOut& one : list.left_out) names.insert(one.technique);
  return names;
}

constexpr LayerFacts kFacts{
    .dtype = Format::bf16, .prefill = 100, .decode = 7, .context = 50, .summed = 900};
LayerFacts facts(DeviceKind device, int32_t ranks) {
  LayerFacts facts = kFacts;
  facts.device = device;
  facts.ranks = ranks;
  return facts;
}

TEST(EnginePairsTest, DifferInOneThing) {
  const EnginePairs list = engine_pairs(config_of("glm4_moe")).value();
  ASSERT_EQ(list.pairs.size(), 6u);
  EXPECT_TRUE(list.left_out.empty());
  for (const TechniquePair& pair : list.pairs) EXPECT_EQ(changes(pair), 1) << pair.setting;
}

TEST(EnginePairsTest, WhatAModelLacksIsSaid) {
  const EnginePairs list = engine_pairs(config_of("qwen3_moe")).value();
  EXPECT_EQ(list.pairs.size(), 5u);
  ASSERT_EQ(list.left_out.size(), 1u);
  EXPECT_EQ(list.left_out[0].technique, "dual_stream");
  EXPECT_EQ(engine_pairs(config_of("qwen2")).error().kind(), ErrorKind::unsupported);
}

TEST(LayerPairListTest, PublishedShapesOnTwoGpus) {
  const LayerShapes shapes = published_shapes().value();
  ASSERT_EQ(shapes.shapes.size(), 2u);
  EXPECT_EQ(shapes.shapes[*shapes.moe].moe->num_experts, 128);
  EXPECT_TRUE(shapes.shapes[*shapes.moe].is_moe(0));
  EXPECT_EQ(shapes.shapes[shapes.summed].hidden_size, 8192);
  EXPECT_FALSE(shapes.shapes[shapes.summed].moe);
  const LayerTechniques list = layer_pairs(shapes, facts(DeviceKind::cuda, 2));
  EXPECT_EQ(names_of(list),
            (std::vector<std::string>{"expert parallelism", "expert parallelism", "dual_stream",
                                      "chunk_collectives", "chunk_collectives", "quantize_dispatch",
                                      "heat"}));
  EXPECT_TRUE(list.left_out.empty());
  for (const LayerTechnique& one : list.pairs) {
    EXPECT_EQ(changes(one.pair), 1) << one.pair.setting;
    const bool chunks = one.pair.technique == "chunk_collectives";
    EXPECT_EQ(one.pair.hides, chunks);
    EXPECT_EQ(one.shape, chunks ? shapes.summed : *shapes.moe);
    EXPECT_EQ(one.rows.decode(), one.pair.phase == Phase::decode);
    EXPECT_TRUE(one.pair.bitwise || one.pair.bound > 0) << one.pair.setting;
    // Every layout is one that the shape can have, on both ranks.
    for (const PairSide& side : {one.pair.before, one.pair.after}) {
      const auto layout =
          layout::make_layout(model::layout_sizes(shapes.shapes[one.shape]), side.layout);
      ASSERT_TRUE(layout.ok()) << one.pair.setting;
      EXPECT_EQ(layout->world, 2);
      EXPECT_EQ(one.rows.groups.size(), side.layout.dp == 2 ? 2u : 0u) << one.pair.setting;
    }
  }
  EXPECT_EQ(list.pairs[3].pair.after.method, ops::ReduceMethod::copy_engine);
  EXPECT_GT(list.pairs[3].pair.after.passes.of<passes::ChunkOptions>().spare_sms, 0);
  EXPECT_EQ(list.pairs[4].pair.after.method, ops::ReduceMethod::direct);
  EXPECT_EQ(list.pairs[1].pair.setting.find("GLM-4.5-Air, dp 2, 7 + 7 decode rows: each expert"),
            0u)
      << list.pairs[1].pair.setting;
}

TEST(LayerPairListTest, OneGpuComparesWhatNeedsNoSecond) {
  const LayerShapes shapes = published_shapes().value();
  const LayerTechniques list = layer_pairs(shapes, facts(DeviceKind::cuda, 1));
  EXPECT_EQ(names_of(list), (std::vector<std::string>{"dual_stream", "heat"}));
  EXPECT_EQ(left_out_of(list), (std::set<std::string>{"expert parallelism", "chunk_collectives",
                                                      "quantize_dispatch"}));
  for (const LayerTechnique& one : list.pairs) {
    EXPECT_EQ(one.pair.after.layout, layout::LayoutOptions());
    EXPECT_TRUE(one.rows.groups.empty());
    EXPECT_NE(one.pair.setting.find("one rank"), std::string::npos);
  }
  for (const LeftOut& one : list.left_out) {
    EXPECT_NE(one.why.find("needs two GPUs; --device cpu"), std::string::npos);
  }
}

TEST(LayerPairListTest, AModelsOwnLayers) {
  const LayerShapes glm = shapes_of(config_of("glm4_moe"), "glm");
  EXPECT_FALSE(glm.shapes[glm.summed].is_moe(0));  // as it is
  EXPECT_TRUE(glm.shapes[*glm.moe].is_moe(0));
  const LayerTechniques on_cpu = layer_pairs(glm, facts(DeviceKind::cpu, 2));
  EXPECT_EQ(on_cpu.pairs.size(), 6u);  // no copy engines
  const LayerShapes dense = shapes_of(config_of("qwen2"), "qwen2");
  EXPECT_FALSE(dense.moe);
  const LayerTechniques chunks = layer_pairs(dense, facts(DeviceKind::cpu, 2));
  EXPECT_EQ(names_of(chunks), (std::vector<std::string>{"chunk_collectives"}));
  EXPECT_EQ(left_out_of(chunks), (std::set<std::string>{"expert parallelism", "dual_stream",
                                                        "quantize_dispatch", "heat"}));
}

TEST(LayerPairListTest, BfloatRoundsMoreThanFloat) {
  const LayerShapes shapes = published_shapes().value();
  LayerFacts on = facts(DeviceKind::cuda, 2);
  const double narrow = layer_pairs(shapes, on).pairs.front().pair.bound;
  on.dtype = Format::f32;
  EXPECT_LT(layer_pairs(shapes, on).pairs.front().pair.bound, narrow / 10);
}

TEST(TechniqueDeviceTest, AutoTakesTwoGpusAndNothingLess) {
  const auto device = [](std::string_view asked, bool link, int32_t gpus) {
    return technique_device(asked, link, gpus).value();
  };
  EXPECT_EQ(device("auto", false, 2).kind, DeviceKind::cuda);
  EXPECT_EQ(device("auto", false, 8).ranks, 2);
  EXPECT_EQ(device("auto", true, 2).kind, DeviceKind::cpu);
  EXPECT_EQ(device("auto", false, 0).kind, DeviceKind::cpu);
  EXPECT_TRUE(device("auto", false, 0).note.empty());
  const TechniqueDevice one = device("auto", false, 1);
  EXPECT_EQ(one.kind, DeviceKind::cpu);
  EXPECT_EQ(one.ranks, 2);
  EXPECT_NE(one.note.find("--device cuda"), std::string::npos);
  EXPECT_EQ(device("cpu", false, 4).kind, DeviceKind::cpu);
  EXPECT_EQ(device("cuda", false, 1).ranks, 1);
  EXPECT_EQ(device("cuda", false, 4).ranks, 2);
}

TEST(TechniqueDeviceTest, RefusesWhatIsNotThere) {
  EXPECT_EQ(technique_device("cuda", false, 0).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(technique_device("cuda", true, 2).error().kind(), ErrorKind::usage);
}

}  // namespace
}  // namespace braid::lab
