#include "flow/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/json.h"

namespace braid::flow {
namespace {

Json to_microseconds(int64_t ns) { return static_cast<double>(ns) / 1e3; }

void add_names(int32_t rank, Json& events) {
  events.push_back({{"ph", "M"},
                    {"name", "process_name"},
                    {"pid", rank},
                    {"args", {{"name", fmt::format("rank {}", rank)}}}});
  for (const Lane lane : kLanes) {
    events.push_back({{"ph", "M"},
                      {"name", "thread_name"},
                      {"pid", rank},
                      {"tid", index_of(lane)},
                      {"args", {{"name", fmt::format("lane {}", name_of(lane))}}}});
  }
}

// What the op works on: every operand by its name in the kind.
Json shapes_of(const Program& program, const Op& op) {
  Json shapes = Json::object();
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (!op.operands[i].present()) continue;
    shapes[std::string(op.kind().operands[i].name)] = program.describe(op.operands[i]);
  }
  return shapes;
}

void add_events(const Timeline& timeline, int64_t origin, Json& events) {
  add_names(timeline.rank, events);
  for (const TimelineEvent& event : timeline.events) {
    const Program& program = timeline.program_of(event);
    const Op& op = timeline.op_of(event);
    const Work work = program.work_of(op);
    events.push_back({{"ph", "X"},
                      {"name", op.kind().name},
                      {"cat", op.scope.to_string()},
                      {"pid", timeline.rank},
                      {"tid", index_of(event.lane)},
                      {"ts", to_microseconds(event.start_ns - origin)},
                      {"dur", to_microseconds(event.end_ns - event.start_ns)},
                      {"args",
                       {{"step", event.step},
                        {"rows", timeline.steps.at(event.step).label},
                        {"op", program.describe(op)},
                        {"shapes", shapes_of(program, op)},
                        {"flop", work.flop},
                        {"bytes", work.bytes},
                        {"link_bytes", work.link_bytes}}}});
  }
}

// Leads from the start of the last member to the ends of the others, which waited for it.
void add_arrows(std::span<const Timeline> timelines, std::span<const CommunicatorGroup> groups,
                int64_t origin, Json& events) {
  int64_t id = 0;
  const auto add = [&](const Meeting::Member& member, const char* phase, bool at_start) {
    const Timeline& timeline = timelines[member.timeline];
    const TimelineEvent& event = timeline.events[member.event];
    const int64_t ns = at_start ? event.start_ns : std::max(event.end_ns - 1, event.start_ns);
    events.push_back({{"ph", phase},
                      {"bp", "e"},
                      {"name", "meets"},
                      {"cat", "collective"},
                      {"id", id},
                      {"pid", timeline.rank},
                      {"tid", index_of(event.lane)},
                      {"ts", to_microseconds(ns - origin)}});
  };
  for (const Meeting& meeting : meetings(timelines, groups)) {
    for (size_t i = 0; i < meeting.members.size(); ++i) {
      if (i == meeting.last) continue;
      add(meeting.members[meeting.last], "s", /*at_start=*/true);
      add(meeting.members[i], "f", /*at_start=*/false);
      ++id;
    }
  }
}

struct ModuleRow {
  int64_t ops = 0;
  double ns = 0;
  Work work;
};

void add_rows(const Timeline& timeline, std::map<Role, ModuleRow>& rows) {
  for (const TimelineEvent& event : timeline.events) {
    const Op& op = timeline.op_of(event);
    const Work work = timeline.program_of(event).work_of(op);
    ModuleRow& row = rows[op.scope.role];
    ++row.ops;
    row.ns += static_cast<double>(event.end_ns - event.start_ns);
    row.work.flop += work.flop;
    row.work.bytes += work.bytes;
  }
}

}  // namespace

int64_t Trace::now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void Trace::begin_step(int64_t step, const Schedule& schedule, std::string label) {
  const std::lock_guard lock(mutex_);
  steps_[step] = {&schedule, std::move(label)};
}

void Trace::record(int64_t step, int32_t op, Lane lane, int64_t start_ns, int64_t end_ns) {
  const std::lock_guard lock(mutex_);
  events_.push_back({step, op, lane, start_ns, end_ns});
}

Timeline Trace::timeline() const {
  const std::lock_guard lock(mutex_);
  Timeline timeline{.rank = rank_, .steps = steps_, .events = events_};
  std::stable_sort(timeline.events.begin(), timeline.events.end(),
                   [](const auto& a, const auto& b) { return a.start_ns < b.start_ns; });
  return timeline;
}

std::string Trace::to_perfetto() const {
  const Timeline own = timeline();
  return flow::to_perfetto({&own, 1});
}

int64_t Trace::overlap_ns(int64_t step, Lane a, Lane b) const {
  const std::scoped_lock lock(mutex_);
  int64_t overlap = 0;
  for (const TimelineEvent& one : events_) {
    if (one.step != step || one.lane != a) continue;
    for (const TimelineEvent& other : events_) {
      if (other.step != step || other.lane != b) continue;
      overlap += std::max<int64_t>(
          0, std::min(one.end_ns, other.end_ns) - std::max(one.start_ns, other.start_ns));
    }
  }
  return overlap;
}

std::string to_perfetto(std::span<const Timeline> ranks,
                        std::span<const CommunicatorGroup> groups) {
  int64_t origin = std::numeric_limits<int64_t>::max();
  for (const Timeline& timeline : ranks) {
    if (!timeline.events.empty()) origin = std::min(origin, timeline.events.front().start_ns);
  }
  Json events = Json::array();
  for (const Timeline& timeline : ranks) add_events(timeline, origin, events);
  add_arrows(ranks, groups, origin, events);
  return Json{{"displayTimeUnit", "ms"}, {"made_by", "braid"}, {"traceEvents", events}}.dump();
}

std::string module_table(std::span<const Timeline> ranks) {
  std::map<Role, ModuleRow> rows;
  for (const Timeline& timeline : ranks) add_rows(timeline, rows);
  double total_ns = 0;
  for (const auto& [role, row] : rows) total_ns += row.ns;
  std::string text = fmt::format("{:<14} {:>8} {:>10} {:>7} {:>9} {:>8}\n", "module", "ops", "ms",
                                 "share", "GFLOP/s", "GB/s");
  for (const auto& [role, row] : rows) {
    const double ns = std::max(row.ns, 1.0);
    text += fmt::format("{:<14} {:>8} {:>10.3f} {:>6.1f}% {:>9.2f} {:>8.2f}\n", name_of(role),
                        row.ops, row.ns / 1e6, 100 * row.ns / std::max(total_ns, 1.0),
                        row.work.flop / ns, row.work.bytes / ns);
  }
  return text;
}

}  // namespace braid::flow
