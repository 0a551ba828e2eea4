// Overlap of neighbouring kernels on one lane (programmatic dependent launch): what a device's
// kernels allow, and what a Schedule makes of it. kernels/cuda/launch.cuh has the kernels' rules.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "flow/program.h"

namespace braid::flow {

// What an op's launcher says of the kernels that it enqueues.
struct KernelOverlap {
  // The last thing that it enqueues is a kernel, whose end the kernel behind it can await itself.
  bool can_be_followed = false;
  // None of its kernels starts its work before the op in front has ended: each keeps the rules, or
  // is launched plainly behind one of this op's that does.
  bool awaits_predecessor = false;
  // Operands, as bits by their numbers, that its first kernel may read before that, if nothing that
  // may still run writes them.
  uint32_t early_operands = 0;
  // The kernel behind its last one starts only when all kernels before its last one have ended.
  bool releases_late = false;

  bool operator==(const KernelOverlap&) const = default;
};

// Of a kernel that reads nothing early.
inline constexpr KernelOverlap kAwaits{.can_be_followed = true, .awaits_predecessor = true};
// Of kernels that know nothing of it, such as a library's.
inline constexpr KernelOverlap kCanBeFollowed{.can_be_followed = true};

// From the launcher table of the device.
using KernelOverlaps = std::function<KernelOverlap(const Op& op, std::span<const Type> types)>;

// How an op stands to the one before it on its lane.
struct Succession {
  KernelOverlap kernels;
  // Its kernel may be launched while that op still runs, and awaits its end itself.
  bool follows = false;
  // All that it reads early is constant, or was made by ops that have ended when its kernel starts:
  // it may read it.
  bool constant_weights = false;
};

struct Schedule;

// Derives schedule.successions from its lanes and waits. An op follows where its kernels await the
// op before it on its lane and that one can be followed, unless it is the lane's first, waits for
// another lane, one of the two is a collective, or the lane is comm or copy.
void derive_successions(Schedule& schedule, const KernelOverlaps& overlaps);

}  // namespace braid::flow
