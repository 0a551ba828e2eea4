// The kernels that `bench kernel` knows.
#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "kernels/hash.h"
#include "lab/kernel_case.h"
#include "ops/attention.h"
#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/rows.h"
#include "ops/sample.h"

namespace braid::lab {
namespace {

using flow::Work;
using ops::Value;

double bytes_of_values(const KernelLayer& layer, double elements) {
  return elements * static_cast<double>(bytes_of(layer.dtype));
}

bool is_on(const KernelLayer& layer, std::string_view name) { return layer.is(name, "on"); }

ops::Epilogue epilogue_of(const KernelLayer& layer) {
  return layer.is("epilogue", "swiglu") ? ops::Epilogue::swiglu : ops::Epilogue::none;
}

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

Work build_gemm(KernelLayer& layer) {
  build_product(layer, layer.size("rows"));
  return work_of_product(layer);
}

// The kernel for more rows than the streaming one takes.
constexpr int64_t kSomeRows = 64;
constexpr int64_t kFewRows = 16;

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

// Which rows go to which expert.
struct ExpertRows {
  std::vector<int32_t> offsets;  // [experts + 1]
  std::vector<int32_t> source;   // [rows · top_k], in the order of experts

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
  std::vector<std::vector<int32_t>> lists(static_cast<size_t>(experts));
  for (int64_t row = 0; row < rows; ++row) {
    for (const int64_t expert : experts_of(layer.setting.choice("routing"), row, top_k, experts)) {
      lists[static_cast<size_t>(expert)].push_back(static_cast<int32_t>(row));
    }
  }
  auto out = std::make_shared<ExpertRows>();
  out->offsets.push_back(0);
  for (const auto& list : lists) {
    out->source.insert(out->source.end(), list.begin(), list.end());
    out->offsets.push_back(static_cast<int32_t>(out->source.size()));
  }
  return out;
}

// The rows of every expert · its W [n, k]ᵀ. `tokens`: as many as the op is told of.
Work write_grouped_gemm(KernelLayer& layer, int64_t tokens) {
  const int64_t rows = layer.size("rows"), experts = layer.size("experts");
  const int64_t n = layer.size("n"), k = layer.size("k");
  const auto lists = rows_of_experts(layer);
  const auto grouped_rows = static_cast<int64_t>(lists->source.size());
  const Value offsets = layer.filled("offsets", Format::i32, experts + 1, 1, [lists](int64_t i) {
    return lists->offsets[static_cast<size_t>(i)];
  });
  const Value source = layer.filled("source", Format::i32, grouped_rows, 1, [lists](int64_t i) {
    return lists->source[static_cast<size_t>(i)];
  });
  const ops::Grouped in{.rows = layer.random("x", layer.dtype, rows, k),
                        .source = source,
                        .offsets = offsets,
                        .count = layer.b.rows(offsets, experts, 1),
                        .tokens = tokens};
  const ops::Grouped out = ops::grouped_gemm(layer.b, in, layer.weight("weights", experts * n, k),
                                             grouped_rows, "y", epilogue_of(layer));
  layer.result("y", out.rows);
  const auto activations =
      static_cast<double>(rows * k + grouped_rows * layer.b.num_cols(out.rows));
  const double weights = lists->active() * static_cast<double>(n * k);
  return {.flop = 2.0 * static_cast<double>(grouped_rows * n * k),
          .bytes = bytes_of_values(layer, weights + activations)};
}

// As a step of so many rows has it: few rows' weights are streamed.
Work build_grouped_gemm(KernelLayer& layer) {
  return write_grouped_gemm(layer, layer.size("rows"));
}

// By tiles of 64 rows and more, as where the rows of a step are not known.
Work build_tiled_gemm(KernelLayer& layer) { return write_grouped_gemm(layer, 0); }

// One query row of each sequence, which has `context` tokens in the cache.
Work build_attention(KernelLayer& layer) {
  const int64_t rows = layer.size("rows"), context = layer.size("context");
  const int64_t heads = layer.size("heads"), kv_heads = layer.size("kv_heads");
  const int64_t head_dim = layer.size("head_dim"), page = layer.size("page");
  const int64_t blocks = (context + page - 1) / page;
  const auto index = [](int64_t i) { return static_cast<double>(i); };
  const ops::PagedRows paged{
      .sequences = layer.filled("sequences", Format::i32, rows, 1, index),
      .positions = layer.filled("positions", Format::i32, rows, 1,
                                [context](int64_t) { return static_cast<double>(context - 1); }),
      .kv_slots = {},
      // Pages of all sequences take turns in the cache.
      .block_table = layer.filled("block table", Format::i32, rows, blocks, [=](int64_t i) {
        return static_cast<double>(i % blocks * rows + i / blocks);
      })};
  const Value cache = layer.cache("cache", rows * blocks * page, 2 * kv_heads * head_dim);
  const Value q = layer.random("q", layer.dtype, rows, heads * head_dim);
  const ops::AttentionDesc desc{
      .num_heads = static_cast<int32_t>(heads),
      .num_kv_heads = static_cast<int32_t>(kv_heads),
      .head_dim = static_cast<int32_t>(head_dim),
      .page_size = static_cast<int32_t>(page),
      .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)))};
  layer.result("out", ops::attention(layer.b, q, cache, paged, desc));
  const auto elements =
      static_cast<double>(rows * context * 2 * kv_heads * head_dim + 2 * rows * heads * head_dim);
  return {.flop = 4.0 * static_cast<double>(rows * context * heads * head_dim),
          .bytes = bytes_of_values(layer, elements)};
}

