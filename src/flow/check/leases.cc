// The check of leases: rows change hands only when nothing in flight can touch them any more.
#include <fmt/format.h>

#include <map>
#include <numeric>

#include "flow/check/check.h"
#include "flow/check/segments.h"

namespace braid::flow {
namespace {

// The holder of some rows and the last launch that may touch them for it.
struct Held {
  int32_t lease = -1;  // -1: no lease yet
  int64_t last_launch = -1;
};

std::string text(const Lease& lease) {
  return fmt::format("holder {}, launches [{}, {}]", lease.holder, lease.first_launch,
                     lease.last_launch);
}

}  // namespace

Status check_leases(std::span<const Lease> leases) {
  std::vector<int32_t> sorted(leases.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::stable_sort(sorted.begin(), sorted.end(), [&](int32_t a, int32_t b) {
    return leases[static_cast<size_t>(a)].first_launch <
           leases[static_cast<size_t>(b)].first_launch;
  });
  std::map<int32_t, check::SegmentMap<Held>> residents;
  for (const int32_t index : sorted) {
    const Lease& lease = leases[static_cast<size_t>(index)];
    if (lease.last_launch < lease.first_launch) {
      return Error(ErrorKind::internal, "a lease ends before it starts").with("lease", text(lease));
    }
    for (auto& [first, last, held] : residents[lease.resident].at(lease.first, lease.last)) {
      const int64_t until = std::max(held.last_launch, lease.last_launch);
      if (held.lease >= 0 && leases[static_cast<size_t>(held.lease)].holder != lease.holder) {
        const bool both = lease.first_launch <= held.last_launch;
        if (both || lease.done_when_granted < held.last_launch) {
          return Error(ErrorKind::internal,
                       both ? "rows have two holders at once"
                            : "rows were handed out before their last holder's launch was done")
              .with("resident", lease.resident)
              .with("rows", fmt::format("[{}, {})", first, last))
              .with("before", text(leases[static_cast<size_t>(held.lease)]))
              .with("its last launch", held.last_launch)
              .with("after", text(lease))
              .with("done when granted", lease.done_when_granted);
        }
      }
      held = {index, until};
    }
  }
  return {};
}

}  // namespace braid::flow
