// Ranks as processes against threads: the same bits, the same refusals, and how they end.
#include "comm/gloo/gloo_group.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "base/float16.h"
#include "comm/control/message.h"
#include "comm/control/processes.h"
#include "comm/group_test_util.h"
#include "comm/local/local_group.h"

namespace braid::comm {
namespace {

using std::chrono::milliseconds;
using testing::counted;
using testing::value_of;
using Counts = std::vector<int32_t>;

constexpr milliseconds kLong{20000};

constexpr int64_t kCols = 5, kStride = 7;

template <typename T>
struct Matrix {
  Matrix(int32_t rank, int64_t rows, Format format) : format(format), rows(rows) {
    for (size_t i = 0; i < static_cast<size_t>(rows * kStride); ++i) {
      values.push_back(from_float<T>(value_of(rank, i)));
    }
  }
  Rows view() {
    return {reinterpret_cast<std::byte*>(values.data()), kStride * static_cast<int64_t>(sizeof(T)),
            rows, kCols, format};
  }
  std::string bytes() const {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
  }
  Format format;
  int64_t rows;
  std::vector<T> values;
};

// Rows that a member has for another one in a round: nothing now and then, and nothing at all from
// and to members whose count is 0.
int32_t sends_of(const Counts& counts, size_t from, size_t to, int round) {
  if (counts[from] == 0 || counts[to] == 0) return 0;
  return (counts[from] + static_cast<int32_t>(2 * from + 3 * to) + round) % 4;
}

// Rows sent to one member each and back, as bytes: what came, how many, and what came back.
Result<std::string> results_of_sends(Communicator& group, const Counts& counts, int round) {
  const auto rank = static_cast<size_t>(group.rank());
  Counts sends, arriving;
  for (size_t m = 0; m < counts.size(); ++m) {
    sends.push_back(sends_of(counts, rank, m, round));
    arriving.push_back(sends_of(counts, m, rank, round));
  }
  const int64_t out = total_of(sends), in = total_of(arriving);
  Matrix<float> rows(group.rank() + 40, out + 1, Format::f32), got(7, in + 1, Format::f32);
  Matrix<bf16> more(group.rank() + 50, out + 2, Format::bf16), got_more(7, in, Format::bf16);
  const std::array<Gather, 2> buffers = {
      {{rows.view(), got.view()}, {more.view(), got_more.view()}}};
  Counts received(counts.size(), -1), returned(counts.size(), -1);
  TRY(group.all_to_all_v(buffers, sends.data(), received.data(), nullptr));
  Matrix<float> back(6, out + 1, Format::f32);
  const Gather home{got.view(), back.view()};
  TRY(group.all_to_all_v({&home, 1}, received.data(), returned.data(), nullptr));
  if (received != arriving || returned != sends) return Error(ErrorKind::internal, "wrong counts");
  for (int64_t row = 0; row < out; ++row) {
    if (std::memcmp(back.view().data + row * back.view().stride,
                    rows.view().data + row * rows.view().stride, kCols * sizeof(float)) != 0) {
      return Error(ErrorKind::internal, "another row came back").with("row", row);
    }
  }
  return got.bytes() + got_more.bytes() + back.bytes();
}

// What a rank has after a few collectives of all kinds, as bytes.
Result<std::string> results_of(Communicator& group, int32_t rank, const Counts& counts) {
  std::string bytes;
  const int64_t total = total_of(counts), own = counts[static_cast<size_t>(group.rank())];
  for (int round = 0; round < 3; ++round) {
    Matrix<float> a(rank, 4 + round, Format::f32), sum(9, 4 + round, Format::f32);
    TRY(group.all_reduce(a.view(), sum.view(), nullptr));
    Matrix<bf16> b(rank, 3, Format::bf16);
    TRY(group.all_reduce(b.view(), b.view(), nullptr));  // in place
    Matrix<float> rows(rank + 10, own + 1, Format::f32), all(7, total + 1, Format::f32);
    Matrix<bf16> more(rank + 20, own + 1, Format::bf16), all_more(7, total + 1, Format::bf16);
    const std::array<Gather, 2> buffers = {
        {{rows.view(), all.view()}, {more.view(), all_more.view()}}};
    TRY(group.all_gather_v(buffers, counts, nullptr));
    Matrix<bf16> parts(rank + 30, total, Format::bf16), mine(8, own + 1, Format::bf16);
    TRY(group.reduce_scatter_v(parts.view(), mine.view(), counts, nullptr));
    bytes += sum.bytes() + b.bytes() + all.bytes() + all_more.bytes() + mine.bytes();
    bytes += TRY(results_of_sends(group, counts, round));
  }
  return bytes;
}

// The same among threads.
std::vector<std::string> results_of_threads(const Counts& counts) {
  const auto ranks = static_cast<int32_t>(counts.size());
  LocalGroup group(counted(ranks), kLong);
  std::vector<std::string> results(counts.size());
  std::vector<std::thread> threads;
  for (int32_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      results[static_cast<size_t>(rank)] = results_of(group.member(rank), rank, counts).value();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

class GlooGroupTest : public ::testing::TestWithParam<Counts> {};

TEST_P(GlooGroupTest, GivesTheBitsThatThreadsGive) {
  const Counts& counts = GetParam();
  const std::vector<std::string> expected = results_of_threads(counts);
  const auto ranks = static_cast<int32_t>(counts.size());
  const Status same = run_processes(ranks, [&](ControlPlane& control) -> Status {
    GlooDevice device = TRY(GlooDevice::open(control));
    const auto group = TRY(GlooGroup::connect(device, control, counted(ranks), kLong));
    const std::string results = TRY(results_of(*group, control.rank(), counts));
    if (results == expected[static_cast<size_t>(control.rank())]) return control.barrier();
    return Error(ErrorKind::internal, "other bits").with("bytes", results.size());
  });
  EXPECT_TRUE(same.ok()) << same.to_string();
}

INSTANTIATE_TEST_SUITE_P(Counts, GlooGroupTest,
                         ::testing::Values(Counts{2, 3}, Counts{3, 0, 1}, Counts{0, 0},
                                           Counts{1, 2, 3, 1}, Counts{4}, Counts{0, 1, 0}));

// Two communicators of four ranks, as a mesh of 2 × 2 has them.
TEST(GlooGroupsTest, GroupsOfAMeshDoNotMixUp) {
  const Status status = run_processes(4, [](ControlPlane& control) -> Status {
    GlooDevice device = TRY(GlooDevice::open(control));
    const int32_t row = control.rank() / 2, column = control.rank() % 2;
    const auto along_row = TRY(GlooGroup::connect(device, control, {2 * row, 2 * row + 1}, kLong));
    const auto along_column = TRY(GlooGroup::connect(device, control, {column, column + 2}, kLong));
    std::vector<float> value = {static_cast<float>(1 << control.rank())};
    const Rows rows{reinterpret_cast<std::byte*>(value.data()), 4, 1, 1, Format::f32};
    for (int round = 0; round < 20; ++round) {
      value[0] = static_cast<float>(1 << control.rank());
      TRY(along_row->all_reduce(rows, rows, nullptr));
      TRY(along_column->all_reduce(rows, rows, nullptr));
      if (value[0] != 15) return Error(ErrorKind::internal, "wrong sum").with("sum", value[0]);
    }
    return control.barrier();
  });
  EXPECT_TRUE(status.ok()) << status.to_string();
}

// Ranks 0 … 2 that each sum a few numbers, rank 2 only after `before` has returned.
Status sum_on_three(milliseconds timeout, const std::function<Status(ControlPlane&)>& before,
                    int64_t rows_of_the_last = 2) {
  return run_processes(
      3,
      [&](ControlPlane& control) -> Status {
        GlooDevice device = TRY(GlooDevice::open(control));
        const auto group = TRY(GlooGroup::connect(device, control, counted(3), timeout));
        if (control.rank() == 2) TRY(before(control));
        const int64_t rows = control.rank() == 2 ? rows_of_the_last : 2;
        std::vector<float> values(static_cast<size_t>(rows) * 2);
        const Rows view{reinterpret_cast<std::byte*>(values.data()), 8, rows, 2, Format::f32};
        TRY(group->all_reduce(view, view, nullptr));
        return control.barrier();
      },
      /*grace=*/2);
}

TEST(GlooGroupsTest, ARankThatStaysAwayIsNamed) {
  const Status status = sum_on_three(milliseconds(200), [](ControlPlane&) -> Status {
    for (;;) ::pause();
  });
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.to_string().find("rank 2 did not come"), std::string::npos)
      << status.to_string();
  EXPECT_NE(status.to_string().find("[2, 2] f32"), std::string::npos) << status.to_string();
}

TEST(GlooGroupsTest, AKilledRankIsNamedAtOnce) {
  const auto start = std::chrono::steady_clock::now();
  const Status status = sum_on_three(kLong, [](ControlPlane&) -> Status {
    std::raise(SIGKILL);
    return {};
  });
  EXPECT_NE(status.to_string().find("rank 2 died by signal 9"), std::string::npos)
      << status.to_string();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(8));
}

TEST(GlooGroupsTest, DifferentRowsAreRefused) {
  const Status status = sum_on_three(
      kLong, [](ControlPlane&) { return Status(); }, 3);
  EXPECT_NE(status.to_string().find("rows = [2, 2] f32, other rank = 2, its rows = [3, 2] f32"),
            std::string::npos)
      << status.to_string();
}

// Two ranks, of which each is told what comes of sending counts[rank] with room for 3 rows; rank 1
// only after `before` has returned.
Status send_on_two(
    const std::array<Counts, 2>& counts, milliseconds timeout = kLong,
    const std::function<Status()>& before = [] { return Status(); }, bool second_gathers = false) {
  return run_processes(
      2,
      [&](ControlPlane& control) -> Status {
        GlooDevice device = TRY(GlooDevice::open(control));
        const auto group = TRY(GlooGroup::connect(device, control, counted(2), timeout));
        Matrix<float> in(1, 3, Format::f32), out(2, 3, Format::f32);
        const Gather buffer{in.view(), out.view()};
        Counts received(2);
        const Counts& own = counts[static_cast<size_t>(control.rank())];
        if (control.rank() == 1) TRY(before());
        const Status sent =
            second_gathers && control.rank() == 1
                ? group->all_gather_v({&buffer, 1}, own, nullptr)
                : group->all_to_all_v({&buffer, 1}, own.data(), received.data(), nullptr);
        if (sent.ok()) return control.barrier();
        // The other rank fails by itself, with the same error.
        if (group->status().to_string() != sent.to_string()) {
          return Error(ErrorKind::internal, "the group lives on");
        }
        return sent;
      },
      /*grace=*/2);
}

TEST(GlooSendsTest, MoreThanTheRoomIsRefused) {
  EXPECT_TRUE(send_on_two({Counts{0, 2}, Counts{2, 1}}).ok());
  const Status status = send_on_two({Counts{0, 2}, Counts{0, 2}});
  EXPECT_NE(status.to_string().find(
                "a rank is sent more rows than it has room for (rank = 1, rows = 4, room = 3)"),
            std::string::npos)
      << status.to_string();
}

TEST(GlooSendsTest, CountsThatARankDoesNotHaveAreRefused) {
  for (const Counts& counts : {Counts{3, 1}, Counts{2, -1}}) {
    const Status status = send_on_two({counts, Counts{0, 0}}, milliseconds(2000));
    EXPECT_NE(status.to_string().find("are not those that a collective's counts say"),
              std::string::npos)
        << status.to_string();
  }
}

TEST(GlooSendsTest, DoNotMeetAGather) {
  const Status status = send_on_two(
      {Counts{1, 1}, Counts{1, 1}}, kLong, [] { return Status(); }, true);
  EXPECT_NE(status.to_string().find("rows = send [any, 5] f32, other rank = 1, its rows = gather "
                                    "[1 + 1, 5] f32"),
            std::string::npos)
      << status.to_string();
}

TEST(GlooSendsTest, ARankThatStaysAwayIsNamed) {
  const Status status =
      send_on_two({Counts{1, 0}, Counts{0, 0}}, milliseconds(200), []() -> Status {
        for (;;) ::pause();
      });
  EXPECT_NE(status.to_string().find("rank 1 did not come"), std::string::npos)
      << status.to_string();
  EXPECT_NE(status.to_string().find("send [1 + 0, 5] f32"), std::string::npos)
      << status.to_string();
}

TEST(GlooGroupsTest, AnAbortEndsTheWait) {
  const Status status = run_processes(2, [](ControlPlane& control) -> Status {
    GlooDevice device = TRY(GlooDevice::open(control));
    const auto group = TRY(GlooGroup::connect(device, control, counted(2), kLong));
    if (control.rank() == 0) {
      std::thread other([&] {
        std::this_thread::sleep_for(milliseconds(50));
        group->abort(Error(ErrorKind::fault, "enough"));
      });
      std::vector<float> values(4);
      const Rows rows{reinterpret_cast<std::byte*>(values.data()), 8, 2, 2, Format::f32};
      const Status ended = group->all_reduce(rows, rows, nullptr);
      other.join();
      if (ended.to_string() != "enough") return Error(ErrorKind::internal, ended.to_string());
      if (group->all_reduce(rows, rows, nullptr).ok()) return Error(ErrorKind::internal, "alive");
    }
    return control.barrier();
  });
  EXPECT_TRUE(status.ok()) << status.to_string();
}

}  // namespace
}  // namespace braid::comm
