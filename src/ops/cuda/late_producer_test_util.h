// For tests: whether the kernels of a bound Schedule await the kernel in front of them before they
// touch anything, and before they end.
#pragma once

#include <string>
#include <vector>

#include "device/cuda/cuda_error.h"
#include "device/cuda/cuda_queue.h"
#include "flow/executor.h"
#include "ops/cuda/late_copy_test_util.h"

namespace braid::ops::testing {

class LateProducers {
 public:
  static constexpr int64_t kLate = 50'000;  // nanoseconds

  // `pieces`: all memory that the ops touch.
  LateProducers(device::Device& device, device::CudaQueue& queue,
                std::vector<std::span<std::byte>> pieces)
      : device_(device), queue_(queue), pieces_(std::move(pieces)) {
    std::vector<Piece> table;
    for (const auto& piece : pieces_) {
      const auto bytes = static_cast<int64_t>(piece.size());
      before_.push_back(*device_.allocate(bytes));
      table.push_back({piece.data(), before_.back().data(), bytes});
    }
    const auto bytes = static_cast<int64_t>(table.size() * sizeof(Piece));
    table_ = *device_.allocate(bytes);
    device_.upload(table_.data(), table.data(), bytes);
  }

  struct Found {
    int ops = 0;                     // that say that they await
    std::vector<std::string> wrong;  // of these, those that didn't
  };

  // Runs all ops, each alone and then once more behind a kernel that brings all memory, which is
  // poison until then, late. The bytes must be equal.
  Found run(const flow::BoundSchedule& bound) {
    const flow::Program& program = bound.schedule->program;
    Found found;
    for (size_t op = 0; op < bound.ops.size(); ++op) {
      const flow::Launcher& launcher = *bound.ops[op].launcher;
      const flow::OpTypes types = program.types_of(program.ops[op]);
      const flow::KernelOverlap overlap =
          launcher.overlap == nullptr
              ? flow::KernelOverlap{}
              : launcher.overlap(program.ops[op].desc.data(), {types.begin(), types.size()});
      keep();
      flow::launch(bound, op, 0, &queue_);
      synchronize();
      if (!overlap.awaits_predecessor) continue;
      const auto want = contents();
      run_late(bound, op, 0);
      if (contents() != want) found.wrong.push_back(program.describe(program.ops[op]));
      ++found.ops;
      if (overlap.early_operands == 0) continue;
      run_late(bound, op, overlap.early_operands);
      if (contents() == want) continue;
      found.wrong.push_back(program.describe(program.ops[op]) + ", weights first");
    }
    return found;
  }

 private:
  // `early`: the operands that are there from the beginning; where there are any, the kernel is
  // told so.
  void run_late(const flow::BoundSchedule& bound, size_t op, uint32_t early) {
    for (const auto& piece : pieces_) {
      if (holds_any(bound.ops[op], early, piece)) continue;
      device_.fill(piece.data(), 0xff, static_cast<int64_t>(piece.size()));
    }
    launch_late_copy(reinterpret_cast<const Piece*>(table_.data()),
                     static_cast<int>(pieces_.size()), kLate, queue_.stream());
    queue_.set_next_kernel({.follows = true, .constant_weights = early != 0});
    flow::launch(bound, op, 0, &queue_);
    queue_.set_next_kernel({});
    synchronize();
  }

  static bool holds_any(const flow::BoundOp& op, uint32_t operands, std::span<std::byte> piece) {
    for (size_t i = 0; i < op.args[0].size(); ++i) {
      const std::byte* data = op.args[0][i].data;
      if ((operands >> i & 1u) != 0 && data >= piece.data() && data < piece.data() + piece.size()) {
        return true;
      }
    }
    return false;
  }

  void synchronize() { CUDA_CHECK(cudaStreamSynchronize(queue_.stream())); }

  void keep() {
    for (size_t i = 0; i < pieces_.size(); ++i) {
      CUDA_CHECK(cudaMemcpy(before_[i].data(), pieces_[i].data(), pieces_[i].size(),
                            cudaMemcpyDeviceToDevice));
    }
  }

  std::vector<std::vector<std::byte>> contents() {
    std::vector<std::vector<std::byte>> all;
    for (const auto& piece : pieces_) {
      all.emplace_back(piece.size());
      device_.download(all.back().data(), piece.data(), static_cast<int64_t>(piece.size()));
    }
    return all;
  }

  device::Device& device_;
  device::CudaQueue& queue_;
  std::vector<std::span<std::byte>> pieces_;
  std::vector<device::Memory> before_;
  device::Memory table_;
};

}  // namespace braid::ops::testing
