// Delay fuzz: random pauses before ops, to shake out missing waits.
#pragma once

#include <cstdint>

namespace braid::flow {

// Before each op its lane pauses for a random time of up to `longest` microseconds.
struct Delays {
  uint64_t seed = 0;
  int32_t longest = 0;  // 0: none
};

}  // namespace braid::flow
