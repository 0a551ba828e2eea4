#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <random>

#include "base/float16.h"
#include "comm/control/processes.h"
#include "comm/cuda/copy_engine_group.h"
#include "comm/cuda/gpu_test_util.h"
#include "comm/nccl/nccl_group.h"
#include "device/cuda/spin.h"

namespace braid::comm {
namespace {

constexpr int64_t kArenaBytes = int64_t{1} << 30;
constexpr int64_t kIn = 0, kOut = kArenaBytes / 4, kScratch = kArenaBytes / 2;

// One rank with a workspace, and both ways to add up.
struct Rank : testing::GpuRank {
  std::unique_ptr<CopyEngineGroup> copy_engines;
  std::unique_ptr<NcclGroup> nccl;

  static Result<Rank> open(ControlPlane& control) {
    Rank rank{TRY(testing::GpuRank::open(control, kArenaBytes)), nullptr, nullptr};
    rank.copy_engines = TRY(CopyEngineGroup::create(*rank.workspace, rank.all()));
    rank.nccl = TRY(NcclGroup::create(control, rank.all()));
    return rank;
  }

  std::byte* at(int64_t offset) const { return arena.data() + offset; }
  Status sum(bool by_copy_engines, int64_t elements, Format format) {
    if (!by_copy_engines) {
      return nccl->all_reduce(at(kIn), at(kOut), elements, format, queue->stream());
    }
    return copy_engines->all_reduce(at(kIn), at(kOut), at(kScratch), elements, format,
                                    queue->stream());
  }
};

// What rank `rank` adds in round `round`.
std::vector<bf16> part_of(int rank, int64_t elements, int round) {
  std::mt19937 random(static_cast<uint32_t>(rank * 1000 + round));
  std::normal_distribution<float> normal;
  std::vector<bf16> values;
  for (int64_t i = 0; i < elements; ++i) values.push_back(from_float<bf16>(normal(random)));
  return values;
}

std::vector<bf16> expected_sum(int ranks, int64_t elements, int round) {
  std::vector<float> sum(static_cast<size_t>(elements), 0.0f);
  for (int rank = 0; rank < ranks; ++rank) {
    const auto part = part_of(rank, elements, round);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += to_float(part[i]);
  }
  std::vector<bf16> rounded;
  for (const float value : sum) rounded.push_back(from_float<bf16>(value));
  return rounded;
}

Status expect_sum(const Rank& rank, int64_t elements, int round, std::string_view how) {
  TRY(rank.wait());
  std::vector<bf16> out(static_cast<size_t>(elements));
  rank.device->download(out.data(), rank.at(kOut), elements * 2);
  const auto expected = expected_sum(rank.size, elements, round);
  for (size_t i = 0; i < out.size(); ++i) {
    if (std::memcmp(&out[i], &expected[i], sizeof(bf16)) == 0) continue;
    return Error(ErrorKind::internal, "a wrong sum")
        .with("how", how)
        .with("elements", elements)
        .with("round", round)
        .with("at", i)
        .with("is", to_float(out[i]))
        .with("not", to_float(expected[i]));
  }
  return {};
}

Status fill(const Rank& rank, int64_t elements, int round) {
  rank.device->upload(rank.at(kIn), part_of(rank.rank, elements, round).data(), elements * 2);
  CUDA_TRY(cudaMemset(rank.at(kOut), 0xff, static_cast<size_t>(elements * 2)));
  CUDA_TRY(cudaDeviceSynchronize());
  return {};
}

TEST(CudaAllReduceTest, BothWaysGiveTheSumInRankOrder) {
  const int gpus = testing::num_gpus();
  if (gpus < 2) GTEST_SKIP() << "fewer than two GPUs";
  const Status status = run_processes(2, [](ControlPlane& control) -> Status {
    Rank rank = TRY(Rank::open(control));
    std::mt19937 random(static_cast<uint32_t>(control.rank()));
    int round = 0;
    for (const int64_t elements : {8, 128, 136, 4096, 5 * 4096, 1000 * 1024, 3 * 1024 * 1024}) {
      for (const bool by_copy_engines : {true, false}) {
        for (int repeat = 0; repeat < 4; ++repeat) {
          ++round;
          TRY(fill(rank, elements, round));
          TRY(control.barrier());
          device::spin(rank.queue->stream(), static_cast<int64_t>(random() % 300) * 1000);
          TRY(rank.sum(by_copy_engines, elements, Format::bf16));
          TRY(expect_sum(rank, elements, round, by_copy_engines ? "copy engines" : "nccl"));
        }
      }
    }
    return control.barrier();
  });
  EXPECT_TRUE(status.ok()) << status.to_string();
}

// Eager, and as a graph that is replayed on fresh inputs.
TEST(CudaAllGatherTest, EveryRankHasTheRowsOfAll) {
  if (testing::num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  const Status status = run_processes(2, [](ControlPlane& control) -> Status {
    Rank rank = TRY(Rank::open(control));
    for (const int64_t elements : {3, 4096, 303 * 1024}) {
      const auto gather = [&] {
        return rank.nccl->all_gather(rank.at(kIn), rank.at(kOut), elements * 2,
                                     rank.queue->stream());
      };
      const cudaGraphExec_t graph = TRY(rank.capture(gather));
      for (int round = 0; round < 8; ++round) {
        TRY(fill(rank, rank.size * elements, round));
        TRY(control.barrier());
        device::spin(rank.queue->stream(), control.rank() * round * 50'000);
        if (round % 2 == 0) TRY(gather());
        if (round % 2 == 1) CUDA_TRY(cudaGraphLaunch(graph, rank.queue->stream()));
        TRY(rank.wait());
        std::vector<bf16> out(static_cast<size_t>(rank.size * elements));
        rank.device->download(out.data(), rank.at(kOut), std::ssize(out) * 2);
        for (int from = 0; from < rank.size; ++from) {
          const auto part = part_of(from, elements, round);
          if (std::memcmp(&out[static_cast<size_t>(from * elements)], part.data(),
                          part.size() * 2) == 0) {
            continue;
          }
          return Error(ErrorKind::internal, "wrong rows").with("from", from).with("round", round);
        }
      }
      CUDA_TRY(cudaGraphExecDestroy(graph));
    }
    return control.barrier();
  });
  EXPECT_TRUE(status.ok()) << status.to_string();
}

// A graph of `sums` sums, one after the other.
Result<cudaGraphExec_t> capture_sums(Rank& rank, bool by_copy_engines, int64_t elements, int sums) {
  return rank.capture([&]() -> Status {
    for (int i = 0; i < sums; ++i) TRY(rank.sum(by_copy_engines, elements, Format::bf16));
    return {};
  });
}

// A hundred replays on fresh inputs, one rank or the other late.
TEST(CudaAllReduceTest, CapturedSumsAreThoseOfFreshInputs) {
  if (testing::num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  const Status status = run_processes(2, [](ControlPlane& control) -> Status {
    Rank rank = TRY(Rank::open(control));
    const int64_t elements = 24 * 1024;
    std::mt19937 random(static_cast<uint32_t>(control.rank()));
    for (const bool by_copy_engines : {true, false}) {
      const cudaGraphExec_t graph = TRY(capture_sums(rank, by_copy_engines, elements, 1));
      for (int round = 0; round < 100; ++round) {
        TRY(fill(rank, elements, round));
        TRY(control.barrier());
        device::spin(rank.queue->stream(), static_cast<int64_t>(random() % 100) * 1000);
        CUDA_TRY(cudaGraphLaunch(graph, rank.queue->stream()));
        TRY(expect_sum(rank, elements, round, by_copy_engines ? "copy engines" : "nccl"));
      }
      CUDA_TRY(cudaGraphExecDestroy(graph));
    }
    return control.barrier();
  });
  EXPECT_TRUE(status.ok()) << status.to_string();
}

// Prints microseconds a sum in a graph; no bound, since the link is whatever the machine has.
TEST(CudaAllReduceTest, Times) {
  if (testing::num_gpus() < 2) GTEST_SKIP() << "fewer than two GPUs";
  const Status status = run_processes(2, [](ControlPlane& control) -> Status {
    Rank rank = TRY(Rank::open(control));
    constexpr int kSums = 10;
    for (int64_t bytes = 2048; bytes <= (int64_t{1} << 28); bytes *= 8) {
      TRY(fill(rank, std::min<int64_t>(bytes / 2, 1 << 20), 1));
      for (const bool by_copy_engines : {true, false}) {
        const cudaGraphExec_t graph = TRY(capture_sums(rank, by_copy_engines, bytes / 2, kSums));
        double best = 1e30;
        for (int repeat = 0; repeat < 6; ++repeat) {
          TRY(control.barrier());
          const auto start = std::chrono::steady_clock::now();
          for (int replay = 0; replay < 3; ++replay) {
            CUDA_TRY(cudaGraphLaunch(graph, rank.queue->stream()));
          }
          TRY(rank.wait());
          const std::chrono::duration<double, std::micro> took =
              std::chrono::steady_clock::now() - start;
          best = std::min(best, took.count() / (3 * kSums));
        }
        CUDA_TRY(cudaGraphExecDestroy(graph));
        if (rank.rank == 0) {
          fmt::print("all_reduce of {:>9} bytes by {:<12} {:8.1f} µs\n", bytes,
                     by_copy_engines ? "copy engines" : "nccl", best);
        }
      }
    }
    return control.barrier();
  });
  EXPECT_TRUE(status.ok()) << status.to_string();
}

}  // namespace
}  // namespace braid::comm
