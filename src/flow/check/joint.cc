// The checks over all ranks: collectives meet, nothing waits in a circle, and memory that a peer
// touches is ordered by the collectives.
#include <fmt/format.h>

#include <map>
#include <set>

#include "flow/check/access.h"
#include "flow/check/check.h"
#include "flow/check/order.h"

namespace braid::flow {
namespace check {
namespace {

// The last access of each lane of each rank to a stretch of memory, as nodes; -1: none.
struct LastOfLanes {
  std::vector<int32_t> readers;
  std::vector<int32_t> writers;
};

// One copy of a resident on its owner.
struct CopyKey {
  ResidentKey resident;
  int32_t copy = 0;
  auto operator<=>(const CopyKey&) const = default;
};

class PeerMemory {
 public:
  PeerMemory(std::span<const std::span<const Launch>> ranks, const Order& order)
      : ranks_(ranks), order_(order) {
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      for (const Launch& launch : ranks[rank]) {
        for (const Buffer& buffer : launch.schedule->program.buffers) {
          if (buffer.lifetime != Lifetime::carried || buffer.owner < 0) continue;
          if (buffer.owner == static_cast<int32_t>(rank)) continue;
          shared_.insert({buffer.resident, buffer.owner});
        }
      }
    }
  }

  // Goes in the order of time, so that no access comes before one that was looked at already.
  Status run() {
    if (shared_.empty()) return {};
    for (const int32_t node : order_.sorted()) TRY(check(node));
    return {};
  }

  int64_t pairs() const { return pairs_; }

 private:
  const Order::Node& at(int32_t node) const { return order_.nodes()[static_cast<size_t>(node)]; }
  const Launch& launch_of(int32_t node) const {
    return ranks_[static_cast<size_t>(at(node).rank)][static_cast<size_t>(at(node).launch)];
  }

  Status check(int32_t node) {
    const Launch& launch = launch_of(node);
    const Program& program = launch.schedule->program;
    Status status;
    for_each_access(program, at(node).op, [&](const RowAccess& access) {
      const Buffer& buffer = buffer_at(program, access.buffer);
      if (!status.ok() || buffer.lifetime != Lifetime::carried) return;
      const ResidentKey resident{buffer.resident, buffer.owner < 0 ? at(node).rank : buffer.owner};
      if (!shared_.contains(resident)) return;
      const int32_t copy = buffer.copies == 2 ? static_cast<int32_t>(launch.step & 1) : 0;
      for (auto& segment : memory_[{resident, copy}].at(access.first * buffer.row_bytes,
                                                        access.last * buffer.row_bytes)) {
        status = check(node, access, buffer, segment);
        if (!status.ok()) return;
      }
    });
    return status;
  }

  using Segment = SegmentMap<LastOfLanes>::Segment;

  Status check(int32_t node, const RowAccess& access, const Buffer& buffer, Segment& segment) {
    LastOfLanes& last = segment.state;
    const size_t lanes = ranks_.size() * kNumLanes;
    last.readers.resize(lanes, -1);
    last.writers.resize(lanes, -1);
    for (size_t lane = 0; lane < lanes; ++lane) {
      TRY(check_order(last.writers[lane], node, buffer, segment));
      if (access.written) TRY(check_order(last.readers[lane], node, buffer, segment));
    }
    const auto lane = static_cast<size_t>(at(node).lane);
    if (access.written) last.writers[lane] = node;
    if (access.read) last.readers[lane] = node;
    return {};
  }

  Status check_order(int32_t earlier, int32_t node, const Buffer& buffer, const Segment& segment) {
    if (earlier < 0 || earlier == node) return {};
    const bool one_collective =
        at(earlier).rendezvous >= 0 && at(earlier).rendezvous == at(node).rendezvous;
    if (one_collective) return {};
    ++pairs_;
    if (order_.before(earlier, node)) return {};
    return Error(ErrorKind::internal, "no collective orders two ranks' accesses of one memory")
        .with("first", text(earlier))
        .with("second", text(node))
        .with("owner", buffer.owner < 0 ? at(node).rank : buffer.owner)
        .with("buffer", buffer.label)
        .with("rows", rows_text(buffer, segment.first, segment.last));
  }

  std::string text(int32_t node) const {
    const Program& program = launch_of(node).schedule->program;
    return fmt::format("rank {} launch {} lane {} {}", at(node).rank, at(node).launch,
                       name_of(op_at(program, at(node).op).lane), op_text(program, at(node).op));
  }

  std::span<const std::span<const Launch>> ranks_;
  const Order& order_;
  std::set<ResidentKey> shared_;  // touched by a rank that isn't the owner
  std::map<CopyKey, SegmentMap<LastOfLanes>> memory_;
  int64_t pairs_ = 0;
};

Result<CheckReport> check_ranks(std::span<const std::span<const Launch>> ranks,
                                std::span<const CommunicatorGroup> groups) {
  CheckReport report;
  for (const std::span<const Launch> rank : ranks) {
    for (size_t i = 0; i < rank.size(); ++i) {
      TRY(check_shape(*rank[i].schedule));
      TRY(check_names(rank, i));
      report.ops += static_cast<int64_t>(rank[i].schedule->program.ops.size());
    }
  }
  const Order order = TRY(Order::derive(ranks, groups));
  PeerMemory memory(ranks, order);
  TRY(memory.run());
  report.pairs = memory.pairs();
  report.collectives = order.meetings();
  return report;
}

}  // namespace
}  // namespace check

Result<CheckReport> check_joint(std::span<const Schedule* const> ranks,
                                std::span<const CommunicatorGroup> groups) {
  std::vector<Launch> launches;
  for (const Schedule* schedule : ranks) launches.push_back({schedule, 0, {}});
  std::vector<std::span<const Launch>> lists;
  for (const Launch& launch : launches) lists.emplace_back(&launch, 1);
  return check::check_ranks(lists, groups);
}

Result<CheckReport> check_joint_launches(std::span<const std::vector<Launch>> ranks,
                                         std::span<const CommunicatorGroup> groups) {
  const std::vector<std::span<const Launch>> lists(ranks.begin(), ranks.end());
  return check::check_ranks(lists, groups);
}

}  // namespace braid::flow
