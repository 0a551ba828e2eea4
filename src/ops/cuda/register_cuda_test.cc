#include "ops/cuda/register_cuda.h"

#include <fmt/format.h>

#include "device/cpu/cpu_device.h"
#include "device/cuda/cuda_device.h"
#include "ops/attention.h"
#include "ops/cuda/kernel_stream.h"
#include "ops/cuda/register_test_util.h"
#include "ops/exchange.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/quantize.h"
#include "ops/register_cpu.h"
#include "ops/rotary.h"
#include "ops/route_experts.h"
#include "ops/rows.h"
#include "ops/sample.h"

namespace braid::ops {
namespace {

using flow::Type;
using testing::NamedType;
using testing::relative_error;

constexpr int64_t kRows = 12, kHidden = 96, kHeads = 4, kKvHeads = 2, kHeadDim = 64;
constexpr int64_t kSequences = 4, kBlocks = 3, kPageSize = 4, kExperts = 10, kTopK = 3;
constexpr int64_t kVocab = 500, kSampled = 3;
constexpr int64_t kQ = kHeads * kHeadDim, kKv = kKvHeads * kHeadDim;

// One op of every kind, each operand another size or content: whatever gets mixed up on the way to
// a kernel changes a result.
class AllKinds : public testing::DeviceProgram {
 public:
  AllKinds() {
    Builder b(residents_);
    rows(b);
    attention(b);
    experts(b);
    exchange(b);
    quantization(b);
    sampling(b);
    program_ = std::move(b).finish();
    EXPECT_TRUE(program_.ok()) << program_.error().to_string();
  }

 private:
  Value noise(Builder& b, std::string name, Format format, int64_t num_rows, int64_t cols) {
    return declare(b, std::move(name), format, num_rows, cols,
                   [this](int64_t) { return static_cast<double>(random_()) * 0x1p-30 - 1.0; });
  }
  // Copies a step's value to where run() returns it.
  void keep(Builder& b, std::string name, Value value) {
    copy(b, value,
         declare(b, std::move(name), b.format(value), b.num_rows(value), b.num_cols(value),
                 [](int64_t) { return -7; }));
  }

  void rows(Builder& b) {
    const Value table = noise(b, "table", Format::bf16, 20, kHidden);
    const Value ids = declare(b, "ids", Format::i32, kRows, 1, [](int64_t i) {
      return i == 4 ? -1 : static_cast<double>(i * 7 % 20);
    });
    x_ = gather_rows(b, table, ids, "x");
    keep(b, "kept part", look_up(b, table, ids, {.first = 5, .count = 9}, "part"));
    const Value joined = b.step("joined", Format::bf16, 10, 2 * kHidden - 3);
    b.emit(kernels::JoinColumnsDesc{.parts = 2},
           {{JoinColumnsOperand::in, table}, {JoinColumnsOperand::out, joined}});
    keep(b, "kept joined", joined);
    const Value weight = noise(b, "norm weight", Format::bf16, 1, kHidden);
    sum_ = add(b, x_, rms_norm(b, x_, weight, 1e-3f, "normed"), "sum");
    keep(b, "kept sum", sum_);
    const Value both = b.step("both", Format::bf16, kRows, kHidden);
    const Value normed = b.step("normed", Format::bf16, kRows, kHidden);
    b.emit(kernels::AddRmsNormDesc{.eps = 1e-3f}, {{AddRmsNormOperand::a, x_},
                                                   {AddRmsNormOperand::b, sum_},
                                                   {AddRmsNormOperand::weight, weight},
                                                   {AddRmsNormOperand::sum, both},
                                                   {AddRmsNormOperand::y, normed}});
    keep(b, "kept both", both);
    keep(b, "kept normed", normed);
  }

