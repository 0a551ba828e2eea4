// Products, dense and of experts, alone.
#include <algorithm>
#include <memory>
#include <set>

#include "kernels/hash.h"
#include "lab/kernel_builders.h"
#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/rows.h"

namespace braid::lab {

using flow::Work;
using ops::Value;

namespace {

bool is_on(const KernelLayer& layer, std::string_view name) { return layer.is(name, "on"); }

ops::Epilogue epilogue_of(const KernelLayer& layer) {
  return layer.is("epilogue", "swiglu") ? ops::Epilogue::swiglu : ops::Epilogue::none;
}

}  // namespace

namespace {

// What a product computes on.
struct Product {
  Value x, norm_weight, residual;
  ops::Linear linear;
  Format out = Format::f32;
};
constexpr float kEpsilon = 1e-6f;

Product product_of(KernelLayer& layer) {
  const int64_t rows = layer.size("rows"), n = layer.size("n"), k = layer.size("k");
  const int64_t columns = layer.is("epilogue", "swiglu") ? n / 2 : n;
  Product product{.x = layer.random("x", layer.dtype, rows, k),
                  .norm_weight = {},
                  .residual = {},
                  .linear = {.weight = layer.weight("weight", n, k), .bias = {}},
                  .out = layer.is("out", "f32") ? Format::f32 : layer.dtype};
  if (is_on(layer, "bias")) product.linear.bias = layer.weight("bias", 1, n);
  if (is_on(layer, "norm")) product.norm_weight = layer.weight("norm", 1, k);
  if (is_on(layer, "residual")) {
    product.residual = layer.random("residual", product.out, rows, columns);
  }
  return product;
}

Work work_of_product(const KernelLayer& layer) {
  const int64_t rows = layer.size("rows"), n = layer.size("n"), k = layer.size("k");
  const int64_t columns = layer.is("epilogue", "swiglu") ? n / 2 : n;
  const int64_t outputs = rows * columns * (is_on(layer, "residual") ? 2 : 1);
  return {.flop = 2.0 * static_cast<double>(rows * n * k),
          .bytes = bytes_of_values(layer, static_cast<double>(n * k + rows * k + outputs))};
}

// [residual +] epilogue([norm of] x [rows, k] · W [n, k]ᵀ [+ bias]) in one op, whose kernel is the
// one for `tuned_rows` rows.
void build_product(KernelLayer& layer, int64_t tuned_rows) {
  const Product product = product_of(layer);
  const int64_t n = layer.size("n");
  const Value y = layer.b.step("y", product.out, layer.size("rows"),
                               epilogue_of(layer) == ops::Epilogue::swiglu ? n / 2 : n);
  layer.b.emit(kernels::GemmDesc{.epilogue = epilogue_of(layer),
                                 .tuned_rows = static_cast<int32_t>(tuned_rows),
                                 .norm_eps = is_on(layer, "norm") ? kEpsilon : 0},
               {{ops::GemmOperand::x, product.x},
                {ops::GemmOperand::weight, product.linear.weight},
                {ops::GemmOperand::bias, product.linear.bias},
                {ops::GemmOperand::norm_weight, product.norm_weight},
                {ops::GemmOperand::residual, product.residual},
                {ops::GemmOperand::y, y}});
  layer.result("y", y);
}

}  // namespace

Work build_gemm(KernelLayer& layer) {
  build_product(layer, layer.size("rows"));
  return work_of_product(layer);
}

namespace {

// The kernel for more rows than the streaming one takes.
constexpr int64_t kSomeRows = 64;
constexpr int64_t kFewRows = 16;

}  // namespace

Work build_gemm_for_some_rows(KernelLayer& layer) {
  build_product(layer, kSomeRows);
  return work_of_product(layer);
}

bool has_few_rows(const KernelSetting& setting) { return setting.size("rows") <= kFewRows; }

// Each step an op of its own.
Work build_gemm_apart(KernelLayer& layer) {
  const Product product = product_of(layer);
  Value x = product.x;
  if (product.norm_weight.present()) {
    x = ops::rms_norm(layer.b, x, product.norm_weight, kEpsilon, "normed");
  }
  Value y = ops::gemm(layer.b, x, product.linear, product.out, "y", epilogue_of(layer));
  if (product.residual.present()) y = ops::add(layer.b, product.residual, y, "sum");
  layer.result("y", y);
  return work_of_product(layer);
}

bool has_more_steps(const KernelSetting& setting) {
  return setting.choice("norm") == "on" || setting.choice("residual") == "on";
}

namespace {

// Which rows go to which expert.
struct ExpertRows {
  std::vector<int32_t> offsets;  // [experts + 1]
  std::vector<int32_t> source;   // [rows · top_k], in the order of experts
  std::vector<int32_t> places;   // [rows, top_k], where in it each choice of a row stands
  int64_t top_k = 0;

