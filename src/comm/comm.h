// Communicators: how a group of ranks exchanges rows. Every member has one object a group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

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

// One of the buffers that an all_gather_v or an all_to_all_v moves.
struct Gather {
  Rows in;   // this rank's rows, and perhaps more that are not moved
  Rows out;  // for the rows that it gets, and perhaps more that stay as they are
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

  // Rows of all members, one member behind the other, to all of them: counts[m] rows of member m's
  // `in`, whose place in every member's `out` begins at row counts[0] + … + counts[m − 1]. Several
  // buffers of any formats in one call. A member's `in` lies outside its `out`, or where it goes to
  // in there. All members know all counts; one with 0 rows takes part. Equal counts are the plain
  // all-gather. `fault` as in all_reduce, and where a buffer is too small for the counts;
  // `unsupported` unless overridden.
  virtual Status all_gather_v(std::span<const Gather> buffers, std::span<const int32_t> counts,
                              device::Queue* queue);

  // The way back: out [counts[rank()], C] = Σ of the rows of all members' `in` that lie where
  // all_gather_v puts this member's, summed in float32 in the order of the members, rounded once.
  // `in` and `out` don't overlap; rows of `out` beyond its count stay as they are. Errors as in
  // all_reduce and all_gather_v. Equal counts are the plain reduce-scatter.
  virtual Status reduce_scatter_v(const Rows& in, const Rows& out, std::span<const int32_t> counts,
                                  device::Queue* queue);

  // Rows to one member each: the first counts[0] rows of `in` go to member 0, the next counts[1] to
  // member 1, …; `out` gets what all members have for this one, member 0's first, and received[m]
  // says how many came from member m. Several buffers of any formats in one call, which don't
  // overlap. The counts are data: both arrays of size() numbers are where the rows are, and no
  // member knows those of another before. Members may send and get nothing. `fault` as in
  // all_gather_v, on all members; `unsupported` unless overridden.
  virtual Status all_to_all_v(std::span<const Gather> buffers, const int32_t* counts,
                              int32_t* received, device::Queue* queue);

  // Ends what any member waits for, with this error. Any thread may call these two.
  virtual void abort(const Error& why) = 0;
  // Ok, or the first error.
  virtual Status status() const = 0;
};

// Σ counts: rows of a gathered buffer.
int64_t total_of(std::span<const int32_t> counts);
// The row at which the rows of member `index` begin.
int64_t first_of(std::span<const int32_t> counts, int32_t index);

}  // namespace braid::comm