  // Four sequences; rows 3 and 11 are padding.
  void attention(Builder& b) {
    constexpr int kOfRow[] = {2, 0, 3, -1, 1, 1, 1, 1, 1, 1, 1, -1};
    constexpr int kPosition[] = {8, 0, 5, 0, 2, 3, 4, 5, 6, 7, 8, 0};
    const auto page = [](int64_t s, int64_t block) { return (s * kBlocks + block) * 5 % 12; };
    PagedRows paged;
    paged.sequences =
        declare(b, "sequences", Format::i32, kRows, 1, [&](int64_t i) { return kOfRow[i]; });
    paged.positions =
        declare(b, "positions", Format::i32, kRows, 1, [&](int64_t i) { return kPosition[i]; });
    paged.kv_slots = declare(b, "kv slots", Format::i32, kRows, 1, [&](int64_t i) -> double {
      if (kOfRow[i] < 0) return -1;
      return static_cast<double>(page(kOfRow[i], kPosition[i] / kPageSize) * kPageSize +
                                 kPosition[i] % kPageSize);
    });
    kv_slots_ = paged.kv_slots;
    paged.block_table = declare(b, "block table", Format::i32, kSequences, kBlocks, [&](int64_t i) {
      return static_cast<double>(page(i / kBlocks, i % kBlocks));
    });
    const Value inverse =
        declare(b, "inverse frequencies", Format::f32, 1, kHeadDim / 4,
                [](int64_t i) { return std::pow(100.0, -static_cast<double>(i) / 8); });
    const Value head_weight = noise(b, "head weight", Format::bf16, 1, kHeadDim);
    const Value qkv = noise(b, "qkv", Format::bf16, kRows, kQ + 2 * kKv);
    const Value cache = noise(b, "cache", Format::bf16, 12 * kPageSize, 2 * kKv);
    const Value table = rotary_table(b, paged.positions, inverse, 1.25f);
    rms_norm_heads(b, b.columns(qkv, 0, kQ), head_weight, 1e-4f, kHeadDim);
    rotary(b, b.columns(qkv, 0, kQ + kKv), table,
           {.head_dim = kHeadDim, .offset = 16, .dims = kHeadDim / 2});
    kv_write(b, b.columns(qkv, kQ, 2 * kKv), paged, cache);
    const AttentionDesc desc{.num_heads = kHeads,
                             .num_kv_heads = kKvHeads,
                             .head_dim = kHeadDim,
                             .page_size = kPageSize,
                             .scale = 0.2f};
    const Value plan = attention_plan(b, paged, {.group = kHeads / kKvHeads});
    keep(b, "attended", ops::attention(b, b.columns(qkv, 0, kQ), cache, paged, plan, desc));
    latents(b, paged);
    decode(b, paged, desc, head_weight, inverse);
  }

  // The first rows, which are of one sequence each.
  void decode(Builder& b, const PagedRows& paged, const AttentionDesc& desc, Value head_weight,
              Value inverse) {
    const auto first = [&](Value value) { return b.rows(value, 0, kSequences); };
    const PagedRows rows{.sequences = first(paged.sequences),
                         .positions = first(paged.positions),
                         .kv_slots = first(paged.kv_slots),
                         .block_table = paged.block_table};
    const Value qkv = noise(b, "decode qkv", Format::bf16, kSequences, kQ + 2 * kKv);
    const Value cache = noise(b, "decode cache", Format::bf16, 12 * kPageSize, 2 * kKv);
    const Value k_weight = noise(b, "k head weight", Format::bf16, 1, kHeadDim);
    const Value plan = decode_plan(b, rows, {.num_kv_heads = kKvHeads});
    const Value out = decode_attention(
        b, qkv, {head_weight, k_weight}, rotary_table(b, rows.positions, inverse, 1.25f), cache,
        rows, plan,
        {.attention = desc, .rotary = {.head_dim = kHeadDim, .dims = kHeadDim / 2}, .eps = 1e-4f});
    keep(b, "decoded", out);
  }

  void latents(Builder& b, const PagedRows& paged) {
    const MlaDesc desc{.num_heads = 2,
                       .kv_lora_rank = 32,
                       .nope_dim = 24,
                       .rope_dim = 16,
                       .v_head_dim = 20,
                       .page_size = kPageSize,
                       .scale = 0.3f};
    const Value q = noise(b, "latent q", Format::bf16, kRows, 2 * (24 + 16));
    const Value cache = noise(b, "latent cache", Format::bf16, 12 * kPageSize, 32 + 16);
    const Value kv_b = noise(b, "kv_b", Format::bf16, 2 * (24 + 20), 32);
    keep(b, "attended latents", mla_attention(b, q, cache, kv_b, paged, desc));
  }

