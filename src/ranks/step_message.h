// A step as rank 0 tells it to the processes of the other ranks.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "layers/step_shape.h"

namespace braid::ranks {

struct StepMessage {
  int64_t step = 0;
  bool waits_first = true;                  // rank 0 waits for it before it submits the next step
  std::vector<layers::StepShape> shapes;    // one a group of ranks
  std::vector<std::vector<int32_t>> words;  // likewise: its step inputs

  std::string to_bytes() const;
  // `fault` when the bytes are no message for so many groups.
  static Result<StepMessage> from_bytes(std::string_view bytes, int32_t groups);
};

}  // namespace braid::ranks
