#include "ops/register_cpu.h"

#include <cstring>

#include "kernels/attention/cpu/attention.h"
#include "kernels/fill/cpu/fill.h"
#include "kernels/gemm/cpu/gemm.h"
#include "kernels/moe/cpu/exchange.h"
#include "kernels/moe/cpu/moe.h"
#include "kernels/norm/cpu/norm.h"
#include "kernels/quantize/cpu/quantize.h"
#include "kernels/rotary/cpu/rotary.h"
#include "kernels/rows/cpu/rows.h"
#include "kernels/sample/cpu/sample.h"
#include "ops/attention.h"
#include "ops/fill.h"
#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/quantize.h"
#include "ops/rotary.h"
#include "ops/rows.h"
#include "ops/sample.h"

namespace braid::ops {
namespace {

using flow::Arg;
using flow::Args;
using flow::Type;
using flow::Workspace;
using kernels::cpu::Matrix;

template <typename T>
Matrix<T> matrix(const Arg& arg) {
  return {reinterpret_cast<T*>(arg.data), arg.stride / static_cast<int64_t>(sizeof(T))};
}

template <typename T>
T* pointer(const Arg& arg) {
  return reinterpret_cast<T*>(arg.data);
}

// Calls body with a value of the storage type of `format`: float or bf16.
template <typename Body>
void with_type(Format format, Body&& body) {
  if (format == Format::f32) return body(float{});
  body(bf16{});
}

Status need_storage(std::initializer_list<Type> types) {
  for (const Type& type : types) {
    if (type.format == Format::f32 || type.format == Format::bf16) continue;
    return Error(ErrorKind::unsupported, "the CPU computes on f32 and bf16 only")
        .with("format", name_of(type.format));
  }
  return {};
}

Status need_equal(std::initializer_list<Type> types) {
  TRY(need_storage(types));
  for (const Type& type : types) {
    if (type.format == types.begin()->format) continue;
    return Error(ErrorKind::unsupported, "the CPU's kernels take operands of one format")
        .with("format", name_of(types.begin()->format))
        .with("other", name_of(type.format));
  }
  return {};
}

// Products take x and w of one format and give that or f32.
Status can_multiply(const Type& x, const Type& w, const Type& y) {
  TRY(need_equal({x, w}));
  return y.format == Format::f32 ? Status() : need_equal({x, y});
}

template <typename Body>
void with_product_types(const Arg& x, const Arg& y, Body&& body) {
  with_type(x.format, [&](auto in) {
    if (y.format == Format::f32) return body(in, float{});
    body(in, in);
  });
}

void launch_gemm(const kernels::GemmDesc& desc, Args args, Workspace /*workspace*/) {
  const Arg &x = args[0], &w = args[1], &bias = args[2], &y = args[3];
  with_product_types(x, y, [&]<typename In, typename Out>(In, Out) {
    kernels::cpu::gemm<In, In, Out>(desc, y.live_rows(), w.rows / desc.k_slots, x.cols,
                                    matrix<const In>(x), matrix<const In>(w),
                                    pointer<const In>(bias), matrix<Out>(y));
  });
}

void launch_grouped_gemm(const kernels::GroupedGemmDesc& desc, Args args, Workspace /*workspace*/) {
  const Arg &x = args[0], &source = args[1], &offsets = args[2], &w = args[3], &y = args[4];
  with_product_types(x, y, [&]<typename In, typename Out>(In, Out) {
    kernels::cpu::grouped_gemm<In, In, Out>(
        desc, w.rows / desc.num_slots, x.cols, matrix<const In>(x), pointer<const int32_t>(source),
        pointer<const int32_t>(offsets), matrix<const In>(w), matrix<Out>(y));
  });
}

void register_products(flow::LauncherTable& table) {
  table.add<kernels::GemmDesc>({.can_implement =
                                    [](const kernels::GemmDesc&, std::span<const Type> types) {
                                      return can_multiply(types[0], types[1], types[3]);
                                    },
                                .launch = launch_gemm});
  table.add<kernels::GroupedGemmDesc>(
      {.can_implement =
           [](const kernels::GroupedGemmDesc&, std::span<const Type> types) {
             return can_multiply(types[0], types[3], types[4]);
           },
       .launch = launch_grouped_gemm});
}

void register_norms(flow::LauncherTable& table) {
  table.add<kernels::RmsNormDesc>(
      {.can_implement =
           [](const kernels::RmsNormDesc&, std::span<const Type> types) {
             return need_equal({types[0], types[1], types[2]});
           },
       .launch =
           [](const kernels::RmsNormDesc& desc, Args args, Workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::rms_norm<T>(desc, args[2].live_rows(), args[0].cols,
                                         matrix<const T>(args[0]), pointer<const T>(args[1]),
                                         matrix<T>(args[2]));
             });
           }});
  table.add<kernels::RotaryTableDesc>({.launch = [](const kernels::RotaryTableDesc& desc, Args args,
                                                    Workspace) {
    kernels::cpu::rotary_table(desc, args[2].rows, args[2].cols, pointer<const int32_t>(args[0]),
                               pointer<const float>(args[1]), matrix<float>(args[2]));
  }});
  table.add<kernels::RotaryDesc>(
      {.can_implement = [](const kernels::RotaryDesc&,
                           std::span<const Type> types) { return need_storage({types[1]}); },
       .launch =
           [](const kernels::RotaryDesc& desc, Args args, Workspace) {
             with_type(args[1].format, [&]<typename T>(T) {
               kernels::cpu::rotary<T>(desc, args[1].rows, args[1].cols,
                                       matrix<const float>(args[0]), matrix<T>(args[1]));
             });
           }});
}

