#include "passes/count_heat.h"

#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "flow/rewrite.h"
#include "ops/moe.h"
#include "ops/rows.h"

namespace braid::passes {
namespace {

using flow::Lifetime;
using flow::Program;
using flow::Value;
using kernels::RouteDesc;

constexpr int64_t kRows = 6, kExperts = 4, kTopK = 2;
constexpr layers::RowCounts kOwn = {.decode = 2, .prefill = 4};

// Two layers with routing, 3 and 5, with something on another lane in between; and a read-back.
class HeatTest : public ::testing::Test {
 protected:
  HeatTest() {
    logits_ = carried("logits", Format::f32, kRows, kExperts);
    slots_ = carried("slots", Format::i32, kRows, 1);
    sampled_ = carried("sampled", Format::i32, kRows, 1, 2);
    sampled_host_ = carried("sampled.host", Format::i32, kRows, 1, 2);
  }

  int32_t carried(std::string name, Format format, int64_t rows, int64_t cols, int32_t copies = 1) {
    return residents_.declare({.name = std::move(name),
                               .format = format,
                               .rows = rows,
                               .cols = cols,
                               .lifetime = Lifetime::carried,
                               .copies = copies});
  }
  // `copies` of the snapshot and of what the host reads.
  layers::HeatBuffers buffers(int32_t copies = 2, int64_t layers = 2) {
    return {.counters = carried("heat", Format::u64, 2 * layers, kExperts),
            .snapshot = carried("heat.snapshot", Format::u64, 2 * layers, kExperts, copies),
            .host = carried("heat.host", Format::u64, 2 * layers, kExperts, copies)};
  }

  Program step() {
    ops::Builder b(residents_);
    for (const int32_t layer : {3, 5}) {
      b.set_layer(layer);
      ops::scope(b, flow::Role::router, [&] {
        return ops::route(b, b.resident(logits_), b.resident(slots_),
                          {.num_experts = kExperts, .top_k = kTopK, .layer = layer});
      });
    }
    b.set_layer(-1);
    const Value picked = b.step("picked", Format::i32, kRows, 1);
    ops::copy(b, b.resident(slots_), picked);
    ops::copy(b, picked, b.resident(sampled_));
    return std::move(b).finish().value();
  }
  Program readback() {
    ops::Builder b(residents_);
    ops::read_back(b, b.resident(sampled_), b.resident(sampled_host_));
    return std::move(b).finish().value();
  }
  Program counted(Program program, const layers::HeatBuffers& heat) {
    auto result = count_heat(std::move(program), kOn, context(heat));
    EXPECT_TRUE(result.ok()) << result.status().to_string();
    return std::move(result).value();
  }

  PassContext context(const layers::HeatBuffers& heat) {
    return {.options = options_,
            .residents = residents_,
            .decisions = why_,
            .shape = {.own = kOwn, .group = kOwn},
            .buffers = {.heat = heat}};
  }

