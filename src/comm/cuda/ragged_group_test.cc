// Collectives with counts among GPUs: bitwise what threads on the CPU make of the same rows, in
// replays too, whose counts differ from those at the capture.
#include "comm/cuda/ragged_group.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "comm/cuda/copy_engine_group.h"
#include "comm/cuda/ragged_test_util.h"
#include "comm/nccl/nccl_group.h"
#include "device/cuda/spin.h"

namespace braid::comm {
namespace {

using testing::Bytes;
using testing::Counts;
using testing::expect_bytes;
using testing::expect_ok;
using testing::GpuRank;
using testing::group_sizes;
using testing::kPoison;
using testing::num_gpus;
using testing::on_threads;
using testing::random_rows;
using testing::rows_in;
using testing::seed_of;
using testing::Shape;
using testing::time_of;

constexpr int32_t kCapacity = 70;  // rows of a member

// Of every unit of the kernels, with and without gaps: a payload, ids, weights, and odd ones.
const std::vector<Shape> kGathered = {{Format::bf16, 1000},
                                      {Format::i32, 6, 0, 0, true},
                                      {Format::f32, 6},
                                      {Format::u8, 7},
                                      {Format::bf16, 264, 16, 32},
                                      {Format::i32, 8, 0, 0, true},
                                      {Format::bf16, 3, 2, 0, true}};
const std::vector<Shape> kSummed = {{Format::bf16, 1000},
                                    {Format::f32, 1000},
                                    {Format::bf16, 7},
                                    {Format::f32, 3, 4, 8},
                                    {Format::bf16, 264, 32, 16}};

// Counts of a round, alike on all ranks; now and then a member has none, or all that it can.
Counts counts_of(int members, int round) {
  std::mt19937 random(static_cast<uint32_t>(round));
  Counts counts;
  for (int member = 0; member < members; ++member) {
    const uint32_t kind = random() % 4;
    const auto some = static_cast<int32_t>(random() % (kCapacity + 1));
    counts.push_back(kind == 0 ? 0 : kind == 1 ? kCapacity : some);
  }
  return counts;
}

// What member `rank` has of kGathered afterwards, by threads.
std::vector<Bytes> gathered_by_threads(const Counts& counts, int rank, int round) {
  const int members = static_cast<int>(counts.size());
  std::vector<Bytes> result(kGathered.size());
  on_threads(members, [&](int member, Communicator& communicator) -> Status {
    std::vector<Bytes> ins(kGathered.size()), outs(kGathered.size());
    std::vector<Gather> buffers;
    for (size_t i = 0; i < kGathered.size(); ++i) {
      const Shape& shape = kGathered[i];
      ins[i] = random_rows(shape, shape.in_gap, kCapacity, seed_of(member, i, round));
      const Rows in = rows_in(ins[i], shape, shape.in_gap, kCapacity);
      const Rows out = rows_in(outs[i], shape, shape.out_gap, members * kCapacity);
      std::fill(outs[i].begin(), outs[i].end(), kPoison);
      buffers.push_back({in, out});
    }
    TRY(communicator.all_gather_v(buffers, counts, nullptr));
    for (size_t i = 0; i < kGathered.size(); ++i) {
      const Rows& out = buffers[i].out;
      for (int64_t row = total_of(counts); kGathered[i].fill && row < out.rows; ++row) {
        std::memset(out.data + row * out.stride, 0xff,
                    static_cast<size_t>(kGathered[i].row_bytes()));
      }
    }
    if (member == rank) result = std::move(outs);
    return {};
  });
  return result;
}

// What member `rank` has of kSummed afterwards, by threads; zeros behind its rows.
std::vector<Bytes> scattered_by_threads(const Counts& counts, int rank, int round) {
  const int members = static_cast<int>(counts.size());
  std::vector<Bytes> result(kSummed.size());
  on_threads(members, [&](int member, Communicator& communicator) -> Status {
    for (size_t i = 0; i < kSummed.size(); ++i) {
      const Shape& shape = kSummed[i];
      Bytes in = random_rows(shape, shape.in_gap, members * kCapacity, seed_of(member, i, round));
      Bytes out;
      const Rows to = rows_in(out, shape, shape.out_gap, kCapacity);
      std::fill(out.begin(), out.end(), kPoison);
      TRY(communicator.reduce_scatter_v(rows_in(in, shape, shape.in_gap, members * kCapacity), to,
                                        counts, nullptr));
      for (int64_t row = counts[static_cast<size_t>(member)]; row < kCapacity; ++row) {
        std::memset(to.data + row * to.stride, 0, static_cast<size_t>(shape.row_bytes()));
      }
      if (member == rank) result[i] = std::move(out);
    }
    return {};
  });
  return result;
}

constexpr int64_t kArenaBytes = int64_t{64} << 20;
constexpr int64_t kPlace = int64_t{4} << 20;  // between buffers

// A rank with buffers for both collectives: what peers touch in its workspace, at other places than
// theirs, the rest outside of it.
struct Rank : GpuRank {
  std::unique_ptr<RaggedGroup> ragged;
  device::Memory counts;
  device::Memory outside;

