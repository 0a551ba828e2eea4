#include "ops/cuda/register_cuda.h"

#include "device/cuda/cuda_queue.h"
#include "kernels/attention/cuda/attention.h"
#include "kernels/attention/cuda/mla.h"
#include "kernels/fill/cuda/fill.h"
#include "kernels/moe/cuda/exchange.h"
#include "kernels/moe/cuda/moe.h"
#include "kernels/norm/cuda/norm.h"
#include "kernels/quantize/cuda/quantize.h"
#include "kernels/rotary/cuda/rotary.h"
#include "kernels/rows/cuda/rows.h"
#include "kernels/sample/cuda/sample.h"
#include "ops/attention.h"
#include "ops/cuda/register_products.h"
#include "ops/fill.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/quantize.h"
#include "ops/rotary.h"
#include "ops/rows.h"
#include "ops/sample.h"

namespace braid::ops {
namespace {

using device::CudaQueue;
using flow::Arg;
using flow::Args;
using flow::Type;
using flow::Workspace;
using kernels::cuda::Matrix;
using kernels::cuda::Rows;

template <typename Desc>
using Launcher = flow::QueuedLauncher<Desc, CudaQueue>;

template <typename T>
Matrix<T> matrix(const Arg& arg) {
  return {reinterpret_cast<T*>(arg.data), arg.stride / static_cast<int64_t>(sizeof(T))};
}

template <typename T>
T* pointer(const Arg& arg) {
  return reinterpret_cast<T*>(arg.data);
}

Rows rows(const Arg& arg) { return {arg.rows, arg.first_row, arg.count}; }

// Calls body with a value of the storage type of `format`: float or bf16.
template <typename Body>
void with_type(Format format, Body&& body) {
  if (format == Format::f32) return body(float{});
  body(bf16{});
}

Status need_equal(std::initializer_list<Type> types) {
  const Format first = types.begin()->format;
  for (const Type& type : types) {
    if (type.format != Format::f32 && type.format != Format::bf16) {
      return Error(ErrorKind::unsupported, "the GPU computes on f32 and bf16 only")
          .with("format", name_of(type.format));
    }
    if (type.format != first) {
      return Error(ErrorKind::unsupported, "the GPU's kernels take operands of one format")
          .with("format", name_of(first))
          .with("other", name_of(type.format));
    }
  }
  return {};
}

Status need_at_most(std::string_view what, int64_t value, int64_t most) {
  if (value <= most) return {};
  return Error(ErrorKind::unsupported, "more than the GPU's kernel takes")
      .with("of", what)
      .with("value", value)
      .with("at most", most);
}

void register_norm(flow::LauncherTable& table) {
  using Desc = kernels::RmsNormDesc;
  table.add<Desc>(Launcher<Desc>{.can_implement =
                                     [](const Desc&, std::span<const Type> types) {
                                       return need_equal({types[0], types[1], types[2]});
                                     },
                                 .launch =
                                     [](const Desc& desc, Args args, Workspace, CudaQueue& queue) {
                                       with_type(args[0].format, [&]<typename T>(T) {
                                         kernels::cuda::rms_norm<T>(
                                             desc, rows(args[2]), args[0].cols,
                                             matrix<const T>(args[0]), pointer<const T>(args[1]),
                                             matrix<T>(args[2]), queue.stream());
                                       });
                                     }});
}

void register_rotary(flow::LauncherTable& table) {
  using TableDesc = kernels::RotaryTableDesc;
  table.add<TableDesc>(Launcher<TableDesc>{
      .launch = [](const TableDesc& desc, Args args, Workspace, CudaQueue& queue) {
        kernels::cuda::rotary_table(desc, args[2].rows, args[2].cols,
                                    pointer<const int32_t>(args[0]), pointer<const float>(args[1]),
                                    matrix<float>(args[2]), queue.stream());
      }});
  using Desc = kernels::RotaryDesc;
  table.add<Desc>(Launcher<Desc>{
      .can_implement = [](const Desc&,
                          std::span<const Type> types) { return need_equal({types[1]}); },
      .launch =
          [](const Desc& desc, Args args, Workspace, CudaQueue& queue) {
            with_type(args[1].format, [&]<typename T>(T) {
              kernels::cuda::rotary<T>(desc, args[1].rows, args[1].cols,
                                       matrix<const float>(args[0]), matrix<T>(args[1]),
                                       queue.stream());
            });
          }});
}

void register_kv_write(flow::LauncherTable& table) {
  using Desc = kernels::KvWriteDesc;
  table.add<Desc>(Launcher<Desc>{.can_implement =
                                     [](const Desc&, std::span<const Type> types) {
                                       return need_equal({types[0], types[2]});
                                     },
                                 .launch =
                                     [](const Desc&, Args args, Workspace, CudaQueue& queue) {
                                       with_type(args[0].format, [&]<typename T>(T) {
                                         kernels::cuda::kv_write<T>(
                                             args[0].rows, args[0].cols, matrix<const T>(args[0]),
                                             pointer<const int32_t>(args[1]), matrix<T>(args[2]),
                                             queue.stream());
                                       });
                                     }});
}

Status can_attend(const kernels::AttentionDesc& desc, std::span<const Type> types) {
  for (const size_t operand : {0, 4, 5}) {
    if (types[operand].format == Format::bf16) continue;
    return Error(ErrorKind::unsupported, "the GPU's attention computes on bf16 only")
        .with("format", name_of(types[operand].format))
        .remedy("Use --dtype bfloat16, or --device cpu.");
  }
  if (kernels::cuda::can_attend(desc)) return {};
  return Error(ErrorKind::unsupported, "the GPU's attention takes heads of 64 or 128 columns")
      .with("head_dim", desc.head_dim)
      .with("num_heads", desc.num_heads)
      .with("num_kv_heads", desc.num_kv_heads)
      .remedy("Use --device cpu.");
}

kernels::cuda::PagedRows paged_rows(Args args) {
  const Arg& table = args[3];
  return {.rows = args[0].rows,
          .sequences = pointer<const int32_t>(args[1]),
          .positions = pointer<const int32_t>(args[2]),
          .block_table = matrix<const int32_t>(table),
          .num_sequences = table.rows,
          .num_blocks = table.cols};
}

void launch_attention(const kernels::AttentionDesc& desc, Args args, Workspace workspace,
                      CudaQueue& queue) {
  kernels::cuda::attention(desc, paged_rows(args), matrix<const bf16>(args[0]),
                           matrix<const bf16>(args[4]), matrix<bf16>(args[5]), workspace.data,
                           queue.stream());
}

Status can_attend_latents(const kernels::MlaDesc& desc, std::span<const Type> types) {
  TRY(need_equal({types[0], types[4], types[5], types[6]}));
  if (kernels::cuda::can_attend_latents(desc)) return {};
  return Error(ErrorKind::unsupported, "the latents are wider than the GPU's attention takes")
      .with("kv_lora_rank", desc.kv_lora_rank)
      .with("qk_rope_head_dim", desc.rope_dim)
      .remedy("Use --device cpu.");
}

void launch_mla(const kernels::MlaDesc& desc, Args args, Workspace, CudaQueue& queue) {
  with_type(args[0].format, [&]<typename T>(T) {
    kernels::cuda::mla_attention<T>(desc, paged_rows(args), matrix<const T>(args[0]),
                                    matrix<const T>(args[4]), matrix<const T>(args[5]),
                                    matrix<T>(args[6]), queue.stream());
  });
}

void register_attention(flow::LauncherTable& table) {
  using Desc = kernels::AttentionDesc;
  table.add<Desc>(Launcher<Desc>{.can_implement = can_attend,
                                 .workspace_bytes =
                                     [](const Desc& desc, std::span<const Type> types) {
                                       return kernels::cuda::attention_scratch_bytes(
                                           desc, types[0].rows, types[3].rows);
                                     },
                                 .launch = launch_attention});
  using Mla = kernels::MlaDesc;
  table.add<Mla>(Launcher<Mla>{.can_implement = can_attend_latents, .launch = launch_mla});
}

void launch_route(const kernels::RouteDesc& desc, Args args, Workspace, CudaQueue& queue) {
  kernels::cuda::route(desc,
                       {.rows = args[0].rows,
                        .logits = matrix<const float>(args[0]),
                        .bias = pointer<const float>(args[1]),
                        .slots = pointer<const int32_t>(args[2]),
                        .forced = matrix<const int32_t>(args[3]),
                        .popularity = pointer<const float>(args[4]),
                        .first_row = args[0].first_row,
                        .ids = matrix<int32_t>(args[5]),
                        .weights = matrix<float>(args[6]),
                        .heat = matrix<uint64_t>(args[kRouteHeat])},
                       queue.stream());
}

void register_route(flow::LauncherTable& table) {
  using Desc = kernels::RouteDesc;
  table.add<Desc>(Launcher<Desc>{
      .can_implement = [](const Desc& desc, std::span<const Type>) -> Status {
        TRY(need_at_most("num_experts", desc.num_experts, kernels::cuda::kMaxRouteExperts));
        return need_at_most("top_k", desc.top_k, kernels::cuda::kMaxTopK);
      },
      .launch = launch_route});
}

void register_permutation(flow::LauncherTable& table) {
  using Permute = kernels::PermuteDesc;
  table.add<Permute>(Launcher<Permute>{
      .can_implement =
          [](const Permute& desc, std::span<const Type>) {
            return need_at_most("num_slots", desc.num_slots, kernels::cuda::kMaxPermuteSlots);
          },
      .launch =
          [](const Permute& desc, Args args, Workspace, CudaQueue& queue) {
            const kernels::SlotTable table{pointer<const int32_t>(args[1]),
                                           static_cast<int32_t>(args[1].cols)};
            kernels::cuda::permute(desc, args[0].rows, args[0].cols, matrix<const int32_t>(args[0]),
                                   table, pointer<int32_t>(args[2]), pointer<int32_t>(args[3]),
                                   matrix<int32_t>(args[4]), queue.stream());
          }});
  using Combine = kernels::CombineDesc;
  table.add<Combine>(Launcher<Combine>{
      .can_implement =
          [](const Combine&, std::span<const Type> types) {
            return need_equal({types[0], types[3]});
          },
      .launch =
          [](const Combine& desc, Args args, Workspace, CudaQueue& queue) {
            with_type(args[0].format, [&]<typename T>(T) {
              kernels::cuda::combine<T>(desc, args[3].rows, args[3].cols, args[2].cols,
                                        matrix<const T>(args[0]), matrix<const int32_t>(args[1]),
                                        matrix<const float>(args[2]), matrix<T>(args[3]),
                                        queue.stream());
            });
          }});
}

void register_exchange(flow::LauncherTable& table) {
  using Order = kernels::RankOrderDesc;
  table.add<Order>(Launcher<Order>{
      .can_implement =
          [](const Order& desc, std::span<const Type>) {
            return need_at_most("ranks", desc.ranks, kernels::cuda::kMaxExchangeRanks);
          },
      .launch =
          [](const Order& desc, Args args, Workspace, CudaQueue& queue) {
            kernels::cuda::rank_order(desc, args[0].rows, args[0].cols,
                                      matrix<const int32_t>(args[0]), pointer<int32_t>(args[1]),
                                      pointer<int32_t>(args[2]), matrix<int32_t>(args[3]),
                                      queue.stream());
          }});
  using Merge = kernels::MergeRanksDesc;
  table.add<Merge>(Launcher<Merge>{
      .can_implement =
          [](const Merge&, std::span<const Type> types) {
            return need_equal({types[0], types[2]});
          },
      .launch =
          [](const Merge&, Args args, Workspace, CudaQueue& queue) {
            with_type(args[0].format, [&]<typename T>(T) {
              kernels::cuda::merge_ranks<T>(
                  args[2].rows, args[2].cols, args[1].cols, matrix<const T>(args[0]),
                  matrix<const int32_t>(args[1]), matrix<T>(args[2]), queue.stream());
            });
          }});
}

// Their strides are counted in bytes.
template <typename Byte>
kernels::cuda::QuantizedRows<Byte> quantized(const Arg& payload, const Arg& scales) {
  return {matrix<Byte>(payload), matrix<Byte>(scales)};
}

void register_quantize(flow::LauncherTable& table) {
  using Quantize = kernels::QuantizeRowsDesc;
  table.add<Quantize>(Launcher<Quantize>{
      .can_implement = [](const Quantize&,
                          std::span<const Type> types) { return need_equal({types[0]}); },
      .launch =
          [](const Quantize& desc, Args args, Workspace, CudaQueue& queue) {
            with_type(args[0].format, [&]<typename T>(T) {
              kernels::cuda::quantize_rows<T>(
                  desc, args[0].rows, args[0].cols, matrix<const T>(args[0]),
                  quantized<uint8_t>(args[1], args[2]), matrix<double>(args[3]), queue.stream());
            });
          }});
  using Dequantize = kernels::DequantizeRowsDesc;
  table.add<Dequantize>(Launcher<Dequantize>{
      .can_implement = [](const Dequantize&,
                          std::span<const Type> types) { return need_equal({types[2]}); },
      .launch =
          [](const Dequantize& desc, Args args, Workspace, CudaQueue& queue) {
            with_type(args[2].format, [&]<typename T>(T) {
              kernels::cuda::dequantize_rows<T>(desc, args[2].rows, args[2].cols,
                                                quantized<const uint8_t>(args[0], args[1]),
                                                matrix<T>(args[2]), queue.stream());
            });
          }});
  using Sum = kernels::SumErrorsDesc;
  table.add<Sum>(Launcher<Sum>{.launch = [](const Sum&, Args args, Workspace, CudaQueue& queue) {
    kernels::cuda::sum_errors(args[0].rows, matrix<const double>(args[0]),
                              matrix<const int32_t>(args[1]), pointer<double>(args[2]),
                              queue.stream());
  }});
}

// All rows: how many of them are real, the copy engines don't know.
template <typename Desc>
void launch_copy(const Desc& /*desc*/, Args args, Workspace /*workspace*/, CudaQueue& queue) {
  const Arg &from = args[0], &to = args[1];
  kernels::cuda::copy_rows(from.rows, from.cols * bytes_of(from.format), from.data, from.stride,
                           to.data, to.stride, queue.stream());
}

void register_rows(flow::LauncherTable& table) {
  using Gather = kernels::GatherRowsDesc;
  table.add<Gather>(Launcher<Gather>{
      .can_implement =
          [](const Gather&, std::span<const Type> types) {
            return need_equal({types[0], types[2]});
          },
      .launch =
          [](const Gather& desc, Args args, Workspace, CudaQueue& queue) {
            with_type(args[0].format, [&]<typename T>(T) {
              kernels::cuda::gather_rows<T>(
                  desc, rows(args[2]), args[2].cols, matrix<const T>(args[0]),
                  pointer<const int32_t>(args[1]), matrix<T>(args[2]), queue.stream());
            });
          }});
  using Join = kernels::JoinColumnsDesc;
  table.add<Join>(Launcher<Join>{.can_implement =
                                     [](const Join&, std::span<const Type> types) {
                                       return need_equal({types[0], types[1]});
                                     },
                                 .launch =
                                     [](const Join& desc, Args args, Workspace, CudaQueue& queue) {
                                       with_type(args[0].format, [&]<typename T>(T) {
                                         kernels::cuda::join_columns<T>(
                                             desc, rows(args[1]), args[1].cols, args[1].rows,
                                             matrix<const T>(args[0]), matrix<T>(args[1]),
                                             queue.stream());
                                       });
                                     }});
  using Add = kernels::AddDesc;
  table.add<Add>(Launcher<Add>{
      .can_implement =
          [](const Add&, std::span<const Type> types) {
            return need_equal({types[0], types[1], types[2]});
          },
      .launch =
          [](const Add&, Args args, Workspace, CudaQueue& queue) {
            with_type(args[0].format, [&]<typename T>(T) {
              kernels::cuda::add<T>(rows(args[2]), args[2].cols, matrix<const T>(args[0]),
                                    matrix<const T>(args[1]), matrix<T>(args[2]), queue.stream());
            });
          }});
  using Copy = kernels::CopyDesc;
  table.add<Copy>(Launcher<Copy>{.launch = launch_copy<Copy>});
  using ReadBack = kernels::ReadBackDesc;
  table.add<ReadBack>(Launcher<ReadBack>{.launch = launch_copy<ReadBack>});
}

void register_fill(flow::LauncherTable& table) {
  using Desc = kernels::UniformDesc;
  table.add<Desc>(Launcher<Desc>{
      .can_implement = [](const Desc&,
                          std::span<const Type> types) { return need_equal({types[0]}); },
      .launch =
          [](const Desc& desc, Args args, Workspace, CudaQueue& queue) {
            with_type(args[0].format, [&]<typename T>(T) {
              kernels::cuda::fill_uniform<T>(desc, args[0].rows, args[0].cols, matrix<T>(args[0]),
                                             queue.stream());
            });
          }});
}

void register_sample(flow::LauncherTable& table) {
  using Desc = kernels::SampleDesc;
  table.add<Desc>(Launcher<Desc>{
      .can_implement =
          [](const Desc&, std::span<const Type> types) {
            return need_at_most("vocabulary", types[0].cols, kernels::cuda::kMaxVocabSize);
          },
      .launch =
          [](const Desc&, Args args, Workspace, CudaQueue& queue) {
            kernels::cuda::sample(rows(args[0]), args[0].cols,
                                  {.logits = matrix<const float>(args[0]),
                                   .temperature = matrix<const float>(args[1]),
                                   .top_p = matrix<const float>(args[2]),
                                   .top_k = matrix<const int32_t>(args[3]),
                                   .seed = matrix<const uint64_t>(args[4]),
                                   .position = matrix<const int32_t>(args[5]),
                                   .ids = matrix<int32_t>(args[6])},
                                  queue.stream());
          }});
}

}  // namespace

void register_cuda(flow::LauncherTable& table) {
  register_products_cuda(table);
  register_norm(table);
  register_rotary(table);
  register_kv_write(table);
  register_attention(table);
  register_route(table);
  register_permutation(table);
  register_exchange(table);
  register_quantize(table);
  register_rows(table);
  register_fill(table);
  register_sample(table);
}

}  // namespace braid::ops
