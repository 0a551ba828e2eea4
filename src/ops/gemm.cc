#include "ops/gemm.h"

#include <algorithm>

#include "ops/kind.h"
#include "ops/placement.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::flow::Slicing;
using braid::flow::Type;
using braid::flow::Work;
using braid::kernels::GemmDesc;
using braid::kernels::GroupedGemmDesc;

namespace {

constexpr OperandSpec kGemmOperands[] = {
    {"x"},
    {"weight", Access::read, Slicing::whole},
    {"bias", Access::read, Slicing::whole, true},
    {"y", Access::write},
};

Work gemm_work(const void* desc, std::span<const Type> types) {
  const auto& gemm = *static_cast<const GemmDesc*>(desc);
  const Type& x = types[0];
  const Type& w = types[1];
  const double n = static_cast<double>(w.rows) / gemm.k_slots;
  return {.flop = 2.0 * static_cast<double>(x.rows) * n * static_cast<double>(x.cols),
          .bytes = braid::ops::bytes(types)};
}

constexpr OperandSpec kGroupedGemmOperands[] = {
    {"x", Access::read, Slicing::whole},       {"source", Access::read, Slicing::whole, true},
    {"offsets", Access::read, Slicing::whole}, {"weight", Access::read, Slicing::whole},
    {"y", Access::write, Slicing::whole},
};

Work grouped_gemm_work(const void* desc, std::span<const Type> types) {
  const auto& gemm = *static_cast<const GroupedGemmDesc*>(desc);
  const Type& w = types[3];
  const Type& y = types[4];
  const double n = static_cast<double>(w.rows) / gemm.num_slots;
  // No more slots' weights are read than there are grouped rows.
  const double active = std::min<double>(gemm.num_slots, static_cast<double>(y.rows));
  return {.flop = 2.0 * static_cast<double>(y.rows) * n * static_cast<double>(w.cols),
          .bytes = braid::ops::bytes(types) - braid::ops::bytes(w) * (1 - active / gemm.num_slots)};
}

constexpr KindInfo kGemm = {.name = "gemm", .operands = kGemmOperands, .work = gemm_work};
constexpr KindInfo kGroupedGemm = {
    .name = "grouped_gemm", .operands = kGroupedGemmOperands, .work = grouped_gemm_work};

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<GemmDesc>() {
  return kGemm;
}

template <>
const KindInfo& braid::flow::kind_of<GroupedGemmDesc>() {
  return kGroupedGemm;
}

namespace braid::ops {

// More rows get the configuration of these: it is as fast for them, and as fast for a chunk.
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
         {x, w.weight, w.bias, y});
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
  b.emit(
      GroupedGemmDesc{
          .epilogue = epilogue, .num_slots = slots, .tuned_rows = static_cast<int32_t>(capacity)},
      {in.rows, in.source, in.offsets, weights, y});
  return {.rows = y, .source = {}, .offsets = in.offsets, .count = in.count};
}

}  // namespace braid::ops