  static Result<Rank> open(ControlPlane& control) {
    // Workspaces of different sizes, too.
    Rank rank{TRY(GpuRank::open(control, kArenaBytes + control.rank() * (int64_t{2} << 20))),
              nullptr,
              {},
              {}};
    rank.ragged = TRY(RaggedGroup::create(*rank.workspace, rank.all()));
    rank.counts = TRY(rank.device->allocate(64 * 2 * sizeof(int32_t)));
    rank.outside = TRY(rank.device->allocate(kArenaBytes));
    return rank;
  }

  std::byte* shared(size_t buffer) const {
    return arena.data() + static_cast<int64_t>(buffer) * kPlace + rank * 4352;
  }
  std::byte* own(size_t buffer) const {
    return outside.data() + static_cast<int64_t>(buffer) * kPlace;
  }
  DeviceCounts device_counts() const {
    return {.data = reinterpret_cast<const int32_t*>(counts.data()), .stride = 2};
  }
  void set_counts(const Counts& of_members) {
    Counts spread;
    for (const int32_t count : of_members) {
      spread.push_back(count);
      spread.push_back(-7);  // between them, for the stride
    }
    device->upload(counts.data(), spread.data(), std::ssize(spread) * 4);
  }
  Rows rows(std::byte* at, const Shape& shape, int64_t gap, int64_t count) const {
    return {at, shape.row_bytes() + gap, count, shape.cols, shape.format};
  }

  Status gather() const {
    std::vector<DeviceGather> buffers;
    for (size_t i = 0; i < kGathered.size(); ++i) {
      const Shape& shape = kGathered[i];
      buffers.push_back({.in = rows(own(i), shape, shape.in_gap, kCapacity),
                         .out = rows(shared(i), shape, shape.out_gap, size * kCapacity),
                         .fill = shape.fill});
    }
    return ragged->all_gather_v(buffers, device_counts(), stream());
  }
  Status scatter() const {
    for (size_t i = 0; i < kSummed.size(); ++i) {
      const Shape& shape = kSummed[i];
      TRY(ragged->reduce_scatter_v(rows(shared(i), shape, shape.in_gap, size * kCapacity),
                                   rows(own(i), shape, shape.out_gap, kCapacity), device_counts(),
                                   stream()));
    }
    return {};
  }