  void experts(Builder& b) {
    const Value logits = noise(b, "logits", Format::f32, kRows, kExperts);
    const RouteInputs inputs{
        .bias = noise(b, "bias", Format::f32, 1, kExperts),
        .forced = declare(b, "forced", Format::i32, kRows, kTopK,
                          [](int64_t i) { return i / kTopK == 5 ? i % kTopK + 2 : -1; }),
        .popularity = {},
        .into = {}};
    const RouteDesc desc{.num_experts = kExperts,
                         .top_k = kTopK,
                         .score = kernels::Score::sigmoid,
                         .normalize = 1,
                         .scaling_factor = 1.5f};
    const Routing routing = route(b, logits, kv_slots_, desc, inputs);
    keep(b, "expert ids", routing.ids);
    keep(b, "expert weights", routing.weights);
    const Permuted permuted = permute(b, dispatch(b, sum_, routing), {.count = kExperts});
    keep(b, "offsets", permuted.grouped.offsets);
    keep(b, "places", permuted.places);
    Grouped grouped = permuted.grouped;
    grouped.rows = b.placed(noise(b, "grouped", Format::bf16, kRows * kTopK, kHidden),
                            b.placement(permuted.grouped.rows));
    keep(b, "combined", combine(b, grouped, permuted));
    for (const int64_t hidden : {128, 96}) routed_experts(b, desc, inputs, hidden);
  }

  // 128 columns are taken by the one kernel, 96 by a kernel for each part.
  void routed_experts(Builder& b, const RouteDesc& route, const RouteInputs& inputs,
                      int64_t hidden) {
    using Operand = RouteExpertsOperand;
    const std::string name = fmt::format("{} columns ", hidden);
    const auto input = [&](const char* what, int64_t num_rows) {
      return noise(b, name + what, Format::bf16, num_rows, hidden);
    };
    const auto output = [&](Format format, int64_t num_rows, int64_t cols) {
      return b.step("routed", format, num_rows, cols);
    };
    const Value sum = output(Format::bf16, kRows, hidden);
    const Value normed = output(Format::bf16, kRows, hidden);
    const Value logits = output(Format::f32, kRows, kExperts);
    const Value ids = output(Format::i32, kRows, kTopK);
    const Value weights = output(Format::f32, kRows, kTopK);
    const Value offsets = output(Format::i32, kExperts + 1, 1);
    const Value source = output(Format::i32, kRows * kTopK, 1);
    const Value places = output(Format::i32, kRows, kTopK);
    b.emit(kernels::RouteExpertsDesc{.norm = {.eps = 1e-3f},
                                     .router = {.tuned_rows = kRows},
                                     .route = route,
                                     .permute = {.num_slots = kExperts}},
           {{Operand::x, input("x", kRows)},
            {Operand::addend, input("addend", kRows)},
            {Operand::norm_weight, input("norm weight", 1)},
            {Operand::router, input("router", kExperts)},
            {Operand::bias, inputs.bias},
            {Operand::kv_slots, kv_slots_},
            {Operand::forced, inputs.forced},
            {Operand::sum, sum},
            {Operand::normed, normed},
            {Operand::logits, logits},
            {Operand::ids, ids},
            {Operand::weights, weights},
            {Operand::offsets, offsets},
            {Operand::source, source},
            {Operand::places, places}});
    for (const Value value : {sum, normed, logits, ids, weights, offsets, places}) {
      keep(b, name + "kept", value);
    }
  }

  // Rows for three ranks, and their sums of what comes back.
  void exchange(Builder& b) {
    const int64_t sends = kernels::most_sends(kRows, kTopK, 3);
    const Value ids = declare(b, "sent ids", Format::i32, kRows, kTopK, [](int64_t i) {
      return i % 5 == 2 ? -1 : static_cast<double>(i * i % 12);
    });
    const Value counts = b.step("send counts", Format::i32, 3, 1);
    const Value source = b.step("send source", Format::i32, sends, 1);
    const Value places = b.step("send places", Format::i32, kRows, 3);
    b.emit(kernels::RankOrderDesc{.ranks = 3, .experts_per_rank = 4},
           {{RankOrderOperand::ids, ids},
            {RankOrderOperand::counts, counts},
            {RankOrderOperand::source, source},
            {RankOrderOperand::places, places}});
    keep(b, "kept send counts", counts);
    keep(b, "kept send source", source);
    keep(b, "kept send places", places);
    const Value merged = b.step("merged", Format::bf16, kRows, kHidden);
    b.emit(kernels::MergeRanksDesc{},
           {{MergeRanksOperand::back, noise(b, "returned", Format::bf16, sends, kHidden)},
            {MergeRanksOperand::places, places},
            {MergeRanksOperand::out, merged}});
    keep(b, "kept merged", merged);
  }

