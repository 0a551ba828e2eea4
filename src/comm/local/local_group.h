// A group of ranks that are threads of one process.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "comm/call.h"
#include "comm/local/emulated_link.h"
#include "comm/row_sums.h"

namespace braid::comm {

// Deterministic: every element is summed in float32 in the order of the members. In an all_reduce
// the members compute a part of the columns each, and write it to all; in the collectives with
// counts each fetches from all others what it is to have. With emulated links every collective
// lasts until the slowest member's link has carried what a ring would send; its thread sleeps.
class LocalGroup {
 public:
  // `ranks`: the members by their numbers in the world, for messages. A member that comes
  // `timeout` later than another fails the group. `links`: the members', which outlive the group;
  // none: nothing is emulated.
  LocalGroup(std::vector<int32_t> ranks, std::chrono::milliseconds timeout,
             std::vector<EmulatedLink*> links = {});
  LocalGroup(const LocalGroup&) = delete;
  LocalGroup& operator=(const LocalGroup&) = delete;
  ~LocalGroup();

  // The end of the index-th member. Lives as long as the group.
  Communicator& member(int32_t index);

 private:
  class Member;
  // Room of one member, so that a collective allocates nothing.
  struct Scratch {
    std::vector<Rows> ins, outs;    // one a member
    std::vector<int32_t> received;  // likewise
  };
  struct Posted {
    Call call;          // its spans live until the member parts
    bool here = false;  // has come to the meeting that is being waited for
  };

  size_t size() const { return ranks_.size(); }
  Status all_reduce(size_t index, const Rows& in, const Rows& out);
  Status all_gather_v(size_t index, std::span<const Gather> buffers,
                      std::span<const int32_t> counts);
  Status reduce_scatter_v(size_t index, const Rows& in, const Rows& out,
                          std::span<const int32_t> counts);
  Status all_to_all_v(size_t index, std::span<const Gather> buffers,
                      std::span<const int32_t> counts, std::span<int32_t> received);
  Status meet(size_t index, const Call& call);
  void part(size_t index);
  LinkLoad load_of(size_t index);
  void wait_for_link(size_t index);
  void sum(size_t index, const SummedPart& part, std::span<const Rows> outs);
  void sum_columns(size_t index);
  void fetch_rows(size_t index) const;
  void sum_own_rows(size_t index);
  int64_t sent(size_t from, size_t to) const;
  void fetch_sent_rows(size_t index) const;
  static bool alike(const Call& a, const Call& b);
  Status check_alike() const;
  Status check_received() const;
  Error late(size_t waiting) const;
  void fail(const Error& why);
  Status status() const;

  const std::vector<int32_t> ranks_;
  const std::chrono::milliseconds timeout_;
  const std::vector<EmulatedLink*> links_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<Scratch> scratch_;  // each used by its member's thread alone

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_. Between meeting and parting the members read posted_ and met_at_ without it:
  // no member posts again before all have parted.
  std::vector<Posted> posted_;
  EmulatedLink::Clock::time_point met_at_;
  size_t arrived_ = 0;
  size_t parted_ = 0;
  int64_t meetings_ = 0;  // that all members came to
  int64_t partings_ = 0;
  Status failure_;
};

}  // namespace braid::comm
