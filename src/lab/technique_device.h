// Where techniques are compared.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "ranks/backend.h"

namespace braid::lab {

struct TechniqueDevice {
  ranks::DeviceKind kind = ranks::DeviceKind::cpu;
  int32_t ranks = 2;  // 1: the only GPU
  std::string note;   // what the user may wonder about; empty: nothing
};

// What --device means where there are so many GPUs. auto takes GPUs where there are two, and where
// no link is emulated. `not_found` where there is none and one is asked for.
Result<TechniqueDevice> technique_device(std::string_view asked, bool emulates_link, int32_t gpus);

// Asked in a process of its own: ranks are forked from this one, which must not have touched a GPU.
Result<int32_t> count_gpus();

}  // namespace braid::lab