  void quantization(Builder& b) {
    const Value x = noise(b, "unquantized", Format::bf16, kRows, kHidden);
    const Value ids = declare(b, "some ids", Format::i32, kRows, kTopK,
                              [](int64_t i) { return i / kTopK == 3 ? -1 : 2; });
    for (const Payload payload : {Payload::fp8, Payload::nvfp4}) {
      const std::string name = payload == Payload::fp8 ? "fp8" : "nvfp4";
      const QuantizedRows rows = quantize_rows(b, x, payload);
      keep(b, name + " payload", rows.payload);
      keep(b, name + " scales", rows.scales);
      const Value back = b.step("back", Format::bf16, kRows, kHidden);
      dequantize_rows(b, rows.payload, rows.scales, payload, back);
      keep(b, name + " back", back);
      sum_errors(b, rows.errors, ids,
                 declare(b, name + " errors", Format::f64, 1, 2, [](int64_t) { return 1; }));
    }
  }

  // Three rows, of which two are real.
  void sampling(Builder& b) {
    const Value count = declare(b, "logit count", Format::i32, 1, 1, [](int64_t) { return 2; });
    const Value index = declare(b, "logit rows", Format::i32, kSampled, 1,
                                [](int64_t i) { return static_cast<double>(3 - i); });
    const Value table = noise(b, "vocabulary", Format::f32, 4, kVocab);
    const auto column = [&](std::string name, Format format, double first, double step) {
      return declare(b, std::move(name), format, kSampled, 1,
                     [=](int64_t i) { return first + step * static_cast<double>(i); });
    };
    const SamplingRows how{.temperature = column("temperature", Format::f32, 0.5, 0.5),
                           .top_p = column("top_p", Format::f32, 0.9, 0.05),
                           .top_k = column("top_k", Format::i32, 40, 60),
                           .seed = column("seed", Format::u64, 11, 3),
                           .position = column("position", Format::i32, 5, 1),
                           .log_min_p = column("log_min_p", Format::f32, -9, 2)};
    const Value ids = declare(b, "sampled", Format::i32, kSampled, 1, [](int64_t) { return -7; });
    const Value logits = gather_rows(b, table, index, "vocabulary logits", count);
    const Value adjusted = adjusted_logits(b, logits, how.position);
    sample(b, adjusted, how, ids);
    constexpr int64_t kMost = kernels::kMaxTopLogprobs;
    top_logprobs(
        b, logits, ids, column("wanted", Format::i32, -1, 4),
        declare(b, "logprobs", Format::f32, kSampled, 1 + kMost, [](int64_t) { return -5; }),
        declare(b, "likeliest", Format::i32, kSampled, kMost, [](int64_t) { return -5; }));
    read_back(b, ids,
              declare(b, "read back", Format::i32, kSampled, 1, [](int64_t) { return -9; }));
  }

  // The logits of kSampled rows, whose tokens lie in pages of 4.
  Value adjusted_logits(Builder& b, Value logits, Value position) {
    const auto column = [&](std::string name, int64_t cols, Format format, double first,
                            double step) {
      return declare(b, std::move(name), format, kSampled, cols,
                     [=](int64_t i) { return first + step * static_cast<double>(i); });
    };
    const Value history = declare(b, "history", Format::i32, 8 * 4, 1,
                                  [](int64_t i) { return static_cast<double>(i % 11 * 40); });
    const Value given = column("given", 1, Format::i32, 440, 1);
    const Value out = input_ids(b, given, column("source", 1, Format::i32, -1, 1),
                                column("sampled before", 1, Format::i32, 70, 5),
                                column("history slots", 1, Format::i32, -1, 7), history);
    keep(b, "input ids", out);
    const AdjustedRows how{
        .sequence = column("logit sequences", 1, Format::i32, 0, 1),
        .prompt_size = column("prompt sizes", 1, Format::i32, 2, 1),
        .penalties = column("penalties", kernels::Penalties::num_columns, Format::f32, 1.5, 0.25),
        .bias_ids = column("bias ids", 2, Format::i32, 40, 7),
        .biases = column("biases", 2, Format::f32, -1, 0.5)};
    const Value table = declare(b, "history pages", Format::i32, kSampled, 2,
                                [](int64_t i) { return static_cast<double>(i * 3 % 8); });
    const Value adjusted =
        adjust_logits(b, logits, history, table, position, how, {.page_size = 4});
    keep(b, "adjusted logits", adjusted);
    return adjusted;
  }

