// For tests: the profile of two ranks and two steps, made by hand.
#pragma once

#include "flow/compile.h"
#include "flow/test_kinds.h"
#include "lab/profile_report.h"

namespace braid::lab::testing {

struct HandMade {
  flow::Schedule schedule;
  Profile profile;

  HandMade() {
    using flow::Lane;
    using flow::Role;
    flow::testing::Draft draft;
    const flow::Value x = draft.step("x"), y = draft.step("y");
    draft.op(Lane::compute, {.out = {x}}, {0, Role::attention});
    draft.meet(0, 7, {.inout = {x}});
    draft.op(Lane::compute, {.inout = {y}, .out = {}}, {1, Role::experts});
    draft.op(Lane::aux, {.out = {}, .in = {x}}, {1, Role::shared_expert});
    draft.op(Lane::compute, {.inout = {x}}, {-1, Role::head});
    draft.meet(0, 7, {.inout = {x}});
    for (size_t op : {1, 5}) {
      draft.program.ops[op].scope = {op == 1 ? 0 : 1, Role::residual};
    }
    schedule.program = draft.program;
    schedule.waits.resize(draft.program.ops.size());
    schedule.waits[1].push_back(0);
    for (int32_t rank = 0; rank < 2; ++rank) {
      flow::Timeline& timeline = profile.timelines.emplace_back(flow::Timeline{.rank = rank});
      for (const int64_t step : {4, 5}) {
        timeline.steps[step] = {&schedule, "decode 0, prefill 16"};
        add_step(timeline, step, 5000 + 2000 * step);
      }
    }
    profile.meetings = flow::meetings(profile.timelines, groups());
  }

  // The last op did not run: its window ends with the head, or with rank 1's reduction.
  static void add_step(flow::Timeline& timeline, int64_t step, int64_t at) {
    using flow::Lane;
    const auto add = [&](int32_t op, Lane lane, int64_t start, int64_t end) {
      timeline.events.push_back({step, op, lane, at + start, at + end});
    };
    if (timeline.rank == 0) {
      add(0, Lane::compute, 0, 200);
      add(1, Lane::comm, 200, 500);
      add(2, Lane::compute, 300, 600);
      add(3, Lane::aux, 350, 650);
      add(4, Lane::compute, 700, 800);
    } else {
      add(0, Lane::compute, 0, 460);
      add(1, Lane::comm, 460, 650);
      add(2, Lane::compute, 650, 790);
      add(4, Lane::compute, 800, 900);
      add(5, Lane::comm, 950, 1000);
    }
  }

  static std::vector<flow::CommunicatorGroup> groups() { return {{0, {0, 1}}}; }
  PhaseReport report() const { return make_report(profile, "prefill", "16 tokens", {4, 5}); }
};

}  // namespace braid::lab::testing
