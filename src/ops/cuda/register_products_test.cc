#include "ops/cuda/register_products.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/float16.h"
#include "device/cpu/cpu_device.h"
#include "device/cuda/cuda_device.h"
#include "device/cuda/cuda_error.h"
#include "device/cuda/cuda_queue.h"
#include "flow/compile.h"
#include "flow/executor.h"
#include "ops/gemm.h"
#include "ops/register_cpu.h"

namespace braid::ops {
namespace {

using flow::Lifetime;
using flow::Type;
using kernels::GemmDesc;
using kernels::GroupedGemmDesc;

constexpr int64_t kTokens = 6, kHidden = 64, kWidth = 48, kExperts = 4, kTopK = 2;

// A dense product with bias, one with SwiGLU, one over slots, and an expert's two products: every
// way that an operand reaches a kernel.
class ProductsProgram {
 public:
  ProductsProgram() {
    Builder b(residents_);
    const Value x = declare(b, "x", Format::bf16, kTokens, kHidden);
    const Value up = declare(b, "up", Format::bf16, 2 * kWidth, kHidden);
    const Value down = declare(b, "down", Format::bf16, kHidden, kWidth);
    const Value bias = declare(b, "bias", Format::bf16, 1, kHidden);
    const Value slots = declare(b, "slots", Format::bf16, 2 * kHidden, kHidden / 2);
    const Value experts_up = declare(b, "experts up", Format::bf16, kExperts * 2 * kWidth, kHidden);
    const Value experts_down = declare(b, "experts down", Format::bf16, kExperts * kHidden, kWidth);
    const Value source = declare(b, "source", Format::i32, kTokens * kTopK, 1);
    const Value offsets = declare(b, "offsets", Format::i32, kExperts + 1, 1);
    const Value dense = declare(b, "dense", Format::f32, kTokens, kHidden);
    const Value routed = declare(b, "routed", Format::bf16, kTokens * kTopK, kHidden);

    const Value h = gemm(b, x, {.weight = up}, Format::bf16, "h", Epilogue::swiglu);
    const Value y = gemm(b, h, {.weight = down, .bias = bias}, Format::bf16, "y");
    b.emit(GemmDesc{.k_slots = 2, .tuned_rows = kTokens}, {y, slots, {}, dense});
    const Grouped grouped = grouped_gemm(b, {.rows = x, .source = source, .offsets = offsets},
                                         experts_up, kTokens * kTopK, "experts", Epilogue::swiglu);
    b.emit(GroupedGemmDesc{.num_slots = kExperts, .tuned_rows = kTokens * kTopK},
           {grouped.rows, {}, offsets, experts_down, routed});
    program_ = std::move(b).finish();
  }

  // Runs on `device` with the kernels of `table`, and returns what stands in every resident.
  std::vector<std::vector<std::byte>> run(device::Device& device, const flow::LauncherTable& table,
                                          device::Queue* queue) {
    const flow::Schedule schedule = *flow::compile(*program_, table.scratch());
    std::vector<device::Memory> memory;
    for (int32_t i = 0; i < residents_.size(); ++i) {
      memory.push_back(*device.allocate(residents_[i].bytes()));
      device.upload(memory.back().data(), contents_[static_cast<size_t>(i)].data(),
                    residents_[i].bytes());
      residents_.set_data(i, 0, memory.back().data());
    }
    const device::Memory arena = *device.allocate(schedule.workspace_bytes);
    const auto bound = flow::bind(schedule, table, residents_, arena.data());
    EXPECT_TRUE(bound.ok()) << bound.error().to_string();
    for (size_t op = 0; op < bound->ops.size(); ++op) flow::launch(*bound, op, 0, queue);
    if (queue != nullptr) CUDA_CHECK(cudaDeviceSynchronize());
    std::vector<std::vector<std::byte>> out = contents_;
    for (size_t i = 0; i < out.size(); ++i) {
      device.download(out[i].data(), memory[i].data(), static_cast<int64_t>(out[i].size()));
    }
    return out;
  }

