// What a profile says: where the time of the steps of one sort went, by rank and by module. Pure.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "flow/timeline.h"
#include "layout/layout.h"

namespace braid::lab {

// The parts of a step that are told apart.
enum class Module : uint8_t {
  attention,
  norms,  // and additions to the residual stream
  router,
  dispatch,  // rows to the experts of other ranks, and back
  experts,
  shared_expert,
  dense_mlp,
  reductions,  // sums over ranks
  head,        // embedding, head and sampling, with their collectives
  inputs,
  idle,
};
inline constexpr size_t kNumModules = 11;
std::string_view name_of(Module module);
Module module_of(const flow::Op& op);

using ModuleTimes = std::array<int64_t, kNumModules>;  // nanoseconds

// One rank in all steps of a phase.
struct RankReport {
  flow::Occupancy occupancy;
  // Every moment once: what lane compute runs, else aux, else comm, else copy, else idle. Adds up
  // to the wall.
  ModuleTimes times = {};
  ModuleTimes beside = {};  // what ran at the same time on the other lanes
  int64_t waiting_ns = 0;   // of exposed communication: until the last member had come
  int32_t waited_for = -1;  // the rank that most of it was for; −1: none
};

// The time from the first start on any rank to the last end.
struct StepWindow {
  int64_t step = 0;
  int64_t from_ns = 0;
  int64_t to_ns = 0;
};

struct PhaseReport {
  std::string name;                           // "prefill"
  std::string work;                           // "512 tokens": what a step computes
  std::array<int32_t, kNumModules> places{};  // layers that have the module; 1 outside of layers
  std::vector<StepWindow> windows;
  std::vector<RankReport> ranks;

  int64_t wall_ns() const;  // of all windows
  // The rank that computes longest, for which others wait.
  size_t slowest() const;
};

struct Profile {
  std::vector<flow::Timeline> timelines;  // one a rank, in their order
  std::vector<flow::Meeting> meetings;
};

// The groups of a layout's communicators.
std::vector<flow::CommunicatorGroup> groups_of(const layout::Layout& layout);

// `steps` are those of the phase; all ranks ran them.
PhaseReport make_report(const Profile& profile, std::string name, std::string work,
                        const std::vector<int64_t>& steps);

}  // namespace braid::lab
