// Rows to one GPU each, and back: bitwise what threads on the CPU make of the same rows, in replays
// too, whose counts differ from those at the capture. Where rows go is checked without GPUs.
#include "comm/cuda/ragged_sends.h"

#include <map>

#include "comm/cuda/ragged_group.h"
#include "comm/cuda/ragged_test_util.h"
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

constexpr int32_t kCapacity = 70;  // rows of a member, and the most that it has for another one

// counts[from][to], alike on all ranks; now and then a member has nothing for anybody, or gets
// nothing, or sends all that it can.
std::vector<Counts> counts_of(int members, int round) {
  std::mt19937 random(static_cast<uint32_t>(round) + 1000);
  std::vector<Counts> counts;
  const auto idle = static_cast<int>(random() % 8), unwanted = static_cast<int>(random() % 8);
  for (int from = 0; from < members; ++from) {
    counts.emplace_back();
    for (int to = 0; to < members; ++to) {
      const uint32_t kind = random() % 6;
      const auto some = static_cast<int32_t>(random() % (kCapacity + 1));
      const bool none = kind == 0 || from == idle || to == unwanted || round % 10 == 9;
      counts.back().push_back(none ? 0 : kind == 1 ? kCapacity : some);
    }
  }
  return counts;
}

// Which rows a member sends in a round: any, some of them more than once; behind them −1.
Counts source_of(const Counts& counts, int rank, int round) {
  std::mt19937 random(seed_of(rank, 15, round));
  Counts source(counts.size() * kCapacity, -1);
  for (int64_t i = 0; i < total_of(counts); ++i) {
    source[static_cast<size_t>(i)] = static_cast<int32_t>(random() % kCapacity);
  }
  return source;
}

// Every row that any member sends, by the numbers that the kernels go by.
TEST(RaggedSendsTest, RowsOfAllMembersLieOneBehindTheOther) {
  for (const int members : {1, 2, 3, 5, 16}) {
    for (int round = 0; round < 20; ++round) {
      const std::vector<Counts> counts = counts_of(members, round);
      const auto at = [&](int from, int to) {
        return counts[static_cast<size_t>(from)][static_cast<size_t>(to)];
      };
      std::vector<std::map<int64_t, std::pair<int, int>>> arrived(counts.size());
      for (int index = 0; index < members; ++index) {
        int32_t send = 0, end = 0;
        for (int other = 0; other < members; ++other) {
          const SendCounts with = counts_with(at, index, other);
          EXPECT_EQ(with.arrived, at(other, index));
          end += with.sent;
          for (; send < end; ++send) {
            const int64_t row = send + shift_of(with, end);
            const bool alone =
                arrived[static_cast<size_t>(other)].emplace(row, std::pair(index, send)).second;
            EXPECT_TRUE(alone) << "two rows at " << row;
          }
        }
        EXPECT_EQ(send, total_of(counts[static_cast<size_t>(index)]));
      }
      for (int to = 0; to < members; ++to) {  // in the order of members, then of what they sent
        std::vector<std::pair<int, int>> order;
        for (const auto& [row, from] : arrived[static_cast<size_t>(to)]) {
          EXPECT_EQ(row, std::ssize(order));
          order.push_back(from);
        }
        EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
      }
    }
  }
}

// Of every unit of the kernels, rows that a warp has enough of one of and narrower ones, with and
// without gaps, of several pieces.
const std::vector<Shape> kSent = {{Format::bf16, 2056},        {Format::i32, 6, 0, 0, true},
                                  {Format::f32, 50},           {Format::u8, 7},
                                  {Format::bf16, 264, 16, 32}, {Format::i32, 8, 0, 0, true},
                                  {Format::u8, 45, 0, 3},      {Format::bf16, 3, 2, 0, true}};
const std::vector<size_t> kReturned = {0, 2, 3};  // of kSent

// The rows of a buffer that a member sends, one behind the other; poison behind the last.
Bytes sent_rows(const Shape& shape, size_t buffer, const Counts& counts, int rank, int round) {
  Bytes in = random_rows(shape, shape.in_gap, kCapacity, seed_of(rank, buffer, round));
  const Rows from = rows_in(in, shape, shape.in_gap, kCapacity);
  const Counts source = source_of(counts, rank, round);
  Bytes sent;
  const Rows to = rows_in(sent, shape, 0, std::ssize(source));
  std::fill(sent.begin(), sent.end(), kPoison);
  for (int64_t i = 0; i < to.rows; ++i) {
    const int32_t row = source[static_cast<size_t>(i)];
    if (row < 0) break;
    std::memcpy(to.data + i * to.stride, from.data + row * from.stride,
                static_cast<size_t>(shape.row_bytes()));
  }
  return sent;
}

