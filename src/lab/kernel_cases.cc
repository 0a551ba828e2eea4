// The kernels that `bench kernel` knows.
#include <algorithm>
#include <limits>

#include "lab/kernel_builders.h"
#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/rows.h"
#include "ops/sample.h"
#include "passes/fuse_norm.h"
#include "passes/fuse_route.h"

namespace braid::lab {
namespace {

using flow::Work;
using ops::Value;

constexpr float kEpsilon = 1e-6f;

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

// h + addend, its norm, the router's logits, and who goes where. Which experts come out depends on
// the last bit of logits that are close to one another: they are not compared.
Work build_way_to_experts(KernelLayer& layer) {
  const int64_t rows = layer.size("rows"), experts = layer.size("experts");
  const int64_t top_k = std::min(layer.size("top_k"), experts), hidden = layer.size("hidden");
  const Value x = layer.random("x", layer.dtype, rows, hidden);
  const Value addend = layer.random("addend", layer.dtype, rows, hidden);
  const Value slots =
      layer.filled("slots", Format::i32, rows, 1, [](int64_t i) { return static_cast<double>(i); });
  const Value sum = ops::add(layer.b, x, addend, "sum");
  const Value normed =
      ops::rms_norm(layer.b, sum, layer.weight("norm", 1, hidden), kEpsilon, "normed");
  const Value logits =
      ops::gemm(layer.b, normed, {.weight = layer.weight("router", experts, hidden), .bias = {}},
                Format::f32, "logits");
  const ops::Routing routing = ops::route(layer.b, logits, slots,
                                          {.num_experts = static_cast<int32_t>(experts),
                                           .top_k = static_cast<int32_t>(top_k),
                                           .score = score_of(layer),
                                           .normalize = 1});
  ops::permute(layer.b, {normed, routing, {}}, {.count = static_cast<int32_t>(experts)});
  layer.result("normed", normed);
  layer.result("logits", logits);
  return {.flop = 2.0 * static_cast<double>(rows * experts * hidden),
          .bytes = bytes_of_values(layer, static_cast<double>((experts + 4 * rows) * hidden))};
}

Result<flow::Program> fuse_way(flow::Program program, const passes::PassContext& context) {
  program =
      TRY(passes::fuse_norm(std::move(program), {.mode = passes::Switch::automatic}, context));
  return passes::fuse_route(std::move(program), {.mode = passes::Switch::on}, context);
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
      .position = column("position", Format::i32, 17),
      .log_min_p = column("log_min_p", Format::f32, -std::numeric_limits<double>::infinity())};
  const Value logits = layer.random("logits", Format::f32, rows, vocab);
  ops::sample(layer.b, logits, how, layer.kept("ids", Format::i32, rows, 1));
  return {.bytes = 4.0 * static_cast<double>(rows * vocab)};
}

using Words = std::vector<std::string_view>;
const Words kEpilogues = {"none", "swiglu"};
const Words kRoutings = {"balanced", "random", "half"};
const Words kScores = {"softmax", "sigmoid", "softmax_of_topk"};
const Words kSwitch = {"off", "on"};

std::vector<KernelCase> product_cases() {
  return {
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
       .configuration = {{"epilogue", "none", kEpilogues}, {"routing", "balanced", kRoutings}},
       .forms = {{"grouped_gemm", build_grouped_gemm}, {"tiled", build_tiled_gemm}}},
      {.name = "experts",
       .help = "a layer's experts behind the router: both products, their sum, the residual",
       .sizes = {{"rows", "8", {}},
                 {"experts", "128", {}},
                 {"top_k", "8", {}},
                 {"width", "768", {}},
                 {"hidden", "2048", {}}},
       .configuration = {{"routing", "balanced", kRoutings}},
       .forms = {{"experts", build_experts}, {"apart", build_experts_apart}}},
  };
}

std::vector<KernelCase> attention_cases() {
  return {
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
      {.name = "decode_attention",
       .help = "a decode layer's attention from its input to the heads' results: the product of q, "
               "k and v, and all behind it",
       .sizes = {{"rows", "8", {}},
                 {"context", "1024", {}},
                 {"heads", "32", {}},
                 {"kv_heads", "4", {}},
                 {"head_dim", "128", {}},
                 {"page", "16", {}},
                 {"hidden", "2048", {}}},
       .configuration = {},
       .forms = {{.name = "decode_attention",
                  .build = build_decode_attention,
                  .rewrite = fuse_attention},
                 {"apart", build_decode_attention}}},
  };
}

std::vector<KernelCase> row_cases() {
  return {
      {.name = "route",
       .help = "which experts rows choose, and their weights, from the router's logits",
       .sizes = {{"rows", "8", {}}, {"experts", "128", {}}, {"top_k", "8", {}}},
       .configuration = {{"score", "softmax", kScores}},
       .forms = {{"route", build_route}}},
      {.name = "route_experts",
       .help =
           "from the residual stream to the lists of the experts' rows: sum, norm, router, route",
       .sizes =
           {{"rows", "8", {}}, {"experts", "128", {}}, {"top_k", "8", {}}, {"hidden", "2048", {}}},
       .configuration = {{"score", "softmax", kScores}},
       .forms = {{.name = "route_experts", .build = build_way_to_experts, .rewrite = fuse_way},
                 {"apart", build_way_to_experts}}},
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
}

}  // namespace

std::span<const KernelCase> kernel_cases() {
  static const std::vector<KernelCase> kCases = [] {
    std::vector<KernelCase> all = product_cases();
    for (const auto& more : {attention_cases(), row_cases()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }();
  return kCases;
}

}  // namespace braid::lab
