#include "lab/profile_report.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "base/json.h"
#include "ops/collectives.h"
#include "ops/rank_rows.h"

namespace braid::lab {
namespace {

using flow::Lane;
using flow::Moment;
using flow::Role;
using flow::Timeline;
using flow::TimelineEvent;

constexpr size_t at(Module module) { return static_cast<size_t>(module); }

// The lane that a moment counts for comes first.
constexpr std::array kByWeight = {Lane::compute, Lane::aux, Lane::comm, Lane::copy};

StepWindow window_of(const Profile& profile, int64_t step) {
  StepWindow window{step, std::numeric_limits<int64_t>::max(), 0};
  for (const Timeline& timeline : profile.timelines) {
    for (const TimelineEvent& event : timeline.events) {
      if (event.step != step) continue;
      window.from_ns = std::min(window.from_ns, event.start_ns);
      window.to_ns = std::max(window.to_ns, event.end_ns);
    }
  }
  return window;
}

// The end of a collective's wait for its last member, and the rank of that member.
struct Wait {
  int64_t until_ns;
  int32_t rank;
};

// The waits of one rank, by the index of its event.
std::map<int32_t, Wait> waits_of(const Profile& profile, size_t rank) {
  std::map<int32_t, Wait> waits;
  for (const flow::Meeting& meeting : profile.meetings) {
    for (const flow::Meeting::Member& member : meeting.members) {
      if (member.timeline != rank) continue;
      waits[static_cast<int32_t>(member.event)] = {
          meeting.last_start_ns, profile.timelines[meeting.members[meeting.last].timeline].rank};
    }
  }
  return waits;
}

// Sums up the moments of one rank.
class RankSum {
 public:
  RankSum(const Profile& profile, size_t rank)
      : timeline_(profile.timelines[rank]), waits_(waits_of(profile, rank)) {}

  void add(const StepWindow& window) {
    const auto found = flow::moments(timeline_.events, window.from_ns, window.to_ns);
    report_.occupancy += flow::occupancy(found);
    for (const Moment& moment : found) {
      add_modules(moment);
      if (moment.exposed()) add_wait(moment);
    }
  }

  RankReport finish() {
    int64_t most = 0;
    for (const auto& [rank, ns] : waited_) {
      report_.waiting_ns += ns;
      if (ns > most) report_.waited_for = rank;
      most = std::max(most, ns);
    }
    return report_;
  }

 private:
  void add_modules(const Moment& moment) {
    bool counted = false;
    for (const Lane lane : kByWeight) {
      if (moment.on(lane) < 0) continue;
      const TimelineEvent& event = timeline_.events[static_cast<size_t>(moment.on(lane))];
      (counted ? report_.beside : report_.times)[at(module_of(timeline_.op_of(event)))] +=
          moment.ns();
      counted = true;
    }
    if (!counted) report_.times[at(Module::idle)] += moment.ns();
  }

  void add_wait(const Moment& moment) {
    const auto wait = waits_.find(moment.on(Lane::comm));
    if (wait == waits_.end() || wait->second.until_ns <= moment.start_ns) return;
    waited_[wait->second.rank] += std::min(wait->second.until_ns, moment.end_ns) - moment.start_ns;
  }

  const Timeline& timeline_;
  std::map<int32_t, Wait> waits_;
  std::map<int32_t, int64_t> waited_;  // nanoseconds, by the rank waited for
  RankReport report_;
};

// How many layers have a module.
std::array<int32_t, kNumModules> places_of(const flow::Program& program) {
  std::array<std::set<int32_t>, kNumModules> layers;
  for (const flow::Op& op : program.ops) layers[at(module_of(op))].insert(op.scope.layer);
  std::array<int32_t, kNumModules> places;
  for (size_t module = 0; module < kNumModules; ++module) {
    places[module] = std::max(1, static_cast<int32_t>(layers[module].size()));
  }
  places[at(Module::head)] = 1;
  return places;
}

}  // namespace

std::string_view name_of(Module module) {
  constexpr std::array<std::string_view, kNumModules> kNames = {
      "attention",     "norms and residual", "router",     "dispatch",           "experts",
      "shared expert", "dense MLP",          "reductions", "embedding and head", "step inputs",
      "idle"};
  return kNames[at(module)];
}

Module module_of(const flow::Op& op) {
  const bool in_layer = op.scope.layer >= 0;
  if (in_layer && (op.desc.is<ops::AllGatherVDesc>() || op.desc.is<ops::ReduceScatterVDesc>())) {
    return Module::dispatch;
  }
  if (in_layer && op.kind().collective != nullptr) {
    return op.scope.role == Role::experts ? Module::dispatch : Module::reductions;
  }
  switch (op.scope.role) {
    case Role::step: return Module::inputs;
    case Role::attention: return Module::attention;
    case Role::mlp: return Module::dense_mlp;
    case Role::router: return Module::router;
    case Role::shared_expert: return Module::shared_expert;
    case Role::experts: return Module::experts;
    case Role::residual: return in_layer ? Module::norms : Module::head;
    case Role::embedding:
    case Role::head:
    case Role::sampling: return Module::head;
  }
  return Module::head;
}

int64_t PhaseReport::wall_ns() const {
  int64_t sum = 0;
  for (const StepWindow& window : windows) sum += window.to_ns - window.from_ns;
  return sum;
}

size_t PhaseReport::slowest() const {
  const auto most = std::max_element(ranks.begin(), ranks.end(), [](const auto& a, const auto& b) {
    return a.occupancy.busy() < b.occupancy.busy();
  });
  return static_cast<size_t>(most - ranks.begin());
}

std::vector<flow::CommunicatorGroup> groups_of(const layout::Layout& layout) {
  std::vector<flow::CommunicatorGroup> groups;
  for (size_t id = 0; id < layout.communicators.size(); ++id) {
    for (const std::vector<int32_t>& members : layout.communicators[id].groups) {
      groups.push_back({static_cast<int32_t>(id), members});
    }
  }
  return groups;
}

PhaseReport make_report(const Profile& profile, std::string name, std::string work,
                        const std::vector<int64_t>& steps) {
  const flow::TimelineStep& first = profile.timelines.front().steps.at(steps.front());
  PhaseReport report{.name = std::move(name),
                     .work = std::move(work),
                     .places = places_of(first.schedule->program)};
  for (const int64_t step : steps) report.windows.push_back(window_of(profile, step));
  for (size_t rank = 0; rank < profile.timelines.size(); ++rank) {
    RankSum sum(profile, rank);
    for (const StepWindow& window : report.windows) sum.add(window);
    report.ranks.push_back(sum.finish());
  }
  return report;
}

}  // namespace braid::lab
