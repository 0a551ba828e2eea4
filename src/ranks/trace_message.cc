#include "ranks/trace_message.h"

#include "comm/control/message.h"
#include "ranks/serialization.h"

namespace braid::ranks {
namespace {

constexpr size_t kStepNumbers = 7;
constexpr size_t kEventNumbers = 5;

Error no_trace() {
  return Error(ErrorKind::fault, "the control plane brought bytes that are not a trace");
}

}  // namespace

std::string TraceMessage::to_bytes() const {
  std::vector<int64_t> of_steps, of_events;
  for (const auto& [number, step] : steps) {
    const auto& [own, group, sampling] = step.shape;
    of_steps.insert(of_steps.end(), {number, own.decode, own.prefill, group.decode, group.prefill,
                                     static_cast<int64_t>(sampling), step.ops});
  }
  of_events.reserve(kEventNumbers * events.size());
  for (const flow::TimelineEvent& event : events) {
    of_events.insert(of_events.end(),
                     {event.step, event.op, static_cast<int64_t>(flow::index_of(event.lane)),
                      event.start_ns, event.end_ns});
  }
  return comm::pack({bytes_of_values<int64_t>(of_steps), bytes_of_values<int64_t>(of_events)});
}

Result<TraceMessage> TraceMessage::from_bytes(std::string_view bytes) {
  const std::vector<std::string> parts = TRY(comm::unpack(bytes));
  if (parts.size() != 2) return no_trace();
  const std::vector<int64_t> of_steps = TRY(values_of_bytes<int64_t>(parts[0]));
  const std::vector<int64_t> of_events = TRY(values_of_bytes<int64_t>(parts[1]));
  if (of_steps.size() % kStepNumbers != 0 || of_events.size() % kEventNumbers != 0) {
    return no_trace();
  }
  TraceMessage message;
  for (size_t at = 0; at < of_steps.size(); at += kStepNumbers) {
    const int64_t* step = &of_steps[at];
    const auto rows = [&](size_t i) {
      return layers::RowCounts{static_cast<int32_t>(step[i]), static_cast<int32_t>(step[i + 1])};
    };
    message.steps[step[0]] = {
        .shape = {rows(1), rows(3),
                  step[5] == 0 ? layers::Sampling::plain : layers::Sampling::extended},
        .ops = step[6]};
  }
  for (size_t at = 0; at < of_events.size(); at += kEventNumbers) {
    const int64_t* event = &of_events[at];
    const auto step = message.steps.find(event[0]);
    const bool known = step != message.steps.end() && event[1] >= 0 && event[1] < step->second.ops;
    if (!known || event[2] < 0 || event[2] >= static_cast<int64_t>(flow::kNumLanes)) {
      return no_trace().with("step", event[0]).with("op", event[1]).with("lane", event[2]);
    }
    message.events.push_back({.step = event[0],
                              .op = static_cast<int32_t>(event[1]),
                              .lane = static_cast<flow::Lane>(event[2]),
                              .start_ns = event[3],
                              .end_ns = event[4]});
  }
  return message;
}

}  // namespace braid::ranks
