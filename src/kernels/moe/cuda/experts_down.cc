#include "kernels/moe/cuda/experts_down.h"

#include "kernels/gemm/cuda/stream_grouped.h"
#include "kernels/moe/cuda/moe.h"

namespace braid::kernels::cuda {
namespace {

// Tokens up to which products are made row by row: weights that several rows want are read for each
// of them, but nothing is written in between.
constexpr int32_t kByRowTokens = 2;

GroupedGemmDesc product_of(const ExpertsDownDesc& desc) {
  return {.num_slots = desc.num_slots, .tuned_rows = desc.tuned_rows, .tokens = desc.tokens};
}

bool is_by_row(const ExpertsDownDesc& desc, const ExpertsDownArgs<bf16>& args) {
  return desc.tokens > 0 && desc.tokens <= kByRowTokens &&
         can_stream_by_row(desc.num_slots, args.n, args.k, args.top_k + desc.num_shared);
}

bool is_streamable_or_absent(Matrix<const bf16> rows) {
  return rows.data == nullptr || is_streamable(rows.data, rows.stride, sizeof(bf16));
}

bool lies_well(const ExpertsDownArgs<bf16>& args) {
  return is_streamable(args.x.data, args.x.stride, sizeof(bf16)) &&
         is_streamable(args.out.data, args.out.stride, sizeof(bf16)) &&
         is_streamable_or_absent(args.addends.shared) &&
         is_streamable_or_absent(args.addends.residual);
}

void by_row(const ExpertsDownDesc& desc, const ExpertsDownArgs<bf16>& args,
            const KernelStream& on) {
  const auto num_places = static_cast<int32_t>(args.top_k) + desc.num_shared;
  const sm90::StreamedChoices choices = {
      .places = args.places.data,
      .places_stride = args.places.stride,
      .weights = args.weights.data,
      .weights_stride = args.weights.stride,
      .shared = {args.addends.shared.data, args.addends.shared.stride},
      .residual = {args.addends.residual.data, args.addends.residual.stride},
      .num_rows = static_cast<int32_t>(args.rows),
      .num_places = num_places,
      .top_k = static_cast<int32_t>(args.top_k)};
  stream_grouped(choose_stream(args.k, num_places <= 8 ? 8 : 16, true),
                 {.data = args.w.data,
                  .stride = args.w.stride,
                  .num_slots = desc.num_slots,
                  .n = args.n,
                  .k = args.k},
                 {.x = {args.x.data, args.x.stride},
                  .offsets = args.offsets,
                  .y = args.out.data,
                  .y_stride = args.out.stride,
                  .choices = choices},
                 args.grouped_rows, on);
}

}  // namespace

Status can_experts_down(const ExpertsDownDesc& desc, const GroupedGemmShape& shape) {
  return can_grouped_gemm(product_of(desc), shape);
}

void experts_down(const ExpertsDownDesc& desc, const ExpertsDownArgs<bf16>& args,
                  std::byte* scratch, const KernelStream& on) {
  if (args.rows == 0 || args.n == 0) return;
  if (is_by_row(desc, args) && lies_well(args)) return by_row(desc, args, on);
  const Matrix<bf16> grouped{reinterpret_cast<bf16*>(scratch), args.n};
  grouped_gemm(product_of(desc), {.n = args.n, .k = args.k}, args.grouped_rows,
               {.x = args.x.data,
                .x_stride = args.x.stride,
                .offsets = args.offsets,
                .w = args.w.data,
                .w_stride = args.w.stride,
                .y = grouped.data,
                .y_stride = grouped.stride},
               on);
  combine<bf16>({.num_shared = desc.num_shared}, args.rows, args.n, args.top_k,
                {grouped.data, grouped.stride}, args.places, args.weights, args.out, on,
                args.addends);
}

}  // namespace braid::kernels::cuda