  Status poison(std::byte* at, size_t bytes) const {
    CUDA_TRY(cudaMemset(at, static_cast<int>(kPoison), bytes));
    CUDA_TRY(cudaDeviceSynchronize());
    return {};
  }
  Status prepare_gather(int round) const {
    for (size_t i = 0; i < kGathered.size(); ++i) {
      const Shape& shape = kGathered[i];
      const Bytes in = random_rows(shape, shape.in_gap, kCapacity, seed_of(rank, i, round));
      device->upload(own(i), in.data(), std::ssize(in));
      TRY(poison(shared(i), static_cast<size_t>(size * kCapacity * (shape.row_bytes() + 64))));
    }
    return {};
  }
  Status prepare_scatter(int round) const {
    for (size_t i = 0; i < kSummed.size(); ++i) {
      const Shape& shape = kSummed[i];
      const Bytes in = random_rows(shape, shape.in_gap, size * kCapacity, seed_of(rank, i, round));
      device->upload(shared(i), in.data(), std::ssize(in));
      TRY(poison(own(i), static_cast<size_t>(kCapacity * (shape.row_bytes() + 64))));
    }
    return {};
  }
};

Status expect_gathered(const Rank& rank, const Counts& counts, int round) {
  TRY(rank.wait());
  const std::vector<Bytes> expected = gathered_by_threads(counts, rank.rank, round);
  for (size_t i = 0; i < expected.size(); ++i) {
    TRY(expect_bytes(rank, rank.shared(i), expected[i], i, round, "all_gather_v"));
  }
  return {};
}

Status expect_scattered(const Rank& rank, const Counts& counts, int round) {
  TRY(rank.wait());
  const std::vector<Bytes> expected = scattered_by_threads(counts, rank.rank, round);
  for (size_t i = 0; i < expected.size(); ++i) {
    TRY(expect_bytes(rank, rank.own(i), expected[i], i, round, "reduce_scatter_v"));
  }
  return {};
}

// No barrier between rounds: that a peer is not ready must not hurt.
Status run_rounds(Rank& rank, int rounds, const std::function<Status()>& gather,
                  const std::function<Status()>& scatter) {
  std::mt19937 random(static_cast<uint32_t>(rank.rank));
  const auto delay = [&] {
    device::spin(rank.stream(), static_cast<int64_t>(random() % 200) * 1000);
  };
  for (int round = 0; round < rounds; ++round) {
    const Counts counts = counts_of(rank.size, round);
    rank.set_counts(counts);
    TRY(rank.prepare_gather(round));
    delay();
    TRY(gather());
    delay();
    TRY(expect_gathered(rank, counts, round));
    TRY(rank.prepare_scatter(round));
    delay();
    TRY(scatter());
    TRY(expect_scattered(rank, counts, round));
  }
  return {};
}

TEST(CudaRaggedTest, BitwiseWhatThreadsGather) {
  if (num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  for (const int ranks : group_sizes()) {
    expect_ok(ranks, [](ControlPlane& control) -> Status {
      Rank rank = TRY(Rank::open(control));
      TRY(run_rounds(
          rank, 50, [&] { return rank.gather(); }, [&] { return rank.scatter(); }));
      return control.barrier();
    });
  }
}

TEST(CudaRaggedTest, CapturedWithFreshRowsAndOtherCounts) {
  if (num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  for (const int ranks : group_sizes()) {
    expect_ok(ranks, [](ControlPlane& control) -> Status {
      Rank rank = TRY(Rank::open(control));
      rank.set_counts(Counts(static_cast<size_t>(rank.size), 0));
      const cudaGraphExec_t gather = TRY(rank.capture([&] { return rank.gather(); }));
      const cudaGraphExec_t scatter = TRY(rank.capture([&] { return rank.scatter(); }));
      const auto replay = [&](cudaGraphExec_t graph) -> Status {
        CUDA_TRY(cudaGraphLaunch(graph, rank.stream()));
        return {};
      };
      TRY(run_rounds(
          rank, 200, [&] { return replay(gather); }, [&] { return replay(scatter); }));
      TRY(control.barrier());
      CUDA_TRY(cudaGraphExecDestroy(gather));
      CUDA_TRY(cudaGraphExecDestroy(scatter));
      return {};
    });
  }
}

// Gathers and sums one behind the other without the host looking: the last one's rows are right.
TEST(CudaRaggedTest, ManyInARowKeepInStep) {
  if (num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  expect_ok(2, [](ControlPlane& control) -> Status {
    Rank rank = TRY(Rank::open(control));
    const Counts counts = {kCapacity, 3};
    rank.set_counts(counts);
    TRY(rank.prepare_gather(1));
    std::mt19937 random(static_cast<uint32_t>(rank.rank));
    for (int i = 0; i < 500; ++i) {
      if (i % 7 == 0) {
        device::spin(rank.stream(), static_cast<int64_t>(random() % 100) * 1000);
      }
      TRY(rank.gather());
    }
    TRY(expect_gathered(rank, counts, 1));
    TRY(rank.prepare_scatter(2));
    for (int i = 0; i < 500; ++i) TRY(rank.scatter());
    TRY(expect_scattered(rank, counts, 2));
    return control.barrier();
  });
}

// Rows of ranks 2i and 2i + 1 are gathered while those of i and i + 2 are added, both ways.
TEST(CudaRaggedTest, GroupsAlongTwoAxes) {
  if (num_gpus() < 4) GTEST_SKIP() << "fewer than four GPUs";
  expect_ok(4, [](ControlPlane& control) -> Status {
    Rank rank = TRY(Rank::open(control));
    const int32_t of = control.rank();
    const Members pair{.ranks = {of / 2 * 2, of / 2 * 2 + 1}, .index = of % 2};
    const Members other{.ranks = {of % 2, of % 2 + 2}, .index = of / 2};
    const auto gathers = TRY(RaggedGroup::create(*rank.workspace, pair));
    const auto copies = TRY(CopyEngineGroup::create(*rank.workspace, other));
    const auto nccl = TRY(NcclGroup::create(control, other));
    std::byte* in = rank.arena.data() + (int64_t{40} << 20);
    std::byte* out = in + 4096;
    rank.set_counts({1, 1});
    for (int round = 0; round < 50; ++round) {
      const std::vector<float> own(1024, static_cast<float>(of + 1 + round));
      rank.device->upload(in, own.data(), 4096);
      TRY(gathers->all_gather_v(
          std::vector<DeviceGather>{
              {.in = {in, 4096, 1, 1024, Format::f32}, .out = {out, 4096, 2, 1024, Format::f32}}},
          rank.device_counts(), rank.stream()));
      const auto sum =
          round % 2 == 0
              ? copies->all_reduce(out, out + 8192, out + 16384, 2048, Format::f32, rank.stream())
              : nccl->all_reduce(out, out + 8192, 2048, Format::f32, rank.stream());
      TRY(sum);
      TRY(rank.wait());
      std::vector<float> sums(2048);
      rank.device->download(sums.data(), out + 8192, 8192);
      for (size_t i = 0; i < sums.size(); ++i) {
        // Ranks p, p + 2 of either parity p: (p + 1) + (p + 3), and twice the round.
        const auto expected = static_cast<float>(2 * static_cast<int>(i / 1024) + 4 + 2 * round);
        if (sums[i] == expected) continue;
        return Error(ErrorKind::internal, "a wrong sum along the other axis")
            .with("round", round)
            .with("is", sums[i])
            .with("not", expected);
      }
    }
    return control.barrier();
  });
}

// Prints microseconds and what came over the links; no bound, since they are whatever the machine
// has. Rows of 8 and 14 KB a rank, and of a rank more than of the others.
TEST(CudaRaggedTest, Times) {
  if (num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  expect_ok(2, [](ControlPlane& control) -> Status {
    Rank rank = TRY(Rank::open(control));
    const int64_t most = 4096;
    const device::Memory big = TRY(rank.device->allocate(int64_t{512} << 20));
    const auto shared = TRY(PeerWorkspace::share(*rank.device, big.data(), big.bytes(), control));
    const auto group = TRY(RaggedGroup::create(*shared, rank.all()));
    const device::Memory own = TRY(rank.device->allocate(int64_t{128} << 20));
    for (const int64_t cols : {4096, 7168}) {
      for (const auto& [first, second] : std::vector<std::array<int32_t, 2>>{
               {1, 1}, {16, 16}, {128, 128}, {1024, 1024}, {4096, 4096}, {4096, 1024}, {0, 4096}}) {
        rank.set_counts({first, second});
        const int64_t stride = cols * 2;
        const Rows mine{own.data(), stride, most, cols, Format::bf16};
        const Rows all{big.data(), stride, 2 * most, cols, Format::bf16};
        const Rows ids{big.data() + (int64_t{256} << 20), 32, 2 * most, 8, Format::i32};
        const Rows weights{ids.data + (int64_t{1} << 20), 32, 2 * most, 8, Format::f32};
        const Rows own_ids{own.data() + (int64_t{100} << 20), 32, most, 8, Format::i32};
        const Rows own_weights{own.data() + (int64_t{104} << 20), 32, most, 8, Format::f32};
        const std::vector<DeviceGather> buffers = {{.in = mine, .out = all},
                                                   {.in = own_ids, .out = ids, .fill = true},
                                                   {.in = own_weights, .out = weights}};
        const double gather = TRY(time_of(rank, control, [&] {
          return group->all_gather_v(buffers, rank.device_counts(), rank.stream());
        }));
        const double scatter = TRY(time_of(rank, control, [&] {
          return group->reduce_scatter_v(all, mine, rank.device_counts(), rank.stream());
        }));
        if (rank.rank != 0) continue;
        const double bytes = static_cast<double>(std::max(first, second) * stride);
        fmt::print(
            "rows {:>4} + {:>4} of {:>5} bytes: gather {:7.1f} µs ({:3.0f} GB/s one way), "
            "scattered sum {:7.1f} µs ({:3.0f} GB/s)\n",
            first, second, stride, gather, bytes / gather * 1e-3, scatter, bytes / scatter * 1e-3);
      }
    }
    return control.barrier();
  });
}

}  // namespace
}  // namespace braid::comm