  static constexpr HeatOptions kOn = {.mode = Switch::on};
  const PassOptions options_;
  flow::Residents residents_;
  int32_t logits_ = -1, slots_ = -1, sampled_ = -1, sampled_host_ = -1;
  Decisions why_;
};

TEST(CountsHeatTest, OnWhereAskedForOrWantedAndThereAreExperts) {
  for (const bool wanted : {false, true}) {
    EXPECT_EQ(counts_heat({.mode = Switch::automatic, .wanted = wanted}, true), wanted);
    EXPECT_TRUE(counts_heat({.mode = Switch::on, .wanted = wanted}, true));
    EXPECT_FALSE(counts_heat({.mode = Switch::off, .wanted = wanted}, true));
    EXPECT_FALSE(counts_heat({.mode = Switch::on, .wanted = wanted}, false));
  }
}

TEST_F(HeatTest, EachLayersRoutingGetsItsCountersAndTheStepEndsWithASnapshot) {
  const Program before = step();
  const layers::HeatBuffers heat = buffers();
  const Program program = counted(before, heat);
  ASSERT_EQ(program.ops.size(), before.ops.size() + 1);
  for (const size_t op : {0, 1}) {
    const flow::Op& route = program.ops[op];
    EXPECT_EQ(route.desc.as<RouteDesc>().decode_rows, kOwn.decode);
    EXPECT_EQ(route.desc.as<RouteDesc>().layer, op == 0 ? 3 : 5);
    const Value counters = route.operands[ops::RouteOperand::heat];
    EXPECT_EQ(program.describe(counters), "heat [2, 4] u64");
    EXPECT_EQ(program.info(counters).first_row, op == 0 ? 0 : 2);
    EXPECT_EQ(program.info(counters).offset, op == 0 ? 0 : 2 * kExperts * 8);
    EXPECT_FALSE(before.ops[op].operands[ops::RouteOperand::heat].present());
  }
  for (size_t op = 2; op < before.ops.size(); ++op) {
    EXPECT_EQ(program.describe(program.ops[op]), before.describe(before.ops[op]));
  }
  EXPECT_EQ(program.describe(program.ops.back()), "router: copy → heat.snapshot [4, 4] u64");
  EXPECT_EQ(program.buffer_of(program.ops.back().operands[ops::CopyOperand::out]).copies, 2);
  ASSERT_EQ(why_.size(), 1u);
  EXPECT_EQ(why_[0].choice, "on");
  EXPECT_EQ(why_[0].rewrites, 2 + 1);
  EXPECT_EQ(why_[0].reason, "asked for: 2 layers count in routing, a copy of 128 bytes a step");
  const auto schedule = flow::compile(program);
  ASSERT_TRUE(schedule.ok()) << schedule.status().to_string();
  EXPECT_EQ(schedule->wait_count(), 0);
  const auto proof = flow::check_schedule(*schedule);
  EXPECT_TRUE(proof.ok()) << proof.status().to_string();
}

TEST_F(HeatTest, OffChangesNothingAndSaysWhy) {
  const Program before = step();
  const auto reason = [&](const HeatOptions& options, Program program) {
    const size_t ops = program.ops.size();
    const auto after = count_heat(std::move(program), options, context({}));
    EXPECT_EQ(after->ops.size(), ops);
    EXPECT_EQ(why_.back().choice, "off");
    EXPECT_EQ(why_.back().rewrites, 0);
    return why_.back().reason;
  };
  EXPECT_EQ(reason({}, before), "auto: nothing here reads it");
  EXPECT_EQ(reason({.mode = Switch::off, .wanted = true}, before), "switched off");
  EXPECT_EQ(reason({.mode = Switch::on}, readback()), "the model has no experts");
  EXPECT_EQ(read_back_heat(readback(), kOn, context({})).ops.size(), 1u);
}

TEST_F(HeatTest, LayersWithoutCountersAreAnError) {
  const auto result = count_heat(step(), kOn, context(buffers(2, /*layers=*/1)));
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().to_string().find("not every layer with experts has counters"),
            std::string::npos);
}

// Routing is split as long as it doesn't count; its parts count into the same counters then.
TEST_F(HeatTest, ComesBehindSplittingAndForbidsMore) {
  Program program = step();
  ASSERT_EQ(flow::splittable_rows(program, program.ops[0]), kRows);
  flow::Rewriter rewrite(program);
  const std::vector<flow::RowRange> ranges = {{0, 3}, {3, kRows}};
  rewrite.split({0}, ranges);
  const layers::HeatBuffers heat = buffers();
  const Program split = counted(std::move(rewrite).finish().value(), heat);
  ASSERT_TRUE(split.ops[1].desc.is<RouteDesc>());
  EXPECT_EQ(split.ops[0].desc.as<RouteDesc>().layer, split.ops[1].desc.as<RouteDesc>().layer);
  for (const size_t part : {0, 1}) {
    EXPECT_EQ(split.info(split.ops[part].operands[ops::RouteOperand::heat]).first_row, 0);
    EXPECT_EQ(split.type_of(split.ops[part].operands[ops::RouteOperand::logits]).first_row,
              part == 0 ? 0 : 3);
    EXPECT_FALSE(flow::splittable_rows(split, split.ops[part]));
  }
  EXPECT_EQ(why_.back().rewrites, 3 + 1);
  const auto proof = flow::check_schedule(flow::compile(split).value());
  EXPECT_TRUE(proof.ok()) << proof.status().to_string();
}

// What is wrong with launches of three steps and their read-backs; "" where nothing is.
std::string check(const flow::Schedule& step, const flow::Schedule& readback, bool last_reader,
                  bool own_step) {
  std::vector<flow::Launch> launches;
  for (int32_t i = 0; i < 3; ++i) {
    flow::Launch launch{.schedule = &step, .step = i + 1, .after = {}};
    if (i > 0) launch.after.push_back(2 * (i - 1));
    if (i > 1 && last_reader) launch.after.push_back(2 * (i - 2) + 1);
    launches.push_back(launch);
    launches.push_back({.schedule = &readback, .step = i + 1, .after = {}});
    if (own_step) launches.back().after.push_back(2 * i);
  }
  const auto report = flow::check_launches(launches);
  return report.ok() ? "" : report.error().to_string();
}

// Step, reader, step, reader, step. Only heat is read here, so that nothing else can be found.
TEST_F(HeatTest, WhoeverReusesASnapshotNamesItsLastReader) {
  for (const int32_t copies : {2, 1}) {
    const layers::HeatBuffers heat = buffers(copies);
    const flow::Schedule step_schedule = flow::compile(counted(step(), heat)).value();
    const flow::Schedule reader = flow::compile(read_back_heat({}, kOn, context(heat))).value();
    if (copies == 2) {
      EXPECT_EQ(check(step_schedule, reader, true, true), "");
      const std::string race = check(step_schedule, reader, /*last_reader=*/false, true);
      EXPECT_NE(race.find("first = launch 1 (step 1), second = launch 4 (step 3), buffer = "
                          "heat.snapshot"),
                std::string::npos)
          << race;
      const std::string early = check(step_schedule, reader, true, /*own_step=*/false);
      EXPECT_NE(early.find("first = launch 0 (step 1), second = launch 1 (step 1), buffer = "
                           "heat.snapshot"),
                std::string::npos)
          << early;
    } else {  // the next step would overwrite what is being read
      const std::string race = check(step_schedule, reader, true, true);
      EXPECT_NE(race.find("first = launch 1 (step 1), second = launch 2 (step 2), buffer = "
                          "heat.snapshot"),
                std::string::npos)
          << race;
    }
  }
}

}  // namespace
}  // namespace braid::passes
