// For tests: launchers of testing::Mix on a GPU.
#pragma once

#include "device/cuda/cuda_queue.h"
#include "flow/cuda/mix_test_util.h"
#include "flow/test_kinds.h"

namespace braid::flow::testing {

// How launchers of a table behave.
struct MixBehaviour {
  MixTiming timing = {};
  bool overtakes = false;  // they launch programmatically wherever they stand: a launcher's fault
};

inline MixArgs mix_args(Args args) {
  MixArgs operands{.list = {}, .size = static_cast<int>(args.size())};
  for (size_t i = 0; i < args.size(); ++i) {
    const Arg& arg = args[i];
    const Access access = kMixOperands[i].access;
    operands.list[i] = {arg.data, arg.stride, arg.first_row, arg.rows,
                        arg.cols, arg.count,  reads(access), writes(access)};
  }
  return operands;
}

inline LauncherTable cuda_mix_table(const MixBehaviour& behaviour = {}) {
  Launcher launcher;
  launcher.can_implement = [](const void*, std::span<const Type>) { return Status(); };
  launcher.workspace_bytes = [](const void* desc, std::span<const Type>) {
    return static_cast<const Mix*>(desc)->scratch_bytes;
  };
  launcher.overlap = [](const void*, std::span<const Type>) { return kAwaits; };
  launcher.launch = [behaviour](const void* desc, Args args, Workspace scratch,
                                device::Queue* queue) {
    const auto& on = static_cast<const device::CudaQueue&>(*queue);
    const auto next = on.next_kernel();
    launch_mix(static_cast<const Mix*>(desc)->seed, mix_args(args), scratch.data, scratch.bytes,
               {on.stream(), next.follows || behaviour.overtakes, next.constant_weights},
               behaviour.timing);
  };
  LauncherTable table;
  table.add<Mix>(std::move(launcher));
  return table;
}

}  // namespace braid::flow::testing
