// What the benchmarks of the GPU's products share: device memory, and times from captured graphs.
#pragma once

#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "base/float16.h"
#include "base/status.h"
#include "kernels/hash.h"

namespace braid::kernels::cuda::gemm_bench {

inline void need(cudaError_t code) {
  BRAID_CHECK(code == cudaSuccess, "{}", cudaGetErrorString(code));
}

class DeviceArray {
 public:
  explicit DeviceArray(size_t bytes) : bytes_(bytes) { need(cudaMalloc(&data_, bytes)); }
  template <typename T>
  explicit DeviceArray(const std::vector<T>& from) : DeviceArray(from.size() * sizeof(T)) {
    need(cudaMemcpy(data_, from.data(), bytes_, cudaMemcpyHostToDevice));
  }
  DeviceArray(DeviceArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  DeviceArray& operator=(DeviceArray&&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  // bf16 in [−1, 1): a block of random numbers over and over.
  static DeviceArray random(int64_t elements) {
    static const std::vector<bf16> block = [] {
      std::vector<bf16> values(size_t{1} << 22);
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = from_float<bf16>(static_cast<float>(2 * unit_interval(hash(1, i)) - 1));
      }
      return values;
    }();
    DeviceArray out(static_cast<size_t>(elements) * sizeof(bf16));
    const size_t step = block.size() * sizeof(bf16);
    for (size_t at = 0; at < out.bytes_; at += step) {
      need(cudaMemcpy(out.as<std::byte>() + at, block.data(), std::min(step, out.bytes_ - at),
                      cudaMemcpyHostToDevice));
    }
    return out;
  }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_;
};

// run(0) … run(num_sets − 1), captured in one graph.
class Replay {
 public:
  Replay(cudaStream_t stream, int num_sets, const std::function<void(int set)>& run)
      : stream_(stream), num_sets_(num_sets) {
    run(0);  // loads the kernels
    need(cudaStreamSynchronize(stream));
    need(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    for (int set = 0; set < num_sets; ++set) run(set);
    need(cudaStreamEndCapture(stream, &graph_));
    need(cudaGraphInstantiate(&replay_, graph_, 0));
    need(cudaEventCreate(&begin_));
    need(cudaEventCreate(&end_));
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  ~Replay() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
    cudaGraphExecDestroy(replay_);
    cudaGraphDestroy(graph_);
  }

  // Of one run, on the average of one replay.
  double seconds() const {
    need(cudaEventRecord(begin_, stream_));
    need(cudaGraphLaunch(replay_, stream_));
    need(cudaEventRecord(end_, stream_));
    need(cudaEventSynchronize(end_));
    float milliseconds = 0;
    need(cudaEventElapsedTime(&milliseconds, begin_, end_));
    return milliseconds * 1e-3 / num_sets_;
  }
  double median_seconds(int replays) const {
    (void)seconds();
    std::vector<double> times;
    for (int i = 0; i < replays; ++i) times.push_back(seconds());
    std::nth_element(times.begin(), times.begin() + replays / 2, times.end());
    return times[static_cast<size_t>(replays / 2)];
  }

 private:
  cudaStream_t stream_;
  int num_sets_;
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t replay_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

inline bool skipped(benchmark::State& state) {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess && count > 0) return false;
  state.SkipWithError("no GPU");
  return true;
}

}  // namespace braid::kernels::cuda::gemm_bench
