// A group of ranks that are processes on CPUs: rows travel by Gloo over TCP, sums are our own.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "comm/call.h"
#include "comm/control/control_plane.h"

namespace gloo::transport {
class Context;
class Device;
class UnboundBuffer;
}  // namespace gloo::transport

namespace braid::comm {

// The network of this process, for all of its groups: one thread that serves its connections.
class GlooDevice {
 public:
  // Listens at the address by which other ranks reach this host.
  static Result<GlooDevice> open(const ControlPlane& control);
  std::shared_ptr<gloo::transport::Device>& get() { return device_; }

 private:
  std::shared_ptr<gloo::transport::Device> device_;
};

// This rank's end. Deterministic, with the same bits as LocalGroup: a sum's rows go to all members,
// and each adds them up in the members' order. Every collective begins with a few bytes that say
// what each member came with, and in an all_to_all_v how many rows it has for each other member.
class GlooGroup final : public Communicator {
 public:
  // All ranks of the world call it together, for as many groups each: `ranks` are the members of
  // this rank's by their numbers in the world. A member that comes `timeout` later than another to
  // a collective, or is gone, fails the group.
  static Result<std::unique_ptr<GlooGroup>> connect(GlooDevice& device, ControlPlane& control,
                                                    std::vector<int32_t> ranks,
                                                    std::chrono::milliseconds timeout);
  ~GlooGroup() override;

  int32_t rank() const override { return index_; }
  int32_t size() const override { return static_cast<int32_t>(ranks_.size()); }
  Status all_reduce(const Rows& in, const Rows& out, device::Queue* queue) override;
  Status all_gather_v(std::span<const Gather> buffers, std::span<const int32_t> counts,
                      device::Queue* queue) override;
  Status reduce_scatter_v(const Rows& in, const Rows& out, std::span<const int32_t> counts,
                          device::Queue* queue) override;
  Status all_to_all_v(std::span<const Gather> buffers, const int32_t* counts, int32_t* received,
                      device::Queue* queue) override;
  void abort(const Error& why) override;
  Status status() const override;

 private:
  using Clock = std::chrono::steady_clock;
  using Bytes = std::vector<std::byte>;
  // What a member came with: text that is alike on all, then numbers of its own.
  struct Hello {
    std::string text;
    int64_t room = 0;             // rows that it can be sent
    std::vector<int64_t> counts;  // rows that it has for each member
  };

  // Bytes for each member, or of each: [offset, offset + bytes) of a buffer.
  struct Piece {
    size_t offset = 0;
    size_t bytes = 0;
  };

  GlooGroup(std::vector<int32_t> ranks, int32_t index, std::chrono::milliseconds timeout);
  Status connect_pairs(GlooDevice& device, ControlPlane& control);
  Status run(const Call& call, Status (GlooGroup::*move)(const Call&));
  Status meet(const Call& call);
  size_t hello_bytes() const;
  Bytes packed_hello(const Call& call) const;
  Hello hello_in(const std::byte* bytes) const;
  Status take_counts(const std::vector<Hello>& hellos);
  Status reduce(const Call& call);
  Status gather(const Call& call);
  Status scatter(const Call& call);
  Status send(const Call& call);
  // Sends its piece of `out` to every other member and receives its piece of `in` from it.
  Status exchange(std::span<std::byte> out, const std::vector<Piece>& to, std::span<std::byte> in,
                  const std::vector<Piece>& from, std::vector<bool>& heard);
  bool wait_for_all(gloo::transport::UnboundBuffer& out, size_t sends,
                    gloo::transport::UnboundBuffer& in, size_t receives, std::vector<bool>& heard);
  bool watch(gloo::transport::UnboundBuffer* out, gloo::transport::UnboundBuffer* in);
  Error lost(const std::vector<bool>& heard, Clock::time_point start, const char* why) const;
  Status fail(const Error& why);

  const std::vector<int32_t> ranks_;
  const int32_t index_;
  const std::chrono::milliseconds timeout_;
  std::shared_ptr<gloo::transport::Context> context_;  // null in a group of one
  uint64_t slot_ = 0;                                  // of the next exchange
  int64_t meetings_ = 0;
  std::string came_with_;
  std::vector<int32_t> received_;  // in this all_to_all_v: the rows that each member has for this
  Bytes out_, in_;

  mutable std::mutex mutex_;
  Status failure_;                                               // guarded by mutex_
  std::array<gloo::transport::UnboundBuffer*, 2> awaited_ = {};  // likewise: sent, received
};

}  // namespace braid::comm
