#include "flow/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/json.h"

namespace braid::flow {
namespace {

// What a Program's op costs, from its kind's declaration.
Work work_of(const Program& program, const Op& op) {
  if (op.kind().work == nullptr) return {};
  const OpTypes types = program.types_of(op);
  return op.kind().work(op.desc.data(), {types.begin(), types.size()});
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

// Events come in the order of their ends.
int64_t Trace::first_ns() const {
  const std::lock_guard lock(mutex_);
  int64_t first = std::numeric_limits<int64_t>::max();
  for (const Event& event : events_) first = std::min(first, event.start_ns);
  return first;
}

void Trace::add_events(int64_t origin, Json& events) const {
  const std::lock_guard lock(mutex_);
  events.push_back({{"ph", "M"},
                    {"name", "process_name"},
                    {"pid", rank_},
                    {"args", {{"name", fmt::format("rank {}", rank_)}}}});
  for (const Lane lane : kLanes) {
    events.push_back({{"ph", "M"},
                      {"name", "thread_name"},
                      {"pid", rank_},
                      {"tid", index_of(lane)},
                      {"args", {{"name", fmt::format("lane {}", name_of(lane))}}}});
  }
  for (const Event& event : events_) {
    const Step& step = steps_.at(event.step);
    const Op& op = step.schedule->program.ops[static_cast<size_t>(event.op)];
    events.push_back({{"ph", "X"},
                      {"name", op.kind().name},
                      {"cat", op.scope.to_string()},
                      {"pid", rank_},
                      {"tid", index_of(event.lane)},
                      {"ts", static_cast<double>(event.start_ns - origin) / 1e3},
                      {"dur", static_cast<double>(event.end_ns - event.start_ns) / 1e3},
                      {"args",
                       {{"step", event.step},
                        {"rows", step.label},
                        {"op", step.schedule->program.describe(op)}}}});
  }
}

std::string Trace::to_perfetto(std::span<const Trace* const> ranks) {
  int64_t origin = std::numeric_limits<int64_t>::max();
  for (const Trace* trace : ranks) origin = std::min(origin, trace->first_ns());
  Json events = Json::array();
  for (const Trace* trace : ranks) trace->add_events(origin, events);
  return Json{{"traceEvents", events}, {"displayTimeUnit", "ms"}}.dump();
}

std::string Trace::to_perfetto() const {
  const Trace* const self = this;
  return to_perfetto({&self, 1});
}

struct Trace::Row {
  int64_t ops = 0;
  double ns = 0;
  Work work;
};

void Trace::add_rows(std::map<Role, Row>& rows) const {
  const std::lock_guard lock(mutex_);
  for (const Event& event : events_) {
    const Program& program = steps_.at(event.step).schedule->program;
    const Op& op = program.ops[static_cast<size_t>(event.op)];
    const Work work = work_of(program, op);
    Row& row = rows[op.scope.role];
    ++row.ops;
    row.ns += static_cast<double>(event.end_ns - event.start_ns);
    row.work.flop += work.flop;
    row.work.bytes += work.bytes;
  }
}

int64_t Trace::overlap_ns(int64_t step, Lane a, Lane b) const {
  const std::scoped_lock lock(mutex_);
  int64_t overlap = 0;
  for (const Event& one : events_) {
    if (one.step != step || one.lane != a) continue;
    for (const Event& other : events_) {
      if (other.step != step || other.lane != b) continue;
      overlap += std::max<int64_t>(
          0, std::min(one.end_ns, other.end_ns) - std::max(one.start_ns, other.start_ns));
    }
  }
  return overlap;
}

std::string Trace::module_table(std::span<const Trace* const> ranks) {
  std::map<Role, Row> rows;
  for (const Trace* trace : ranks) trace->add_rows(rows);
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

std::string Trace::module_table() const {
  const Trace* const self = this;
  return module_table({&self, 1});
}

}  // namespace braid::flow