kernels::cpu::PagedRows paged_rows(Args args) {
  return {.rows = args[0].rows,
          .sequences = pointer<const int32_t>(args[1]),
          .positions = pointer<const int32_t>(args[2]),
          .block_table = matrix<const int32_t>(args[3])};
}

void register_attention(flow::LauncherTable& table) {
  table.add<kernels::KvWriteDesc>(
      {.can_implement =
           [](const kernels::KvWriteDesc&, std::span<const Type> types) {
             return need_equal({types[0], types[2]});
           },
       .launch =
           [](const kernels::KvWriteDesc&, Args args, Workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::kv_write<T>(args[0].rows, args[0].cols, matrix<const T>(args[0]),
                                         pointer<const int32_t>(args[1]), matrix<T>(args[2]));
             });
           }});
  table.add<kernels::AttentionDesc>(
      {.can_implement =
           [](const kernels::AttentionDesc&, std::span<const Type> types) {
             return need_equal({types[0], types[4], types[5]});
           },
       .workspace_bytes =
           [](const kernels::AttentionDesc& desc, std::span<const Type> types) {
             return kernels::cpu::attention_scratch_bytes(desc, types[3].cols * desc.page_size);
           },
       .launch =
           [](const kernels::AttentionDesc& desc, Args args, Workspace workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::attention<T>(desc, paged_rows(args), matrix<const T>(args[0]),
                                          matrix<const T>(args[4]), matrix<T>(args[5]),
                                          workspace.data);
             });
           }});
  table.add<kernels::MlaDesc>(
      {.can_implement =
           [](const kernels::MlaDesc&, std::span<const Type> types) {
             return need_equal({types[0], types[4], types[5], types[6]});
           },
       .workspace_bytes =
           [](const kernels::MlaDesc& desc, std::span<const Type> types) {
             return kernels::cpu::mla_scratch_bytes(desc, types[3].cols * desc.page_size);
           },
       .launch =
           [](const kernels::MlaDesc& desc, Args args, Workspace workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::mla_attention<T>(desc, paged_rows(args), matrix<const T>(args[0]),
                                              matrix<const T>(args[4]), matrix<const T>(args[5]),
                                              matrix<T>(args[6]), workspace.data);
             });
           }});
}

