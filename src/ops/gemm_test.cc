// A product that normalises its input and adds a residual, run: the bits of the three ops apart.
#include "ops/gemm.h"

#include <gtest/gtest.h>

#include <random>

#include "base/float16.h"
#include "flow/compile.h"
#include "flow/executor.h"
#include "ops/norm.h"
#include "ops/register_cpu.h"
#include "ops/rows.h"

namespace braid::ops {
namespace {

constexpr int64_t kTokens = 7, kLive = 5, kHidden = 80, kWidth = 48;
constexpr float kEps = 1e-5f;

// y apart and y fused, of the same operands.
class FusedGemm {
 public:
  FusedGemm(Format format, Format out, Epilogue epilogue) {
    register_cpu(table_);
    const int64_t cols = epilogue == Epilogue::swiglu ? kWidth / 2 : kWidth;
    const int32_t count = declare("count", Format::i32, 1, 1);
    *reinterpret_cast<int32_t*>(memory_.back().get()) = kLive;
    Builder b(residents_);
    const Value raw = b.resident(declare("x", format, kTokens, kHidden));
    const Value x = b.step("counted", format, kTokens, kHidden, {}, b.resident(count));
    copy(b, raw, x);
    const Value norm = b.resident(declare("norm", format, 1, kHidden));
    const Linear linear{.weight = b.resident(declare("w", format, kWidth, kHidden)),
                        .bias = b.resident(declare("bias", format, 1, kWidth))};
    const Value residual = b.resident(declare("residual", out, kTokens, cols));
    const Value product =
        gemm(b, rms_norm(b, x, norm, kEps, "normed"), linear, out, "product", epilogue);
    copy(b, add(b, b.uncounted(product), residual, "sum"), whole("apart", b, out, cols));
    const Value fused = b.step("fused", out, kTokens, cols, {}, b.resident(count));
    b.emit(kernels::GemmDesc{.epilogue = epilogue, .tuned_rows = kTokens, .norm_eps = kEps},
           {{GemmOperand::x, x},
            {GemmOperand::weight, linear.weight},
            {GemmOperand::bias, linear.bias},
            {GemmOperand::norm_weight, norm},
            {GemmOperand::residual, residual},
            {GemmOperand::y, fused}});
    copy(b, b.uncounted(fused), whole("fused", b, out, cols));
    schedule_ = flow::compile(std::move(b).finish().value(), table_.scratch()).value();
    workspace_.resize(static_cast<size_t>(schedule_.workspace_bytes));
  }

  void run() {
    const auto bound = flow::bind(schedule_, table_, residents_, workspace_.data());
    ASSERT_TRUE(bound.ok()) << bound.status().to_string();
    flow::run_serial(*bound, 0);
  }
  // The rows that are real.
  std::vector<std::byte> apart() const { return live_rows(memory_.size() - 2); }
  std::vector<std::byte> fused() const { return live_rows(memory_.size() - 1); }

 private:
  int32_t declare(const char* name, Format format, int64_t rows, int64_t cols) {
    const int32_t index = residents_.declare({.name = name,
                                              .format = format,
                                              .rows = rows,
                                              .cols = cols,
                                              .lifetime = flow::Lifetime::carried});
    const auto bytes = static_cast<size_t>(residents_[index].bytes());
    memory_.push_back(std::make_unique<std::byte[]>(bytes));
    std::byte* data = memory_.back().get();
    for (int64_t i = 0; i < rows * cols; ++i) {
      const float value = static_cast<float>(random_() >> 40) * 0x1p-23f - 1.0f;
      if (format == Format::f32) reinterpret_cast<float*>(data)[i] = value;
      if (format == Format::bf16) reinterpret_cast<bf16*>(data)[i] = from_float<bf16>(value);
    }
    residents_.set_data(index, 0, data);
    return index;
  }
  Value whole(const char* name, Builder& b, Format format, int64_t cols) {
    return b.resident(declare(name, format, kTokens, cols));
  }
  std::vector<std::byte> live_rows(size_t index) const {
    const std::byte* data = memory_[index].get();
    const auto bytes = residents_[static_cast<int32_t>(index)].bytes() / kTokens * kLive;
    return {data, data + bytes};
  }

  std::mt19937_64 random_{7};
  flow::LauncherTable table_;
  flow::Residents residents_;
  std::vector<std::unique_ptr<std::byte[]>> memory_;
  std::vector<std::byte> workspace_;
  flow::Schedule schedule_;
};

TEST(FusedGemmTest, HasTheBitsOfNormProductAndSum) {
  for (const auto& [in, out] :
       {std::pair(Format::bf16, Format::bf16), std::pair(Format::f32, Format::f32),
        std::pair(Format::bf16, Format::f32)}) {
    for (const Epilogue epilogue : {Epilogue::none, Epilogue::swiglu}) {
      FusedGemm program(in, out, epilogue);
      program.run();
      EXPECT_EQ(program.fused(), program.apart()) << name_of(in) << " to " << name_of(out);
    }
  }
}

TEST(FusedGemmTest, OperandsOfAnotherFormatAreRefused) {
  flow::LauncherTable table;
  register_cpu(table);
  const auto message = [&](Format norm, Format residual) {
    flow::Residents residents;
    Builder b(residents);
    b.emit(kernels::GemmDesc{.tuned_rows = 4},
           {{GemmOperand::x, b.step("x", Format::bf16, 4, 32)},
            {GemmOperand::weight, b.step("w", Format::bf16, 16, 32)},
            {GemmOperand::norm_weight, b.step("norm", norm, 1, 32)},
            {GemmOperand::residual, b.step("residual", residual, 4, 16)},
            {GemmOperand::y, b.step("y", Format::f32, 4, 16)}});
    const flow::Program program = std::move(b).finish().value();
    return table.find(program, program.ops[0]).status().to_string();
  };
  EXPECT_EQ(message(Format::bf16, Format::f32), Status().to_string());
  EXPECT_NE(message(Format::f32, Format::f32).find("bf16"), std::string::npos);
  EXPECT_NE(message(Format::bf16, Format::bf16).find("f32"), std::string::npos);
}

}  // namespace
}  // namespace braid::ops