 private:
  Value declare(Builder& b, std::string name, Format format, int64_t rows, int64_t cols) {
    const int32_t index = residents_.declare({.name = std::move(name),
                                              .format = format,
                                              .rows = rows,
                                              .cols = cols,
                                              .lifetime = Lifetime::carried});
    std::vector<std::byte> bytes(static_cast<size_t>(residents_[index].bytes()));
    const auto count = static_cast<size_t>(rows * cols);
    for (size_t i = 0; i < count; ++i) {
      if (format == Format::bf16) {
        const float value = static_cast<float>(random_() >> 8) * 0x1p-23f - 1.0f;
        reinterpret_cast<bf16*>(bytes.data())[i] = from_float<bf16>(value);
      } else if (rows == kExperts + 1) {  // slots of 5, 0, 6 and 1 rows
        reinterpret_cast<int32_t*>(bytes.data())[i] = std::array{0, 5, 5, 11, 12}[i];
      } else if (format == Format::i32) {
        reinterpret_cast<int32_t*>(bytes.data())[i] = static_cast<int32_t>(i * 5 % kTokens);
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

template <typename T>
void expect_near(const std::vector<std::byte>& got, const std::vector<std::byte>& want) {
  ASSERT_EQ(got.size(), want.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size() / sizeof(T); ++i) {
    const double a = to_float(reinterpret_cast<const T*>(got.data())[i]);
    const double b = to_float(reinterpret_cast<const T*>(want.data())[i]);
    error += (a - b) * (a - b);
    norm += b * b;
  }
  ASSERT_GT(norm, 0);
  ASSERT_LE(std::sqrt(error), 1e-2 * std::sqrt(norm));
}

TEST(RegisterProductsCudaTest, AProgramOfProductsEqualsTheCpu) {
  flow::LauncherTable cpu_table, cuda_table;
  register_cpu(cpu_table);
  register_products_cuda(cuda_table);
  ProductsProgram program;
  device::CpuDevice cpu;
  const auto want = program.run(cpu, cpu_table, nullptr);
  if (device::CudaDevice::count() == 0) GTEST_SKIP() << "no GPU";
  const auto gpu = *device::CudaDevice::open(0);
  const auto queue = *device::CudaQueue::create(false);
  const auto got = program.run(*gpu, cuda_table, queue.get());
  expect_near<float>(got[got.size() - 2], want[want.size() - 2]);
  expect_near<bf16>(got.back(), want.back());
}

// The refusals of a kind's launcher for these types; "" where it takes them.
template <typename Desc>
std::string refusal(const Desc& desc, std::initializer_list<Type> types) {
  flow::LauncherTable table;
  register_products_cuda(table);
  flow::Residents residents;
  Builder b(residents);
  std::vector<Value> values;
  for (const Type& type : types) {
    values.push_back(type.cols == 0 ? Value{} : b.step("v", type.format, type.rows, type.cols));
  }
  if (values.size() == 4) b.emit(desc, {values[0], values[1], values[2], values[3]});
  if (values.size() == 5) b.emit(desc, {values[0], values[1], values[2], values[3], values[4]});
  const auto program = std::move(b).finish();
  if (!program.ok()) return program.error().to_string();
  const auto found = table.find(*program, program->ops[0]);
  return found.ok() ? "" : found.error().message();
}

TEST(RegisterProductsCudaTest, RefusesByNameWhatNoKernelDoes) {
  const auto bf16_ = [](int64_t rows, int64_t cols) { return Type{Format::bf16, rows, cols}; };
  const auto f32 = [](int64_t rows, int64_t cols) { return Type{Format::f32, rows, cols}; };
  const Type none{Format::f32, 0, 0};
  EXPECT_EQ(refusal(GemmDesc{}, {bf16_(4, 64), bf16_(32, 64), none, bf16_(4, 32)}), "");
  EXPECT_EQ(refusal(GemmDesc{}, {bf16_(4, 64), bf16_(32, 64), none, f32(4, 32)}), "");
  EXPECT_NE(refusal(GemmDesc{}, {f32(4, 64), bf16_(32, 64), none, f32(4, 32)}).find("one format"),
            std::string::npos);
  EXPECT_NE(refusal(GemmDesc{}, {bf16_(4, 64), bf16_(32, 64), f32(1, 32), bf16_(4, 32)})
                .find("one format"),
            std::string::npos);
  EXPECT_NE(refusal(GemmDesc{}, {f32(4, 64), f32(32, 64), none, bf16_(4, 32)}).find("GPU"),
            std::string::npos);
  const Type source{Format::i32, 8, 1}, offsets{Format::i32, 3, 1};
  const GroupedGemmDesc grouped{.num_slots = 2, .tuned_rows = 8};
  EXPECT_EQ(refusal(grouped, {bf16_(4, 64), source, offsets, bf16_(64, 64), bf16_(8, 32)}), "");
  EXPECT_NE(refusal(grouped, {f32(4, 64), source, offsets, f32(64, 64), f32(8, 32)}).find("bf16"),
            std::string::npos);
  EXPECT_NE(refusal(grouped, {bf16_(4, 60), source, offsets, bf16_(64, 60), bf16_(8, 32)})
                .find("multiple of 8"),
            std::string::npos);
}

}  // namespace
}  // namespace braid::ops