void launch_route(const kernels::RouteDesc& desc, Args args, Workspace workspace) {
  kernels::cpu::route(desc,
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
                      workspace.data);
}

void register_moe(flow::LauncherTable& table) {
  table.add<kernels::RouteDesc>({.workspace_bytes =
                                     [](const kernels::RouteDesc& desc, std::span<const Type>) {
                                       return kernels::cpu::route_scratch_bytes(desc);
                                     },
                                 .launch = launch_route});
  table.add<kernels::PermuteDesc>(
      {.launch = [](const kernels::PermuteDesc& desc, Args args, Workspace) {
        const kernels::SlotTable table{pointer<const int32_t>(args[1]),
                                       static_cast<int32_t>(args[1].cols)};
        kernels::cpu::permute(desc, args[0].rows, args[0].cols, matrix<const int32_t>(args[0]),
                              table, pointer<int32_t>(args[2]), pointer<int32_t>(args[3]),
                              matrix<int32_t>(args[4]));
      }});
  table.add<kernels::CombineDesc>(
      {.can_implement =
           [](const kernels::CombineDesc&, std::span<const Type> types) {
             return need_equal({types[0], types[3]});
           },
       .launch =
           [](const kernels::CombineDesc& desc, Args args, Workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::combine<T>(desc, args[3].rows, args[3].cols, args[2].cols,
                                        matrix<const T>(args[0]), matrix<const int32_t>(args[1]),
                                        matrix<const float>(args[2]), matrix<T>(args[3]));
             });
           }});
}

void register_exchange(flow::LauncherTable& table) {
  table.add<kernels::RankOrderDesc>(
      {.launch = [](const kernels::RankOrderDesc& desc, Args args, Workspace) {
        kernels::cpu::rank_order(desc, args[0].rows, args[0].cols, matrix<const int32_t>(args[0]),
                                 pointer<int32_t>(args[1]), pointer<int32_t>(args[2]),
                                 matrix<int32_t>(args[3]));
      }});
  table.add<kernels::MergeRanksDesc>(
      {.can_implement =
           [](const kernels::MergeRanksDesc&, std::span<const Type> types) {
             return need_equal({types[0], types[2]});
           },
       .launch =
           [](const kernels::MergeRanksDesc&, Args args, Workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::merge_ranks<T>(args[2].rows, args[2].cols, args[1].cols,
                                            matrix<const T>(args[0]),
                                            matrix<const int32_t>(args[1]), matrix<T>(args[2]));
             });
           }});
}

// Their strides are counted in bytes.
template <typename Byte>
kernels::cpu::QuantizedRows<Byte> quantized(const Arg& payload, const Arg& scales) {
  return {matrix<Byte>(payload), matrix<Byte>(scales)};
}

void register_quantize(flow::LauncherTable& table) {
  table.add<kernels::QuantizeRowsDesc>(
      {.can_implement = [](const kernels::QuantizeRowsDesc&,
                           std::span<const Type> types) { return need_storage({types[0]}); },
       .launch =
           [](const kernels::QuantizeRowsDesc& desc, Args args, Workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::quantize_rows<T>(
                   desc, args[0].rows, args[0].cols, matrix<const T>(args[0]),
                   quantized<uint8_t>(args[1], args[2]), matrix<double>(args[3]));
             });
           }});
  table.add<kernels::DequantizeRowsDesc>(
      {.can_implement = [](const kernels::DequantizeRowsDesc&,
                           std::span<const Type> types) { return need_storage({types[2]}); },
       .launch =
           [](const kernels::DequantizeRowsDesc& desc, Args args, Workspace) {
             with_type(args[2].format, [&]<typename T>(T) {
               kernels::cpu::dequantize_rows<T>(desc, args[2].rows, args[2].cols,
                                                quantized<const uint8_t>(args[0], args[1]),
                                                matrix<T>(args[2]));
             });
           }});
  table.add<kernels::SumErrorsDesc>(
      {.launch = [](const kernels::SumErrorsDesc&, Args args, Workspace) {
        kernels::cpu::sum_errors(args[0].rows, matrix<const double>(args[0]),
                                 matrix<const int32_t>(args[1]), pointer<double>(args[2]));
      }});
}

