// Times a kernel alone, and checks it in the same run: a chain of layers, each with weights of its
// own, so that they are cold when their turn comes; replayed as one graph where the device has
// them.
#pragma once

#include <string>
#include <vector>

#include "lab/kernel_case.h"
#include "lab/paired.h"
#include "ranks/backend.h"

namespace braid::lab {

struct KernelBenchOptions {
  Format dtype = Format::bf16;              // that the kernels compute on
  int64_t rounds = 30;                      // samples of each form, taken in turn
  double sample_seconds = 4e-3;             // a sample repeats replays until it is about as long
  int64_t cold_bytes = int64_t{600} << 20;  // what all layers' own operands have together
  uint64_t seed = 0;                        // of the order
};

struct KernelTiming {
  std::string form;
  Estimate seconds;  // of one layer
  flow::Work work;   // of one layer
  // ‖y − reference‖ / ‖reference‖ of the worst result, the reference being float32 on the CPU; of
  // integers the share that differs.
  double error = 0;
  std::string captured;  // what a replay consists of
};

struct KernelReport {
  std::string setting;
  int32_t layers = 0;
  int64_t layer_bytes = 0;  // own to each layer
  std::vector<KernelTiming> forms;
};

// More than this of the reference is an error.
inline constexpr double kKernelErrorBound = 1e-2;

// `internal` where a form's result is another one than the reference's, or than its own in a second
// run.
Result<KernelReport> bench_kernel(const KernelCase& kernel, const KernelSetting& setting,
                                  ranks::Backend& backend, const KernelBenchOptions& options);

}  // namespace braid::lab
