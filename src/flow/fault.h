// Faults that tests ask an executor for: how a lost rank, a hung kernel or a skipped op looks to
// all the others.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace braid::flow {

enum class FaultKind : uint8_t {
  none,
  kill,  // the process kills itself when it is about to launch the op
  hang,  // the op never ends
  skip,  // the op is left out
  fail,  // the op's launcher fails
};

struct Fault {
  FaultKind kind = FaultKind::none;
  int64_t step = 0;
  int32_t op = 0;

  bool hits(int64_t at_step, int32_t at_op) const {
    return kind != FaultKind::none && step == at_step && op == at_op;
  }
};

}  // namespace braid::flow