  double active() const {
    int64_t experts = 0;
    for (size_t e = 0; e + 1 < offsets.size(); ++e) experts += offsets[e] < offsets[e + 1] ? 1 : 0;
    return static_cast<double>(experts);
  }
};

// The experts of a row: in turn; different ones at random; or expert 0 for every other row and the
// others in turn.
std::set<int64_t> experts_of(const std::string& routing, int64_t row, int64_t top_k,
                             int64_t experts) {
  std::set<int64_t> chosen;
  const bool heavy = routing == "half" && row % 2 == 0;
  if (heavy) chosen.insert(0);
  for (uint64_t draw = 0; static_cast<int64_t>(chosen.size()) < top_k; ++draw) {
    const int64_t next = row * top_k + static_cast<int64_t>(draw);
    if (routing == "random") {
      const uint64_t number = kernels::hash(static_cast<uint64_t>(row), draw);
      chosen.insert(static_cast<int64_t>(number % static_cast<uint64_t>(experts)));
    } else {
      chosen.insert(routing == "half" ? 1 + next % (experts - 1) : next % experts);
    }
  }
  return chosen;
}

std::shared_ptr<const ExpertRows> rows_of_experts(const KernelLayer& layer) {
  const int64_t rows = layer.size("rows"), experts = layer.size("experts");
  // With a heavy expert all other rows choose among the others.
  const int64_t most = layer.is("routing", "half") ? experts - 1 : experts;
  const int64_t top_k = std::min(layer.size("top_k"), most);
  // Of each expert its choices, numbered row by row.
  std::vector<std::vector<int32_t>> lists(static_cast<size_t>(experts));
  int32_t choices = 0;
  for (int64_t row = 0; row < rows; ++row) {
    for (const int64_t expert : experts_of(layer.setting.choice("routing"), row, top_k, experts)) {
      lists[static_cast<size_t>(expert)].push_back(choices++);
    }
  }
  auto out = std::make_shared<ExpertRows>();
  out->top_k = top_k;
  out->places.resize(static_cast<size_t>(choices));
  out->offsets.push_back(0);
  for (const auto& list : lists) {
    for (const int32_t choice : list) {
      out->places[static_cast<size_t>(choice)] = static_cast<int32_t>(out->source.size());
      out->source.push_back(static_cast<int32_t>(choice / top_k));
    }
    out->offsets.push_back(static_cast<int32_t>(out->source.size()));
  }
  return out;
}

ops::Grouped grouped_rows(KernelLayer& layer, const std::shared_ptr<const ExpertRows>& lists,
                          int64_t cols, int64_t tokens) {
  const auto column = [&](std::string_view name, const std::vector<int32_t>& numbers) {
    return layer.filled(name, Format::i32, static_cast<int64_t>(numbers.size()), 1,
                        [lists, &numbers](int64_t i) { return numbers[static_cast<size_t>(i)]; });
  };
  const Value offsets = column("offsets", lists->offsets);
  return {.rows = layer.random("x", layer.dtype, layer.size("rows"), cols),
          .source = column("source", lists->source),
          .offsets = offsets,
          .count = layer.b.rows(offsets, layer.size("experts"), 1),
          .tokens = tokens};
}

// The rows of every expert · its W [n, k]ᵀ. `tokens`: as many as the op is told of.
Work write_grouped_gemm(KernelLayer& layer, int64_t tokens) {
  const int64_t rows = layer.size("rows"), experts = layer.size("experts");
  const int64_t n = layer.size("n"), k = layer.size("k");
  const auto lists = rows_of_experts(layer);
  const auto choices = static_cast<int64_t>(lists->source.size());
  const ops::Grouped out =
      ops::grouped_gemm(layer.b, grouped_rows(layer, lists, k, tokens),
                        layer.weight("weights", experts * n, k), choices, "y", epilogue_of(layer));
  layer.result("y", out.rows);
  const auto activations = static_cast<double>(rows * k + choices * layer.b.num_cols(out.rows));
  const double weights = lists->active() * static_cast<double>(n * k);
  return {.flop = 2.0 * static_cast<double>(choices * n * k),
          .bytes = bytes_of_values(layer, weights + activations)};
}

}  // namespace

// As a step of so many rows has it: few rows' weights are streamed.
Work build_grouped_gemm(KernelLayer& layer) {
  return write_grouped_gemm(layer, layer.size("rows"));
}

// By tiles of 64 rows and more, as where the rows of a step are not known.
Work build_tiled_gemm(KernelLayer& layer) { return write_grouped_gemm(layer, 0); }

namespace {

// The experts of a layer: both products, the weighted sum of a row's experts and the residual.
struct Experts {
  ops::Grouped up;  // what SwiGLU gave
  Value down, places, weights, residual;
  Work work;
};

Experts experts_up(KernelLayer& layer) {
  const int64_t rows = layer.size("rows"), experts = layer.size("experts");
  const int64_t hidden = layer.size("hidden"), width = layer.size("width");
  const auto lists = rows_of_experts(layer);
  const auto choices = static_cast<int64_t>(lists->source.size());
  const ops::Grouped in = grouped_rows(layer, lists, hidden, rows);
  const Value up = layer.weight("up", experts * 2 * width, hidden);
  const double weights = lists->active() * static_cast<double>(3 * width * hidden);
  const auto activations = static_cast<double>(3 * rows * hidden);
  return {
      .up = ops::grouped_gemm(layer.b, in, up, choices, "h", ops::Epilogue::swiglu),
      .down = layer.weight("down", experts * hidden, width),
      .places = layer.filled("places", Format::i32, rows, lists->top_k,
                             [lists](int64_t i) { return lists->places[static_cast<size_t>(i)]; }),
      .weights = layer.random("router weights", Format::f32, rows, lists->top_k),
      .residual = layer.random("residual", layer.dtype, rows, hidden),
      .work = {.flop = 2.0 * static_cast<double>(3 * choices * width * hidden),
               .bytes = bytes_of_values(layer, weights + activations)}};
}

}  // namespace

Work build_experts(KernelLayer& layer) {
  const Experts experts = experts_up(layer);
  const auto rows = static_cast<int32_t>(layer.size("rows"));
  const Value out = layer.b.step("out", layer.dtype, rows, layer.size("hidden"));
  using Operand = ops::ExpertsDownOperand;
  layer.b.emit(kernels::ExpertsDownDesc{.num_slots = static_cast<int32_t>(layer.size("experts")),
                                        .tuned_rows =
                                            static_cast<int32_t>(layer.b.num_rows(experts.up.rows)),
                                        .tokens = rows},
               {{Operand::x, experts.up.rows},
                {Operand::offsets, experts.up.offsets},
                {Operand::weight, experts.down},
                {Operand::places, experts.places},
                {Operand::weights, experts.weights},
                {Operand::residual, experts.residual},
                {Operand::out, out}});
  layer.result("out", out);
  return experts.work;
}

// Each step an op of its own.
Work build_experts_apart(KernelLayer& layer) {
  const Experts experts = experts_up(layer);
  const ops::Grouped down = ops::grouped_gemm(layer.b, experts.up, experts.down,
                                              layer.b.num_rows(experts.up.rows), "down");
  const Value sum = ops::combine(
      layer.b, down,
      {.grouped = down, .places = experts.places, .weights = experts.weights, .way_back = {}});
  layer.result("out", ops::add(layer.b, experts.residual, sum, "out"));
  return experts.work;
}

}  // namespace braid::lab
