// A group of ranks that are threads of one process.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "comm/comm.h"

namespace braid::comm {

// Deterministic: every element is summed in float32 in the order of the members. The members
// compute a part of the columns each, and write it to all.
class LocalGroup {
 public:
  // `ranks`: the members by their numbers in the world, for messages. A member that comes
  // `timeout` later than another fails the group.
  LocalGroup(std::vector<int32_t> ranks, std::chrono::milliseconds timeout);
  LocalGroup(const LocalGroup&) = delete;
  LocalGroup& operator=(const LocalGroup&) = delete;
  ~LocalGroup();

  // The end of the index-th member. Lives as long as the group.
  Communicator& member(int32_t index);

 private:
  class Member;
  struct Posted {
    Rows in;
    Rows out;
    bool here = false;  // has come to the meeting that is being waited for
  };

  size_t size() const { return ranks_.size(); }
  Status all_reduce(size_t index, const Rows& in, const Rows& out);
  Status meet(size_t index, const Rows& in, const Rows& out);
  void part();
  void sum_columns(size_t index) const;
  Status check_alike() const;
  Error late(size_t waiting) const;
  void fail(const Error& why);
  Status status() const;

  const std::vector<int32_t> ranks_;
  const std::chrono::milliseconds timeout_;
  std::vector<std::unique_ptr<Member>> members_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_. Between meeting and parting the members read posted_ without it: nobody
  // posts again before all have parted.
  std::vector<Posted> posted_;
  size_t arrived_ = 0;
  size_t parted_ = 0;
  int64_t meetings_ = 0;  // that all members came to
  int64_t partings_ = 0;
  Status failure_;
};

}  // namespace braid::comm