kernels::Score score_of(const KernelLayer& layer) {
  if (layer.is("score", "sigmoid")) return kernels::Score::sigmoid;
  return layer.is("score", "softmax_of_topk") ? kernels::Score::softmax_of_topk
                                              : kernels::Score::softmax;
}

Work build_route(KernelLayer& layer) {
  const int64_t rows = layer.size("rows"), experts = layer.size("experts");
  const int64_t top_k = std::min(layer.size("top_k"), experts);
  const Value logits = layer.random("logits", Format::f32, rows, experts);
  const Value slots =
      layer.filled("slots", Format::i32, rows, 1, [](int64_t i) { return static_cast<double>(i); });
  const ops::Routing routing = ops::route(layer.b, logits, slots,
                                          {.num_experts = static_cast<int32_t>(experts),
                                           .top_k = static_cast<int32_t>(top_k),
                                           .score = score_of(layer),
                                           .normalize = 1});
  layer.result("ids", routing.ids);
  layer.result("weights", routing.weights);
  return {.bytes = 4.0 * static_cast<double>(rows * (experts + 2 * top_k))};
}

Work build_norm(KernelLayer& layer) {
  const int64_t rows = layer.size("rows"), cols = layer.size("cols");
  const Value x = layer.random("x", layer.dtype, rows, cols);
  layer.result("y", ops::rms_norm(layer.b, x, layer.weight("weight", 1, cols), 1e-6f, "y"));
  return {.bytes = bytes_of_values(layer, static_cast<double>((2 * rows + 1) * cols))};
}

Work build_sample(KernelLayer& layer) {
  const int64_t rows = layer.size("rows"), vocab = layer.size("vocab");
  const auto column = [&](std::string_view name, Format format, double value) {
    return layer.filled(name, format, rows, 1, [value](int64_t) { return value; });
  };
  const bool greedy = layer.is("how", "greedy");
  const ops::SamplingRows how{
      .temperature = column("temperature", Format::f32, greedy ? 0 : 0.8),
      .top_p = column("top_p", Format::f32, layer.is("how", "top_p") ? 0.9 : 1),
      .top_k = column("top_k", Format::i32, layer.is("how", "top_k") ? 50 : 0),
      .seed = layer.filled("seed", Format::u64, rows, 1,
                           [](int64_t i) { return static_cast<double>(i + 1); }),
      .position = column("position", Format::i32, 17)};
  const Value logits = layer.random("logits", Format::f32, rows, vocab);
  ops::sample(layer.b, logits, how, layer.kept("ids", Format::i32, rows, 1));
  return {.bytes = 4.0 * static_cast<double>(rows * vocab)};
}

}  // namespace

std::span<const KernelCase> kernel_cases() {
  using Words = std::vector<std::string_view>;
  static const Words kEpilogues = {"none", "swiglu"};
  static const Words kSwitch = {"off", "on"};
  static const std::vector<KernelCase> kCases = {
      {.name = "gemm",
       .help = "a dense product, y = x · Wᵀ, and what may be done with it in one kernel",
       .sizes = {{"rows", "8", {}}, {"n", "5120", {}}, {"k", "2048", {}}},
       .configuration = {{"epilogue", "none", kEpilogues},
                         {"bias", "off", kSwitch},
                         {"norm", "off", kSwitch},
                         {"residual", "off", kSwitch},
                         {"out", "dtype", {"dtype", "f32"}}},
       .forms = {{"gemm", build_gemm},
                 {"gemm as for 64 rows", build_gemm_for_some_rows, has_few_rows},
                 {"apart", build_gemm_apart, has_more_steps}}},
      {.name = "grouped_gemm",
       .help = "the experts' product: each expert's rows by its own W",
       .sizes = {{"rows", "8", {}},
                 {"experts", "128", {}},
                 {"top_k", "8", {}},
                 {"n", "1536", {}},
                 {"k", "2048", {}}},
       .configuration = {{"epilogue", "none", kEpilogues},
                         {"routing", "balanced", {"balanced", "random", "half"}}},
       .forms = {{"grouped_gemm", build_grouped_gemm}, {"tiled", build_tiled_gemm}}},
      {.name = "attention",
       .help = "attention of one row of each sequence over its paged cache",
       .sizes = {{"rows", "8", {}},
                 {"context", "1024", {}},
                 {"heads", "32", {}},
                 {"kv_heads", "4", {}},
                 {"head_dim", "128", {}},
                 {"page", "16", {}}},
       .configuration = {},
       .forms = {{"attention", build_attention}}},
      {.name = "route",
       .help = "which experts rows choose, and their weights, from the router's logits",
       .sizes = {{"rows", "8", {}}, {"experts", "128", {}}, {"top_k", "8", {}}},
       .configuration = {{"score", "softmax", {"softmax", "sigmoid", "softmax_of_topk"}}},
       .forms = {{"route", build_route}}},
      {.name = "norm",
       .help = "RMSNorm of whole rows",
       .sizes = {{"rows", "8", {}}, {"cols", "2048", {}}},
       .configuration = {},
       .forms = {{"norm", build_norm}}},
      {.name = "sample",
       .help = "the next token of each row from its logits",
       .sizes = {{"rows", "8", {}}, {"vocab", "151936", {}}},
       .configuration = {{"how", "greedy", {"greedy", "uncut", "top_k", "top_p"}}},
       .forms = {{"sample", build_sample}}},
  };
  return kCases;
}

}  // namespace braid::lab
