#include "lab/technique_device.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text_parts.h"
#include "comm/control/processes.h"

namespace braid::lab {

Result<TechniqueDevice> technique_device(std::string_view asked, bool emulates_link, int32_t gpus) {
  using ranks::DeviceKind;
  if (asked == "cuda") {
    if (emulates_link) {
      return Error(ErrorKind::usage, "GPUs have links of their own: none is emulated there")
          .remedy("Add --device cpu, or leave --emulate-link out.");
    }
    if (gpus == 0) {
      return Error(ErrorKind::not_found, "there is no GPU that braid can use")
          .with("device", "cuda")
          .remedy("Use --device cpu; for GPUs braid must be built where nvcc is installed.");
    }
    return TechniqueDevice{.kind = DeviceKind::cuda, .ranks = std::min(gpus, 2), .note = {}};
  }
  if (asked == "auto" && gpus >= 2 && !emulates_link) {
    return TechniqueDevice{.kind = DeviceKind::cuda, .ranks = 2, .note = {}};
  }
  TechniqueDevice cpu;
  if (asked == "auto" && gpus == 1) {
    cpu.note = "there is one GPU: --device cuda compares on it what needs no second one";
  }
  return cpu;
}

Result<int32_t> count_gpus() {
  const comm::Ended ended = TRY(comm::run_node({}, [](comm::ControlPlane& control) -> Status {
    control.conclude(fmt::format("{}", ranks::gpu_count()));
    return {};
  }));
  return static_cast<int32_t>(TRY(parse_number(ended.outcome)));
}

}  // namespace braid::lab
