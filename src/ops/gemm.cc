#include "ops/gemm.h"

#include <algorithm>

#include "ops/kind.h"
#include "ops/placement.h"

using braid::kernels::GemmDesc;
using braid::kernels::GroupedGemmDesc;

namespace braid::ops {
namespace {

constexpr auto kGemmOperands = flow::operand_specs<GemmOperand>({
    {GemmOperand::x, "x"},
    {GemmOperand::weight, "weight", Access::read, Slicing::whole},
    {GemmOperand::bias, "bias", Access::read, Slicing::whole, true},
    {GemmOperand::norm_weight, "norm_weight", Access::read, Slicing::whole, true},
    {GemmOperand::residual, "residual", Access::read, Slicing::rows, true},
    {GemmOperand::y, "y", Access::write},
});

Work gemm_work(const void* desc, std::span<const Type> types) {
  const auto& gemm = *static_cast<const GemmDesc*>(desc);
  const Type& x = types[GemmOperand::x];
  const Type& w = types[GemmOperand::weight];
  const double n = static_cast<double>(w.rows) / gemm.k_slots;
  return {.flop = 2.0 * static_cast<double>(x.rows) * n * static_cast<double>(x.cols),
          .bytes = bytes(types)};
}

constexpr auto kGroupedGemmOperands = flow::operand_specs<GroupedGemmOperand>({
    {GroupedGemmOperand::x, "x", Access::read, Slicing::whole},
    {GroupedGemmOperand::source, "source", Access::read, Slicing::whole, true},
    {GroupedGemmOperand::offsets, "offsets", Access::read, Slicing::whole},
    {GroupedGemmOperand::weight, "weight", Access::read, Slicing::whole},
    {GroupedGemmOperand::y, "y", Access::write, Slicing::whole},
});

Work grouped_gemm_work(const void* desc, std::span<const Type> types) {
  const auto& gemm = *static_cast<const GroupedGemmDesc*>(desc);
  const Type& w = types[GroupedGemmOperand::weight];
  const Type& y = types[GroupedGemmOperand::y];
  const double n = static_cast<double>(w.rows) / gemm.num_slots;
  // The weights of at most as many slots are read as there are grouped rows.
  const double active = std::min<double>(gemm.num_slots, static_cast<double>(y.rows));
  return {.flop = 2.0 * static_cast<double>(y.rows) * n * static_cast<double>(w.cols),
          .bytes = bytes(types) - bytes(w) * (1 - active / gemm.num_slots)};
}

constexpr KindInfo kGemm = {.name = "gemm", .operands = kGemmOperands, .work = gemm_work};
constexpr KindInfo kGroupedGemm = {
    .name = "grouped_gemm", .operands = kGroupedGemmOperands, .work = grouped_gemm_work};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<GemmDesc>() {
  return ops::kGemm;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<GroupedGemmDesc>() {
  return ops::kGroupedGemm;
}

namespace braid::ops {

// Ops with more rows get the configuration for this many: it is as fast for them and for a chunk.
constexpr int64_t kMostTunedRows = 2048;

Value gemm(Builder& b, Value x, const Linear& w, Format format, std::string_view label,
           Epilogue epilogue) {
  b.require(b.num_cols(x) == b.num_cols(w.weight) * w.k_slots, "x [M, K] times W [N, K]",
            {x, w.weight});
  const int64_t n = b.num_rows(w.weight) / w.k_slots;
  const Placement placement = product_placement(b, x, w.weight);
  b.require(!w.bias.present() || !placement.is_partial(),
            "a bias is added once, not to every rank's Partial", {w.bias, x});
  const Value y = b.step(label, format, b.num_rows(x), epilogue == Epilogue::swiglu ? n / 2 : n,
                         placement, b.info(x).count);
  b.emit(GemmDesc{.epilogue = epilogue,
                  .k_slots = w.k_slots,
                  .tuned_rows = static_cast<int32_t>(std::min(b.num_rows(x), kMostTunedRows))},
         {{GemmOperand::x, x},
          {GemmOperand::weight, w.weight},
          {GemmOperand::bias, w.bias},
          {GemmOperand::y, y}});
  return y;
}

Grouped grouped_gemm(Builder& b, const Grouped& in, Value weights, int64_t capacity,
                     std::string_view label, Epilogue epilogue) {
  const auto slots = static_cast<int32_t>(b.num_rows(in.offsets) - 1);
  b.require(b.num_cols(in.rows) == b.num_cols(weights), "x [M, K] times W [slots · N, K]",
            {in.rows, weights});
  b.require(b.num_rows(weights) % slots == 0, "W holds whole slots", {weights, in.offsets});
  const int64_t n = b.num_rows(weights) / slots;
  const Value y =
      b.step(label, b.format(in.rows), capacity, epilogue == Epilogue::swiglu ? n / 2 : n,
             grouped_product_placement(b, in.rows, in.offsets, weights), in.count);
  b.emit(GroupedGemmDesc{.epilogue = epilogue,
                         .num_slots = slots,
                         .tuned_rows = static_cast<int32_t>(capacity),
                         .tokens = static_cast<int32_t>(in.tokens)},
         {{GroupedGemmOperand::x, in.rows},
          {GroupedGemmOperand::source, in.source},
          {GroupedGemmOperand::offsets, in.offsets},
          {GroupedGemmOperand::weight, weights},
          {GroupedGemmOperand::y, y}});
  return {.rows = y, .source = {}, .offsets = in.offsets, .count = in.count, .tokens = in.tokens};
}

}  // namespace braid::ops
