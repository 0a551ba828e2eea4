// Communicators: how a group of ranks exchanges rows. Every member has one object a group.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/format.h"
#include "base/status.h"
#include "device/queue.h"

namespace braid::comm {

// Rows [rows, cols] in this rank's memory.
struct Rows {
  std::byte* data = nullptr;
  int64_t stride = 0;  // bytes from row to row
  int64_t rows = 0;
  int64_t cols = 0;
  Format format = Format::f32;
};

// One rank's end of a group. Its collectives are called by one thread, in the same order on all
// members. Once one has failed, all calls of all members return the first error.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int32_t rank() const = 0;  // among the members: 0 … size() − 1
  virtual int32_t size() const = 0;

  // out [R, C] = Σ of all members' in [R, C], rounded once to their format; all members get the
  // same bits. `in` and `out` may be the same memory. `queue`: what the work is enqueued on; null
  // where the calling thread itself does it. `unsupported` for a format that can't be summed,
  // `fault` when a member is late, failed, or came with another shape: out is undefined then.
  virtual Status all_reduce(const Rows& in, const Rows& out, device::Queue* queue) = 0;

  // Ends what any member waits for, with this error. Any thread may call these two.
  virtual void abort(const Error& why) = 0;
  // Ok, or the first error.
  virtual Status status() const = 0;
};

}  // namespace braid::comm