struct Arrived {
  std::vector<Bytes> buffers;
  Counts received;
};

// What member `rank` has of kSent afterwards, by threads.
Arrived arrived_by_threads(int members, int rank, int round) {
  const std::vector<Counts> counts = counts_of(members, round);
  Arrived result;
  on_threads(members, [&](int member, Communicator& communicator) -> Status {
    const Counts& own = counts[static_cast<size_t>(member)];
    std::vector<Bytes> ins(kSent.size()), outs(kSent.size());
    std::vector<Gather> buffers;
    for (size_t i = 0; i < kSent.size(); ++i) {
      ins[i] = sent_rows(kSent[i], i, own, member, round);
      const Rows in = rows_in(ins[i], kSent[i], 0, members * kCapacity);
      const Rows out = rows_in(outs[i], kSent[i], kSent[i].out_gap, members * kCapacity);
      std::fill(outs[i].begin(), outs[i].end(), kPoison);
      buffers.push_back({in, out});
    }
    Counts received(static_cast<size_t>(members));
    TRY(communicator.all_to_all_v(buffers, own.data(), received.data(), nullptr));
    for (size_t i = 0; i < kSent.size(); ++i) {
      const Rows& out = buffers[i].out;
      for (int64_t row = total_of(received); kSent[i].fill && row < out.rows; ++row) {
        std::memset(out.data + row * out.stride, 0xff, static_cast<size_t>(kSent[i].row_bytes()));
      }
    }
    if (member == rank) result = {std::move(outs), std::move(received)};
    return {};
  });
  return result;
}

constexpr int64_t kArenaBytes = int64_t{64} << 20;
constexpr int64_t kPlace = int64_t{4} << 20;  // between buffers

// A rank with buffers for the way there and back: what peers touch in its workspace, at other
// places than theirs, the rest outside of it.
struct Rank : GpuRank {
  std::unique_ptr<RaggedGroup> ragged;
  device::Memory numbers;  // counts with gaps, source, received
  device::Memory outside;
  int64_t sends = 0;  // rows of this round

  static Result<Rank> open(ControlPlane& control) {
    // Workspaces of different sizes, too.
    Rank rank{TRY(GpuRank::open(control, kArenaBytes + control.rank() * (int64_t{2} << 20))),
              nullptr,
              {},
              {}};
    rank.ragged = TRY(RaggedGroup::create(*rank.workspace, rank.all()));
    rank.numbers = TRY(rank.device->allocate(16384));
    rank.outside = TRY(rank.device->allocate(kArenaBytes));
    return rank;
  }

  std::byte* shared(size_t buffer) const {
    return arena.data() + static_cast<int64_t>(buffer) * kPlace + rank * 4352;
  }
  std::byte* own(size_t buffer) const {
    return outside.data() + static_cast<int64_t>(buffer) * kPlace;
  }
  std::byte* counts() const { return numbers.data(); }
  std::byte* source() const { return numbers.data() + 4096; }
  std::byte* received() const { return numbers.data() + 12288; }
  int64_t most() const { return size * kCapacity; }
  Rows rows(std::byte* at, const Shape& shape, int64_t gap, int64_t count) const {
    return {at, shape.row_bytes() + gap, count, shape.cols, shape.format};
  }

  Status send() const {
    std::vector<DeviceGather> buffers;
    for (size_t i = 0; i < kSent.size(); ++i) {
      const Shape& shape = kSent[i];
      buffers.push_back({.in = rows(own(i), shape, shape.in_gap, kCapacity),
                         .out = rows(shared(i), shape, shape.out_gap, most()),
                         .fill = shape.fill});
    }
    return ragged->all_to_all_v(
        buffers,
        {.counts = {.data = reinterpret_cast<const int32_t*>(counts()), .stride = 2},
         .source = reinterpret_cast<const int32_t*>(source()),
         .most = most(),
         .received = reinterpret_cast<int32_t*>(received())},
        stream());
  }
  // What has come goes home, without gaps, to where there is room for `room` rows.
  Status send_back(int64_t room) const {
    std::vector<DeviceGather> buffers;
    for (size_t i = 0; i < kReturned.size(); ++i) {
      const Shape& shape = kSent[kReturned[i]];
      buffers.push_back({.in = rows(shared(kReturned[i]), shape, shape.out_gap, most()),
                         .out = rows(shared(kSent.size() + i), shape, 0, room)});
    }
    return ragged->all_to_all_v(
        buffers, {.counts = {.data = reinterpret_cast<const int32_t*>(received())}, .most = most()},
        stream());
  }

