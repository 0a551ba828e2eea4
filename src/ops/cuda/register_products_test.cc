#include "ops/cuda/register_products.h"

#include "device/cpu/cpu_device.h"
#include "device/cuda/cuda_device.h"
#include "ops/cuda/register_test_util.h"
#include "ops/gemm.h"
#include "ops/register_cpu.h"

namespace braid::ops {
namespace {

using flow::Type;
using kernels::GemmDesc;
using kernels::GroupedGemmDesc;
using testing::NamedType;
using testing::relative_error;

constexpr int64_t kTokens = 6, kHidden = 64, kWidth = 48, kExperts = 4, kTopK = 2;

// A dense product with bias, one with SwiGLU, one over slots, and an expert's two products: every
// way that an operand reaches a kernel.
class ProductsProgram : public testing::DeviceProgram {
 public:
  ProductsProgram() {
    Builder b(residents_);
    const Value x = noise(b, "x", kTokens, kHidden);
    const Value up = noise(b, "up", 2 * kWidth, kHidden);
    const Value down = noise(b, "down", kHidden, kWidth);
    const Value bias = noise(b, "bias", 1, kHidden);
    const Value slots = noise(b, "slots", 2 * kHidden, kHidden / 2);
    const Value experts_up = noise(b, "experts up", kExperts * 2 * kWidth, kHidden);
    const Value experts_down = noise(b, "experts down", kExperts * kHidden, kWidth);
    const Value source = declare(b, "source", Format::i32, kTokens * kTopK, 1,
                                 [](int64_t i) { return static_cast<double>(i * 5 % kTokens); });
    constexpr std::array kOffsets = {0, 5, 5, 11, 12};  // slots of 5, 0, 6 and 1 rows
    const Value offsets = declare(b, "offsets", Format::i32, kExperts + 1, 1,
                                  [&](int64_t i) { return kOffsets[static_cast<size_t>(i)]; });
    const Value dense =
        declare(b, "dense", Format::f32, kTokens, kHidden, [](int64_t) { return 0; });
    const Value routed = noise(b, "routed", kTokens * kTopK, kHidden);

    const Value h = gemm(b, x, {.weight = up}, Format::bf16, "h", Epilogue::swiglu);
    const Value y = gemm(b, h, {.weight = down, .bias = bias}, Format::bf16, "y");
    b.emit(GemmDesc{.k_slots = 2, .tuned_rows = kTokens},
           {{GemmOperand::x, y}, {GemmOperand::weight, slots}, {GemmOperand::y, dense}});
    const Grouped grouped = grouped_gemm(b, {.rows = x, .source = source, .offsets = offsets},
                                         experts_up, kTokens * kTopK, "experts", Epilogue::swiglu);
    b.emit(GroupedGemmDesc{.num_slots = kExperts, .tuned_rows = kTokens * kTopK},
           {{GroupedGemmOperand::x, grouped.rows},
            {GroupedGemmOperand::offsets, offsets},
            {GroupedGemmOperand::weight, experts_down},
            {GroupedGemmOperand::y, routed}});
    program_ = std::move(b).finish();
  }

 private:
  Value noise(Builder& b, std::string name, int64_t rows, int64_t cols) {
    return declare(b, std::move(name), Format::bf16, rows, cols,
                   [this](int64_t) { return static_cast<double>(random_() >> 8) * 0x1p-23 - 1.0; });
  }
};

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
  EXPECT_LE(relative_error<float>(got[got.size() - 2], want[want.size() - 2]), 1e-2);
  EXPECT_LE(relative_error<bf16>(got.back(), want.back()), 1e-2);
}

TEST(RegisterProductsCudaTest, EveryKernelAwaitsALateProducer) {
  if (device::CudaDevice::count() == 0) GTEST_SKIP() << "no GPU";
  flow::LauncherTable table;
  register_products_cuda(table);
  const auto gpu = *device::CudaDevice::open(0);
  const auto queue = *device::CudaQueue::create(false);
  ProductsProgram program;
  const auto found = program.run_behind_late_producers(*gpu, table, *queue);
  EXPECT_GE(found.ops, 2);
  EXPECT_EQ(found.wrong, std::vector<std::string>());
}

// The message of the table's refusal of an op on operands of these types; "" where it takes them.
template <typename Desc>
std::string refusal(const Desc& desc, const std::vector<NamedType>& types) {
  flow::LauncherTable table;
  register_products_cuda(table);
  const Status status = testing::find_launcher(table, desc, types);
  return status.ok() ? "" : status.error().message();
}

std::string gemm_refusal(const Type& x, const Type& w, const Type& y) {
  return refusal(GemmDesc{}, {{GemmOperand::x, x}, {GemmOperand::weight, w}, {GemmOperand::y, y}});
}

std::string grouped_refusal(const Type& x, const Type& w, const Type& y) {
  return refusal(GroupedGemmDesc{.num_slots = 2, .tuned_rows = 8},
                 {{GroupedGemmOperand::x, x},
                  {GroupedGemmOperand::source, {Format::i32, 8, 1}},
                  {GroupedGemmOperand::offsets, {Format::i32, 3, 1}},
                  {GroupedGemmOperand::weight, w},
                  {GroupedGemmOperand::y, y}});
}

TEST(RegisterProductsCudaTest, RefusesByNameWhatNoKernelDoes) {
  const auto bf16_ = [](int64_t rows, int64_t cols) { return Type{Format::bf16, rows, cols}; };
  const auto f32 = [](int64_t rows, int64_t cols) { return Type{Format::f32, rows, cols}; };
  const auto has = [](const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_EQ(gemm_refusal(bf16_(4, 64), bf16_(32, 64), bf16_(4, 32)), "");
  EXPECT_EQ(gemm_refusal(bf16_(4, 64), bf16_(32, 64), f32(4, 32)), "");
  EXPECT_TRUE(has(gemm_refusal(f32(4, 64), bf16_(32, 64), f32(4, 32)), "one format"));
  EXPECT_TRUE(has(refusal(GemmDesc{}, {{GemmOperand::x, bf16_(4, 64)},
                                       {GemmOperand::weight, bf16_(32, 64)},
                                       {GemmOperand::bias, f32(1, 32)},
                                       {GemmOperand::y, bf16_(4, 32)}}),
                  "one format"));
  EXPECT_TRUE(has(gemm_refusal(f32(4, 64), f32(32, 64), bf16_(4, 32)), "GPU"));
  EXPECT_EQ(grouped_refusal(bf16_(4, 64), bf16_(64, 64), bf16_(8, 32)), "");
  EXPECT_TRUE(has(grouped_refusal(f32(4, 64), f32(64, 64), f32(8, 32)), "bf16"));
  EXPECT_TRUE(has(grouped_refusal(bf16_(4, 60), bf16_(64, 60), bf16_(8, 32)), "multiple of 8"));
}

}  // namespace
}  // namespace braid::ops
