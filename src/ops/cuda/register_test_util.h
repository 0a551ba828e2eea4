// For tests of the GPU's launchers: a Program that runs on either device, and what a table refuses.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "base/float16.h"
#include "device/cuda/cuda_error.h"
#include "device/cuda/cuda_queue.h"
#include "flow/compile.h"
#include "flow/executor.h"
#include "ops/builder.h"
#include "ops/cuda/late_producer_test_util.h"

namespace braid::ops::testing {

// A Program whose residents have contents. Tests derive from it, and set program_ in the
// constructor.
class DeviceProgram {
 public:
  // Runs on `device` with the kernels of `table`, and returns the bytes of every resident.
  std::vector<std::vector<std::byte>> run(device::Device& device, const flow::LauncherTable& table,
                                          device::Queue* queue) {
    const Loaded loaded = load(device, table);
    for (size_t op = 0; op < loaded.bound.ops.size(); ++op) {
      flow::launch(loaded.bound, op, 0, queue);
    }
    if (queue != nullptr)
      CUDA_CHECK(cudaStreamSynchronize(static_cast<device::CudaQueue*>(queue)->stream()));
    std::vector<std::vector<std::byte>> out = contents_;
    for (size_t i = 0; i < out.size(); ++i) {
      device.download(out[i].data(), loaded.memory[i].data(), static_cast<int64_t>(out[i].size()));
    }
    return out;
  }

  // Which of the ops whose kernels say that they await the one before them do so, each behind a
  // late producer of all that it touches.
  LateProducers::Found run_behind_late_producers(device::Device& device,
                                                 const flow::LauncherTable& table,
                                                 device::CudaQueue& queue) {
    const Loaded loaded = load(device, table);
    std::vector<std::span<std::byte>> pieces;
    for (const device::Memory& piece : loaded.memory) {
      pieces.emplace_back(piece.data(), static_cast<size_t>(piece.bytes()));
    }
    return LateProducers(device, queue, std::move(pieces)).run(loaded.bound);
  }

  const flow::Residents& residents() const { return residents_; }

 private:
  struct Loaded {
    std::unique_ptr<const flow::Schedule> schedule;
    std::vector<device::Memory> memory;  // of the residents, and of the workspace behind them
    flow::BoundSchedule bound;
  };

  Loaded load(device::Device& device, const flow::LauncherTable& table) {
    Loaded loaded;
    loaded.schedule =
        std::make_unique<const flow::Schedule>(*flow::compile(*program_, table.scratch()));
    for (int32_t i = 0; i < residents_.size(); ++i) {
      loaded.memory.push_back(*device.allocate(residents_[i].bytes()));
      device.upload(loaded.memory.back().data(), contents_[static_cast<size_t>(i)].data(),
                    residents_[i].bytes());
      residents_.set_data(i, 0, loaded.memory.back().data());
    }
    loaded.memory.push_back(*device.allocate(loaded.schedule->workspace_bytes));
    auto bound = flow::bind(*loaded.schedule, table, residents_, loaded.memory.back().data());
    EXPECT_TRUE(bound.ok()) << bound.error().to_string();
    loaded.bound = *std::move(bound);
    return loaded;
  }

 protected:
  // Element i of the resident is fill(i), rounded to its format.
  Value declare(Builder& b, std::string name, Format format, int64_t rows, int64_t cols,
                const std::function<double(int64_t)>& fill) {
    const int32_t index = residents_.declare({.name = std::move(name),
                                              .format = format,
                                              .rows = rows,
                                              .cols = cols,
                                              .lifetime = flow::Lifetime::carried});
    std::vector<std::byte> bytes(static_cast<size_t>(residents_[index].bytes()));
    for (int64_t i = 0; i < rows * cols; ++i) {
      const auto at = static_cast<size_t>(i);
      const double value = fill(i);
      switch (format) {
        case Format::f32:
          reinterpret_cast<float*>(bytes.data())[at] = static_cast<float>(value);
          break;
        case Format::bf16:
          reinterpret_cast<bf16*>(bytes.data())[at] = from_float<bf16>(static_cast<float>(value));
          break;
        case Format::f64: reinterpret_cast<double*>(bytes.data())[at] = value; break;
        case Format::u8: bytes[at] = static_cast<std::byte>(value); break;
        case Format::u64:
          reinterpret_cast<uint64_t*>(bytes.data())[at] = static_cast<uint64_t>(value);
          break;
        default: reinterpret_cast<int32_t*>(bytes.data())[at] = static_cast<int32_t>(value);
      }
    }
    contents_.push_back(std::move(bytes));
    return b.resident(index);
  }

  std::minstd_rand random_{7};
  flow::Residents residents_;
  std::vector<std::vector<std::byte>> contents_;
  Result<flow::Program> program_ = Error(ErrorKind::internal, "not built");
};

// ‖got − want‖ / ‖want‖.
template <typename T>
double relative_error(const std::vector<std::byte>& got, const std::vector<std::byte>& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size() / sizeof(T); ++i) {
    const double a = to_float(reinterpret_cast<const T*>(got.data())[i]);
    const double b = to_float(reinterpret_cast<const T*>(want.data())[i]);
    error += (a - b) * (a - b);
    norm += b * b;
  }
  return std::sqrt(error / norm);
}

// The type of an operand.
struct NamedType {
  size_t operand = 0;
  flow::Type type;
};

// Whether the table has a launcher for an op on operands of these types, or why it refuses it.
template <typename Desc>
Status find_launcher(const flow::LauncherTable& table, const Desc& desc,
                     const std::vector<NamedType>& types) {
  flow::Residents residents;
  Builder b(residents);
  std::vector<flow::NamedValue> operands;
  for (const auto& [operand, type] : types) {
    operands.push_back({operand, b.step("v", type.format, type.rows, type.cols)});
  }
  b.emit(flow::AnyDesc(desc), std::span<const flow::NamedValue>(operands));
  const auto program = std::move(b).finish();
  TRY(program.status());
  return table.find(*program, program->ops[0]).status();
}

}  // namespace braid::ops::testing