  Status poison(std::byte* at, int64_t bytes) const {
    CUDA_TRY(cudaMemset(at, static_cast<int>(kPoison), static_cast<size_t>(bytes)));
    CUDA_TRY(cudaDeviceSynchronize());
    return {};
  }
  Status prepare(int round) {
    const Counts own_counts = counts_of(size, round)[static_cast<size_t>(rank)];
    sends = total_of(own_counts);
    Counts spread;
    for (const int32_t count : own_counts) {
      spread.push_back(count);
      spread.push_back(-7);  // between them, for the stride
    }
    device->upload(counts(), spread.data(), std::ssize(spread) * 4);
    const Counts from = source_of(own_counts, rank, round);
    device->upload(source(), from.data(), std::ssize(from) * 4);
    TRY(poison(received(), size * 4));
    for (size_t i = 0; i < kSent.size(); ++i) {
      const Shape& shape = kSent[i];
      const Bytes in = random_rows(shape, shape.in_gap, kCapacity, seed_of(rank, i, round));
      device->upload(own(i), in.data(), std::ssize(in));
      TRY(poison(shared(i), most() * (shape.row_bytes() + 64)));
    }
    for (size_t i = 0; i < kReturned.size(); ++i) {
      TRY(poison(shared(kSent.size() + i), most() * (kSent[kReturned[i]].row_bytes() + 64)));
    }
    return {};
  }
};

Status expect_arrived(const Rank& rank, int round) {
  TRY(rank.wait());
  const Arrived expected = arrived_by_threads(rank.size, rank.rank, round);
  const auto* numbers = reinterpret_cast<const std::byte*>(expected.received.data());
  TRY(expect_bytes(rank, rank.received(), Bytes(numbers, numbers + rank.size * 4), 99, round,
                   "received"));
  for (size_t i = 0; i < kSent.size(); ++i) {
    TRY(expect_bytes(rank, rank.shared(i), expected.buffers[i], i, round, "all_to_all_v"));
  }
  const Counts own = counts_of(rank.size, round)[static_cast<size_t>(rank.rank)];
  for (size_t i = 0; i < kReturned.size(); ++i) {
    const Bytes sent = sent_rows(kSent[kReturned[i]], kReturned[i], own, rank.rank, round);
    TRY(expect_bytes(rank, rank.shared(kSent.size() + i), sent, i, round, "the way back"));
  }
  return {};
}

// No barrier between rounds: that a peer is not ready must not hurt.
Status run_rounds(Rank& rank, int rounds, const std::function<Status()>& there,
                  const std::function<Status()>& back) {
  std::mt19937 random(static_cast<uint32_t>(rank.rank));
  const auto delay = [&] {
    device::spin(rank.stream(), static_cast<int64_t>(random() % 200) * 1000);
  };
  for (int round = 0; round < rounds; ++round) {
    TRY(rank.prepare(round));
    delay();
    TRY(there());
    delay();
    TRY(back());
    TRY(expect_arrived(rank, round));
  }
  return {};
}

