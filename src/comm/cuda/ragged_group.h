// Collectives of different row counts among GPUs of one host, by kernels of small blocks that write
// to and read from peers' memory. The counts are read on the device: a captured graph is good for
// any of them, and the host waits for nothing.
//
// Rows are pushed to where peers want them, and parts of a sum pulled from where peers have them,
// so that nothing is staged. Workspaces of members may be laid out in different ways: by the word
// that says "you may" each member also tells where its buffer lies.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <memory>
#include <span>

#include "comm/comm.h"
#include "comm/cuda/peer_workspace.h"
#include "comm/cuda/ragged_sends.h"

namespace braid::comm {

// How many rows each member has, in memory of this GPU: i32 with `stride` elements from one to the
// next. Alike on all members.
struct DeviceCounts {
  const int32_t* data = nullptr;
  int64_t stride = 1;
};

// One of the buffers that an all_gather_v moves. `out` lies in the workspace, `in` anywhere.
struct DeviceGather {
  Rows in;
  Rows out;
  bool fill = false;  // rows of `out` that no member has become bytes of 0xff
};

// What a member sends in an all_to_all_v, in memory of this GPU.
struct DeviceSends {
  DeviceCounts counts;              // rows that it has for each member; no other one knows them
  const int32_t* source = nullptr;  // [most]: which rows of `in`, one member's behind the other's;
                                    // null: rows 0, 1, … of it
  int64_t most = 0;                 // rows that can be sent to all members together
  int32_t* received = nullptr;      // [members]: becomes how many came from each; null: not wanted
};

class RaggedGroup {
 public:
  // Every member calls this at the same point.
  static Result<std::unique_ptr<RaggedGroup>> create(PeerWorkspace& workspace,
                                                     const Members& members);

  // All are what Communicator (comm.h) has under these names, bitwise: sums in float32 in the
  // order of members, rounded once. Rows beyond the counts stay as they are, but for those that
  // are to be filled, and `out` of a scattered sum, which becomes zero there. Counts too large for
  // a buffer are cut off at its end. Row strides are alike on all members. All members enqueue the
  // same collectives in the same order, all of one rank on one stream. Can be captured.
  Status all_gather_v(std::span<const DeviceGather> buffers, const DeviceCounts& counts,
                      cudaStream_t stream) const;
  // `in` lies in the workspace, `out` anywhere.
  Status reduce_scatter_v(const Rows& in, const Rows& out, const DeviceCounts& counts,
                          cudaStream_t stream) const;
  // As all_gather_v, but that `in` is looked up by sends.source, and each row goes to one member.
  Status all_to_all_v(std::span<const DeviceGather> buffers, const DeviceSends& sends,
                      cudaStream_t stream) const;

 private:
  // Signals 0 … kMaxMoved − 1 tell where a member's buffers are, the last one that it is done.
  static constexpr int kDone = kMaxMoved;
  static constexpr int kNumSignals = kDone + 1;

  RaggedGroup(const PeerMemory& arena, PeerWords words, int32_t* table, const CountTables& tables)
      : arena_(arena), words_(std::move(words)), table_(table), tables_(tables) {}
  // The buffers as kernels take them, and what is told of where they are.
  using Places = std::array<uint32_t, kMaxMoved>;
  Result<Pushed> pushed_of(std::span<const DeviceGather> buffers, Places& places) const;
  // What a member tells of where its rows are.
  Result<uint32_t> place_of(const Rows& rows) const;
  PeerView view(const DeviceCounts& counts) const;

  const PeerMemory& arena_;
  PeerWords words_;
  int32_t* table_;      // as CountTables says
  CountTables tables_;  // all members'
};

}  // namespace braid::comm