  Value x_, sum_, kv_slots_;
};

TEST(RegisterCudaTest, EveryKindEqualsTheCpu) {
  flow::LauncherTable cpu_table, cuda_table;
  register_cpu(cpu_table);
  register_cuda(cuda_table);
  AllKinds program;
  device::CpuDevice cpu;
  const auto want = program.run(cpu, cpu_table, nullptr);
  if (device::CudaDevice::count() == 0) GTEST_SKIP() << "no GPU";
  const auto gpu = *device::CudaDevice::open(0);
  const auto queue = *device::CudaQueue::create(false);
  const auto got = program.run(*gpu, cuda_table, queue.get());
  for (int32_t i = 0; i < program.residents().size(); ++i) {
    const flow::Resident& resident = program.residents()[i];
    const auto at = static_cast<size_t>(i);
    SCOPED_TRACE(resident.name);
    if (resident.format == Format::bf16) {
      EXPECT_LE(relative_error<bf16>(got[at], want[at]), 1e-2);
    } else if (resident.format == Format::f64) {
      const auto* sums = reinterpret_cast<const double*>(want[at].data());
      for (size_t c = 0; c < 2; ++c) {
        EXPECT_NEAR(reinterpret_cast<const double*>(got[at].data())[c], sums[c], 1e-12 * sums[c]);
      }
    } else if (resident.format == Format::f32) {
      EXPECT_LE(relative_error<float>(got[at], want[at]), 1e-6);
    } else {
      EXPECT_EQ(got[at], want[at]);
    }
  }
}

TEST(RegisterCudaTest, EveryKernelAwaitsALateProducer) {
  if (device::CudaDevice::count() == 0) GTEST_SKIP() << "no GPU";
  flow::LauncherTable table;
  register_cuda(table);
  const auto gpu = *device::CudaDevice::open(0);
  const auto queue = *device::CudaQueue::create(false);
  AllKinds program;
  const auto found = program.run_behind_late_producers(*gpu, table, *queue);
  EXPECT_GE(found.ops, 20);
  EXPECT_EQ(found.wrong, std::vector<std::string>());

  // What that would miss if late producers were not late.
  using Add = kernels::AddDesc;
  table.add<Add>(flow::QueuedLauncher<Add, device::CudaQueue>{
      .overlap = flow::awaits<Add>,
      .launch = [](const Add&, flow::Args args, flow::Workspace, device::CudaQueue& on) {
        const flow::Arg& out = args[AddOperand::out];
        testing::launch_impatient_copy({out.data, args[AddOperand::a].data, out.rows * out.stride},
                                       kernel_stream(on));
      }});
  const auto planted = program.run_behind_late_producers(*gpu, table, *queue);
  ASSERT_FALSE(planted.wrong.empty());
  EXPECT_NE(planted.wrong.front().find("add → sum"), std::string::npos) << planted.wrong.front();
}

// The table's refusal of an op on operands of these types; "" where it takes them.
template <typename Desc>
std::string refusal(const Desc& desc, const std::vector<NamedType>& types) {
  flow::LauncherTable table;
  register_cuda(table);
  const Status status = testing::find_launcher(table, desc, types);
  return status.ok() ? "" : status.to_string();
}

Type type(Format format, int64_t rows, int64_t cols) { return {format, rows, cols}; }

void expect_refused(const std::string& refusal, std::string_view why) {
  EXPECT_NE(refusal.find(why), std::string::npos) << refusal;
}

TEST(RegisterCudaTest, AttentionIsRefusedWithTheValuesThatItCannotDo) {
  const auto of = [](int32_t head_dim, Format format) {
    const AttentionDesc desc{
        .num_heads = 4, .num_kv_heads = 2, .head_dim = head_dim, .page_size = 16};
    const int64_t cols = 4 * int64_t{head_dim};
    return refusal(desc, {{AttentionOperand::q, type(format, 3, cols)},
                          {AttentionOperand::sequences, type(Format::i32, 3, 1)},
                          {AttentionOperand::positions, type(Format::i32, 3, 1)},
                          {AttentionOperand::block_table, type(Format::i32, 2, 5)},
                          {AttentionOperand::plan, type(Format::i32, 90, 1)},
                          {AttentionOperand::cache, type(format, 64, cols)},
                          {AttentionOperand::out, type(format, 3, cols)}});
  };
  EXPECT_EQ(of(64, Format::bf16), "");
  EXPECT_EQ(of(128, Format::bf16), "");
  expect_refused(of(96, Format::bf16), "head_dim = 96");
  expect_refused(of(128, Format::f32), "format = f32");
  const auto latent = [](int32_t rank) {
    const MlaDesc desc{
        .num_heads = 2, .kv_lora_rank = rank, .nope_dim = 128, .rope_dim = 64, .v_head_dim = 128};
    const Type any = type(Format::bf16, 3, 8), index = type(Format::i32, 3, 1);
    return refusal(desc, {{MlaOperand::q, any},
                          {MlaOperand::sequences, index},
                          {MlaOperand::positions, index},
                          {MlaOperand::block_table, index},
                          {MlaOperand::cache, any},
                          {MlaOperand::kv_b, any},
                          {MlaOperand::out, any}});
  };
  EXPECT_EQ(latent(512), "");
  expect_refused(latent(1024), "kv_lora_rank = 1024");
}

TEST(RegisterCudaTest, SizesAndFormatsThatNoKernelTakesAreRefused) {
  const auto routed = [](int32_t experts, int32_t top_k) {
    return refusal(RouteDesc{.num_experts = experts, .top_k = top_k},
                   {{RouteOperand::logits, type(Format::f32, 3, experts)},
                    {RouteOperand::kv_slots, type(Format::i32, 3, 1)},
                    {RouteOperand::ids, type(Format::i32, 3, top_k)},
                    {RouteOperand::weights, type(Format::f32, 3, top_k)}});
  };
  EXPECT_EQ(routed(1024, 32), "");
  expect_refused(routed(1025, 8), "value = 1025");
  expect_refused(routed(128, 33), "of = top_k");
  const auto permuted = [](int32_t slots) {
    return refusal(kernels::PermuteDesc{.num_slots = slots},
                   {{PermuteOperand::ids, type(Format::i32, 3, 2)},
                    {PermuteOperand::offsets, type(Format::i32, slots + 1, 1)},
                    {PermuteOperand::source, type(Format::i32, 6, 1)},
                    {PermuteOperand::places, type(Format::i32, 3, 2)}});
  };
  EXPECT_EQ(permuted(1024), "");
  expect_refused(permuted(1025), "at most = 1024");
  const auto ordered = [](int32_t ranks) {
    return refusal(kernels::RankOrderDesc{.ranks = ranks},
                   {{RankOrderOperand::ids, type(Format::i32, 3, 2)},
                    {RankOrderOperand::counts, type(Format::i32, ranks, 1)},
                    {RankOrderOperand::source, type(Format::i32, 6, 1)},
                    {RankOrderOperand::places, type(Format::i32, 3, ranks)}});
  };
  EXPECT_EQ(ordered(32), "");
  expect_refused(ordered(33), "of = ranks");
  const Type f32 = type(Format::f32, 3, 8), bf16_ = type(Format::bf16, 3, 8);
  const auto added = [](const Type& a, const Type& other, const Type& out) {
    return refusal(kernels::AddDesc{},
                   {{AddOperand::a, a}, {AddOperand::b, other}, {AddOperand::out, out}});
  };
  EXPECT_EQ(added(bf16_, bf16_, bf16_), "");
  expect_refused(added(bf16_, f32, bf16_), "one format");
  expect_refused(refusal(kernels::RmsNormDesc{}, {{RmsNormOperand::x, f32},
                                                  {RmsNormOperand::weight, f32},
                                                  {RmsNormOperand::y, bf16_}}),
                 "one format");
  expect_refused(
      refusal(kernels::RotaryDesc{.head_dim = 8, .dims = 8},
              {{RotaryOperand::table, f32}, {RotaryOperand::x, type(Format::f16, 3, 8)}}),
      "format = f16");
  const auto sampled = [](int64_t vocab) {
    const Type column = type(Format::f32, 3, 1), ids = type(Format::i32, 3, 1);
    return refusal(kernels::SampleDesc{}, {{SampleOperand::logits, type(Format::f32, 3, vocab)},
                                           {SampleOperand::temperature, column},
                                           {SampleOperand::top_p, column},
                                           {SampleOperand::top_k, ids},
                                           {SampleOperand::seed, type(Format::u64, 3, 1)},
                                           {SampleOperand::position, ids},
                                           {SampleOperand::log_min_p, column},
                                           {SampleOperand::ids, ids}});
  };
  EXPECT_EQ(sampled(262144), "");
  expect_refused(sampled(262145), "value = 262145");
}

}  // namespace
}  // namespace braid::ops
