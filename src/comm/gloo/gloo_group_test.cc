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
#include "comm/local/local_group.h"

namespace braid::comm {
namespace {

using std::chrono::milliseconds;
using Counts = std::vector<int32_t>;

constexpr milliseconds kLong{20000};

std::vector<int32_t> counted(int32_t ranks) {
  std::vector<int32_t> all;
  for (int32_t rank = 0; rank < ranks; ++rank) all.push_back(rank);
  return all;
}

// Values whose sum depends on the order of the addition.
float value_of(int32_t rank, size_t index) {
  const uint32_t bits = (static_cast<uint32_t>(index) * 2654435761u) ^
                        (static_cast<uint32_t>(rank + 1) * 0x9e3779b9u);
  const float scale = (bits & 1) != 0 ? 1e6f : 1.0f;
  return scale * (static_cast<float>(bits >> 8) / 16777216.0f - 0.5f);
}

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
                                           Counts{1, 2, 3, 1}, Counts{4}));

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
  EXPECT_NE(status.to_string().find("missing rank = 2"), std::string::npos) << status.to_string();
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