template <typename Desc>
void launch_copy(const Desc& /*desc*/, Args args, Workspace /*workspace*/) {
  const auto row_bytes = static_cast<size_t>(args[0].cols * bytes_of(args[0].format));
  for (int64_t row = 0; row < args[0].live_rows(); ++row) {
    std::memcpy(args[1].row<std::byte>(row), args[0].row<std::byte>(row), row_bytes);
  }
}

void register_rows(flow::LauncherTable& table) {
  table.add<kernels::GatherRowsDesc>(
      {.can_implement =
           [](const kernels::GatherRowsDesc&, std::span<const Type> types) {
             return need_equal({types[0], types[2]});
           },
       .launch =
           [](const kernels::GatherRowsDesc& desc, Args args, Workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::gather_rows<T>(desc, args[2].live_rows(), args[2].cols,
                                            matrix<const T>(args[0]),
                                            pointer<const int32_t>(args[1]), matrix<T>(args[2]));
             });
           }});
  table.add<kernels::JoinColumnsDesc>(
      {.can_implement =
           [](const kernels::JoinColumnsDesc&, std::span<const Type> types) {
             return need_equal({types[0], types[1]});
           },
       .launch =
           [](const kernels::JoinColumnsDesc& desc, Args args, Workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::join_columns<T>(desc, args[1].live_rows(), args[1].cols, args[1].rows,
                                             matrix<const T>(args[0]), matrix<T>(args[1]));
             });
           }});
  table.add<kernels::AddDesc>(
      {.can_implement =
           [](const kernels::AddDesc&, std::span<const Type> types) {
             return need_equal({types[0], types[1], types[2]});
           },
       .launch =
           [](const kernels::AddDesc&, Args args, Workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::add<T>(args[2].live_rows(), args[2].cols, matrix<const T>(args[0]),
                                    matrix<const T>(args[1]), matrix<T>(args[2]));
             });
           }});
  table.add<kernels::CopyDesc>({.launch = launch_copy<kernels::CopyDesc>});
  table.add<kernels::ReadBackDesc>({.launch = launch_copy<kernels::ReadBackDesc>});
}

void register_fill(flow::LauncherTable& table) {
  using Desc = kernels::UniformDesc;
  table.add<Desc>(
      {.can_implement = [](const Desc&,
                           std::span<const Type> types) { return need_storage({types[0]}); },
       .launch =
           [](const Desc& desc, Args args, Workspace) {
             with_type(args[0].format, [&]<typename T>(T) {
               kernels::cpu::fill_uniform<T>(desc, args[0].rows, args[0].cols, matrix<T>(args[0]));
             });
           }});
}

void launch_sample(const kernels::SampleDesc& /*desc*/, Args args, Workspace workspace) {
  for (int64_t row = 0; row < args[0].live_rows(); ++row) {
    const kernels::cpu::SampleRow how{.temperature = *args[1].row<const float>(row),
                                      .top_p = *args[2].row<const float>(row),
                                      .top_k = *args[3].row<const int32_t>(row),
                                      .seed = *args[4].row<const uint64_t>(row),
                                      .position = *args[5].row<const int32_t>(row)};
    *args[6].row<int32_t>(row) =
        kernels::cpu::sample(how, args[0].cols, args[0].row<const float>(row), workspace.data);
  }
}

}  // namespace

void register_cpu(flow::LauncherTable& table) {
  register_products(table);
  register_norms(table);
  register_attention(table);
  register_moe(table);
  register_exchange(table);
  register_quantize(table);
  register_rows(table);
  register_fill(table);
  table.add<kernels::SampleDesc>({.workspace_bytes =
                                      [](const kernels::SampleDesc&, std::span<const Type> types) {
                                        return kernels::cpu::sample_scratch_bytes(types[0].cols);
                                      },
                                  .launch = launch_sample});
}

}  // namespace braid::ops
