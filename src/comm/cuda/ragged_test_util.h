// For tests of collectives with counts: rows of any shape, and what threads make of them.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "base/float16.h"
#include "comm/control/processes.h"
#include "comm/cuda/gpu_test_util.h"
#include "comm/local/local_group.h"

namespace braid::comm::testing {

using Bytes = std::vector<std::byte>;
using Counts = std::vector<int32_t>;

inline constexpr std::byte kPoison{0xa5};

// A buffer's rows: how they lie in the members' own and in the gathered buffer.
struct Shape {
  Format format;
  int64_t cols;
  int64_t in_gap = 0;   // bytes behind each row
  int64_t out_gap = 0;  // likewise
  bool fill = false;

  int64_t row_bytes() const { return cols * bytes_of(format); }
};

// Rows in memory of the host.
inline Rows rows_in(Bytes& bytes, const Shape& shape, int64_t gap, int64_t rows) {
  const int64_t stride = shape.row_bytes() + gap;
  bytes.resize(static_cast<size_t>(rows * stride));
  return {bytes.data(), stride, rows, shape.cols, shape.format};
}

// Finite numbers whose sums depend on the order of addition.
inline Bytes random_rows(const Shape& shape, int64_t gap, int64_t rows, uint32_t seed) {
  Bytes bytes;
  const Rows view = rows_in(bytes, shape, gap, rows);
  std::mt19937 random(seed);
  for (int64_t row = 0; row < rows; ++row) {
    std::byte* at = view.data + row * view.stride;
    for (int64_t col = 0; col < shape.cols; ++col, at += bytes_of(shape.format)) {
      const uint32_t bits = random();
      const float scale = (bits & 1) != 0 ? 1e4f : 1.0f;
      const float value = scale * (static_cast<float>(bits >> 8) / 16777216.0f - 0.5f);
      const bf16 narrow = from_float<bf16>(value);
      if (shape.format == Format::f32) {
        std::memcpy(at, &value, sizeof(value));
      } else if (shape.format == Format::bf16) {
        std::memcpy(at, &narrow, sizeof(narrow));
      } else {
        std::memcpy(at, &bits, static_cast<size_t>(bytes_of(shape.format)));
      }
    }
  }
  return bytes;
}

inline uint32_t seed_of(int rank, size_t buffer, int round) {
  return static_cast<uint32_t>((round * 64 + rank) * 16 + static_cast<int>(buffer));
}

// Runs `body` as every member of a group of threads.
template <typename Body>
void on_threads(int members, const Body& body) {
  LocalGroup group(Members::all(members, 0).ranks, std::chrono::seconds(20));
  std::vector<std::thread> threads;
  for (int member = 0; member < members; ++member) {
    threads.emplace_back([&, member] {
      const Status status = body(member, group.member(member));
      BRAID_CHECK(status.ok(), "{}", status.to_string());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

inline Status expect_bytes(const GpuRank& rank, const std::byte* at, const Bytes& expected,
                           size_t buffer, int round, std::string_view what) {
  Bytes found(expected.size());
  rank.device->download(found.data(), at, std::ssize(found));
  if (found == expected) return {};
  const auto first = std::mismatch(found.begin(), found.end(), expected.begin());
  return Error(ErrorKind::internal, "other rows than those of threads")
      .with("collective", what)
      .with("rank", rank.rank)
      .with("round", round)
      .with("buffer", buffer)
      .with("byte", first.first - found.begin())
      .with("is", static_cast<int>(*first.first))
      .with("not", static_cast<int>(*first.second));
}

// Groups of the machine's GPUs: 2, and all of them.
inline std::vector<int> group_sizes() {
  const int gpus = std::min(num_gpus(), 8);
  return gpus > 2 ? std::vector<int>{2, gpus} : std::vector<int>{2};
}

inline void expect_ok(int ranks, const std::function<Status(ControlPlane&)>& body) {
  const Status status = run_processes(ranks, body);
  EXPECT_TRUE(status.ok()) << ranks << " ranks: " << status.to_string();
}

// Best of some replays: microseconds of one of `kTimes` in a graph.
inline constexpr int kTimes = 10;
inline Result<double> time_of(const GpuRank& rank, ControlPlane& control,
                              const std::function<Status()>& enqueue) {
  const cudaGraphExec_t graph = TRY(rank.capture([&]() -> Status {
    for (int i = 0; i < kTimes; ++i) TRY(enqueue());
    return {};
  }));
  double best = 1e30;
  for (int repeat = 0; repeat < 8; ++repeat) {
    TRY(control.barrier());
    const auto start = std::chrono::steady_clock::now();
    for (int replay = 0; replay < 3; ++replay) CUDA_TRY(cudaGraphLaunch(graph, rank.stream()));
    TRY(rank.wait());
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / (3 * kTimes));
  }
  CUDA_TRY(cudaGraphExecDestroy(graph));
  return best;
}

}  // namespace braid::comm::testing