// On the way back each member has room for its own rows and no more.
TEST(CudaSendsTest, BitwiseWhatThreadsSend) {
  if (num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  for (const int ranks : group_sizes()) {
    expect_ok(ranks, [](ControlPlane& control) -> Status {
      Rank rank = TRY(Rank::open(control));
      TRY(run_rounds(
          rank, 50, [&] { return rank.send(); }, [&] { return rank.send_back(rank.sends); }));
      return control.barrier();
    });
  }
}

TEST(CudaSendsTest, CapturedWithFreshRowsAndOtherCounts) {
  if (num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  for (const int ranks : group_sizes()) {
    expect_ok(ranks, [](ControlPlane& control) -> Status {
      Rank rank = TRY(Rank::open(control));
      TRY(rank.prepare(9));  // a round in which no rank sends anything
      const cudaGraphExec_t both = TRY(rank.capture([&]() -> Status {
        TRY(rank.send());
        return rank.send_back(rank.most());
      }));
      TRY(run_rounds(
          rank, 200,
          [&]() -> Status {
            CUDA_TRY(cudaGraphLaunch(both, rank.stream()));
            return {};
          },
          [] { return Status(); }));
      TRY(control.barrier());
      CUDA_TRY(cudaGraphExecDestroy(both));
      return {};
    });
  }
}

// Sends, and gathers of nothing between them by the same words, one behind the other without the
// host looking: the last ones' rows are right.
TEST(CudaSendsTest, ManyInARowKeepInStep) {
  if (num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  expect_ok(2, [](ControlPlane& control) -> Status {
    Rank rank = TRY(Rank::open(control));
    TRY(rank.prepare(3));
    const std::vector<int32_t> zeros(4, 0);
    rank.device->upload(rank.numbers.data() + 14336, zeros.data(), 16);
    const DeviceCounts none{.data = reinterpret_cast<const int32_t*>(rank.numbers.data() + 14336)};
    const DeviceGather nothing{.in = {rank.own(12), 4, 1, 1, Format::i32},
                               .out = {rank.shared(12), 4, 2, 1, Format::i32}};
    std::mt19937 random(static_cast<uint32_t>(rank.rank));
    for (int i = 0; i < 300; ++i) {
      if (i % 7 == 0) {
        device::spin(rank.stream(), static_cast<int64_t>(random() % 100) * 1000);
      }
      TRY(rank.send());
      if (i % 3 == 0) TRY(rank.ragged->all_gather_v({&nothing, 1}, none, rank.stream()));
      TRY(rank.send_back(rank.most()));
    }
    TRY(expect_arrived(rank, 3));
    return control.barrier();
  });
}

// Prints microseconds and what came over the link; no bound, since they are whatever the machine
// has. Every row goes to both ranks, or to one of them.
TEST(CudaSendsTest, Times) {
  if (num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  expect_ok(2, [](ControlPlane& control) -> Status {
    Rank rank = TRY(Rank::open(control));
    const int64_t most = 4096, cols = 7168, stride = 2 * cols;
    const device::Memory big = TRY(rank.device->allocate(int64_t{512} << 20));
    const auto shared = TRY(PeerWorkspace::share(*rank.device, big.data(), big.bytes(), control));
    const auto group = TRY(RaggedGroup::create(*shared, rank.all()));
    const device::Memory own = TRY(rank.device->allocate(int64_t{128} << 20));
    const Rows mine{own.data(), stride, most, cols, Format::bf16};
    const Rows all{big.data(), stride, 2 * most, cols, Format::bf16};
    const Rows back{big.data() + (int64_t{256} << 20), stride, 2 * most, cols, Format::bf16};
    const Rows own_ids{own.data() + (int64_t{100} << 20), 32, most, 8, Format::i32};
    const Rows ids{big.data() + (int64_t{500} << 20), 32, 2 * most, 8, Format::i32};
    std::vector<int32_t> source(2 * most);
    for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<int32_t>(i % most);
    const device::Memory numbers = TRY(rank.device->allocate(65536));
    rank.device->upload(numbers.data() + 4096, source.data(), std::ssize(source) * 4);
    const auto* first = reinterpret_cast<const int32_t*>(numbers.data());
    auto* received = reinterpret_cast<int32_t*>(numbers.data() + 2048);
    for (const int32_t each : {1, 16, 128, 1024, 2048, 4096}) {
      const std::vector<int32_t> counts = {each, each};
      rank.device->upload(numbers.data(), counts.data(), 8);
      const std::vector<DeviceGather> buffers = {{.in = mine, .out = all},
                                                 {.in = own_ids, .out = ids, .fill = true}};
      const double there = TRY(testing::time_of(rank, control, [&] {
        return group->all_to_all_v(buffers,
                                   {.counts = {.data = first},
                                    .source = first + 1024,
                                    .most = 2 * most,
                                    .received = received},
                                   rank.stream());
      }));
      const DeviceGather home{.in = all, .out = back};
      const double and_back = TRY(testing::time_of(rank, control, [&] {
        return group->all_to_all_v({&home, 1}, {.counts = {.data = received}, .most = 2 * most},
                                   rank.stream());
      }));
      if (rank.rank != 0) continue;
      const double bytes = static_cast<double>(each * stride);
      fmt::print(
          "{:>4} rows of {:>5} bytes to each of two: {:7.1f} µs ({:3.0f} GB/s one way), back "
          "{:7.1f} µs ({:3.0f} GB/s)\n",
          each, stride, there, bytes / there * 1e-3, and_back, bytes / and_back * 1e-3);
    }
    return control.barrier();
  });
}

}  // namespace
}  // namespace braid::comm
