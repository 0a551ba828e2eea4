// What one rank recorded of its steps, as bytes: its Schedules stay where they are, and are named
// by what they were compiled for.
#pragma once

#include <map>

#include "base/status.h"
#include "flow/timeline.h"
#include "layers/step_shape.h"

namespace braid::ranks {

struct TraceMessage {
  struct Step {
    layers::StepShape shape;
    int64_t ops = 0;  // of its Schedule
    bool operator==(const Step&) const = default;
  };
  std::map<int64_t, Step> steps;  // by number
  std::vector<flow::TimelineEvent> events;

  std::string to_bytes() const;
  // `fault` when the bytes are not a trace, or an event's op is not one of its step.
  static Result<TraceMessage> from_bytes(std::string_view bytes);
};

}  // namespace braid::ranks
