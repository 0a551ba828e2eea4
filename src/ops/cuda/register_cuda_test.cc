#include "ops/cuda/register_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "base/float16.h"
#include "device/cpu/cpu_device.h"
#include "device/cuda/cuda_device.h"
#include "device/cuda/cuda_error.h"
#include "device/cuda/cuda_queue.h"
#include "flow/compile.h"
#include "flow/executor.h"
#include "ops/attention.h"
#include "ops/exchange.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/quantize.h"
#include "ops/register_cpu.h"
#include "ops/rotary.h"
#include "ops/rows.h"
#include "ops/sample.h"

namespace braid::ops {
namespace {

using flow::Lifetime;
using flow::Type;

constexpr int64_t kRows = 12, kHidden = 96, kHeads = 4, kKvHeads = 2, kHeadDim = 64;
constexpr int64_t kSequences = 4, kBlocks = 3, kPageSize = 4, kExperts = 10, kTopK = 3;
constexpr int64_t kVocab = 500, kSampled = 3;
constexpr int64_t kQ = kHeads * kHeadDim, kKv = kKvHeads * kHeadDim;

// One op of every kind, each operand another size or content: whatever gets mixed up on the way to
// a kernel changes a result.
class AllKinds {
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

  // Runs on `device` with the kernels of `table`, and returns what stands in every resident.
  std::vector<std::vector<std::byte>> run(device::Device& device, const flow::LauncherTable& table,
                                          device::Queue* queue) {
    const flow::Schedule schedule = *flow::compile(*program_, table.scratch());
    std::vector<device::Memory> memory;
    for (int32_t i = 0; i < residents_.size(); ++i) {
      memory.push_back(*device.allocate(residents_[i].bytes()));
      device.upload(memory.back().data(), contents_[static_cast<size_t>(i)].data(),
                    residents_[i].bytes());
      residents_.set_data(i, 0, memory.back().data());
    }
    const device::Memory arena = *device.allocate(schedule.workspace_bytes);
    const auto bound = flow::bind(schedule, table, residents_, arena.data());
    EXPECT_TRUE(bound.ok()) << bound.error().to_string();
    for (size_t op = 0; op < bound->ops.size(); ++op) flow::launch(*bound, op, 0, queue);
    if (queue != nullptr)
      CUDA_CHECK(cudaStreamSynchronize(static_cast<device::CudaQueue*>(queue)->stream()));
    std::vector<std::vector<std::byte>> out = contents_;
    for (size_t i = 0; i < out.size(); ++i) {
      device.download(out[i].data(), memory[i].data(), static_cast<int64_t>(out[i].size()));
    }
    return out;
  }

  const flow::Residents& residents() const { return residents_; }

 private:
  using Fill = std::function<double(int64_t)>;

  Value declare(Builder& b, std::string name, Format format, int64_t num_rows, int64_t cols,
                const Fill& fill) {
    const int32_t index = residents_.declare({.name = std::move(name),
                                              .format = format,
                                              .rows = num_rows,
                                              .cols = cols,
                                              .lifetime = Lifetime::carried});
    std::vector<std::byte> bytes(static_cast<size_t>(residents_[index].bytes()));
    for (int64_t i = 0; i < num_rows * cols; ++i) {
      const auto at = static_cast<size_t>(i);
      const double value = fill(i);
      switch (format) {
        case Format::f32:
          reinterpret_cast<float*>(bytes.data())[at] = static_cast<float>(value);
          break;
        case Format::bf16:
          reinterpret_cast<bf16*>(bytes.data())[at] = from_float<bf16>(static_cast<float>(value));
          break;
        case Format::f64: reinterpret_cast<double*>(bytes.data())[at] = value; break;
        case Format::u8: bytes[at] = static_cast<std::byte>(value); break;
        case Format::u64:
          reinterpret_cast<uint64_t*>(bytes.data())[at] = static_cast<uint64_t>(value);
          break;
        default: reinterpret_cast<int32_t*>(bytes.data())[at] = static_cast<int32_t>(value);
      }
    }
    contents_.push_back(std::move(bytes));
    return b.resident(index);
  }
  Value noise(Builder& b, std::string name, Format format, int64_t num_rows, int64_t cols) {
    return declare(b, std::move(name), format, num_rows, cols,
                   [this](int64_t) { return static_cast<double>(random_()) * 0x1p-30 - 1.0; });
  }
  // A step's value, kept where run() returns it.
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
    b.emit(kernels::JoinColumnsDesc{.parts = 2}, {table, joined});
    keep(b, "kept joined", joined);
    const Value weight = noise(b, "norm weight", Format::bf16, 1, kHidden);
    sum_ = add(b, x_, rms_norm(b, x_, weight, 1e-3f, "normed"), "sum");
    keep(b, "kept sum", sum_);
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
    keep(b, "attended", ops::attention(b, b.columns(qkv, 0, kQ), cache, paged, desc));
    latents(b, paged);
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
           {ids, counts, source, places});
    keep(b, "kept send counts", counts);
    keep(b, "kept send source", source);
    keep(b, "kept send places", places);
    const Value merged = b.step("merged", Format::bf16, kRows, kHidden);
    b.emit(kernels::MergeRanksDesc{},
           {noise(b, "returned", Format::bf16, sends, kHidden), places, merged});
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
                           .position = column("position", Format::i32, 5, 1)};
    const Value ids = declare(b, "sampled", Format::i32, kSampled, 1, [](int64_t) { return -7; });
    sample(b, gather_rows(b, table, index, "vocabulary logits", count), how, ids);
    read_back(b, ids,
              declare(b, "read back", Format::i32, kSampled, 1, [](int64_t) { return -9; }));
  }

  std::minstd_rand random_{7};
  flow::Residents residents_;
  std::vector<std::vector<std::byte>> contents_;
  Value x_, sum_, kv_slots_;
  Result<flow::Program> program_ = Error(ErrorKind::internal, "not built");
};

// ‖got − want‖ / ‖want‖.
template <typename T>
double relative_error(const std::vector<std::byte>& got, const std::vector<std::byte>& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size() / sizeof(T); ++i) {
    const double a = to_float(reinterpret_cast<const T*>(got.data())[i]);
    const double b = to_float(reinterpret_cast<const T*>(want.data())[i]);
    error += (a - b) * (a - b);
    norm += b * b;
  }
  return std::sqrt(error / norm);
}

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

// The launcher's refusal of an op on operands of these types; "" where it takes them.
template <typename Desc>
std::string refusal(const Desc& desc, const std::vector<Type>& types) {
  flow::LauncherTable table;
  register_cuda(table);
  flow::Residents residents;
  Builder b(residents);
  std::vector<Value> v(8);
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i].cols > 0) v[i] = b.step("v", types[i].format, types[i].rows, types[i].cols);
  }
  switch (types.size()) {
    case 2: b.emit(desc, {v[0], v[1]}); break;
    case 3: b.emit(desc, {v[0], v[1], v[2]}); break;
    case 4: b.emit(desc, {v[0], v[1], v[2], v[3]}); break;
    case 5: b.emit(desc, {v[0], v[1], v[2], v[3], v[4]}); break;
    case 6: b.emit(desc, {v[0], v[1], v[2], v[3], v[4], v[5]}); break;
    case 7: b.emit(desc, {v[0], v[1], v[2], v[3], v[4], v[5], v[6]}); break;
    default: b.emit(desc, {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]});
  }
  const auto program = std::move(b).finish();
  if (!program.ok()) return program.error().to_string();
  const auto found = table.find(*program, program->ops[0]);
  return found.ok() ? "" : found.error().to_string();
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
    return refusal(desc, {type(format, 3, cols), type(Format::i32, 3, 1), type(Format::i32, 3, 1),
                          type(Format::i32, 2, 5), type(format, 64, cols), type(format, 3, cols)});
  };
  EXPECT_EQ(of(64, Format::bf16), "");
  EXPECT_EQ(of(128, Format::bf16), "");
  expect_refused(of(96, Format::bf16), "head_dim = 96");
  expect_refused(of(128, Format::f32), "format = f32");
  const auto latent = [](int32_t rank) {
    const MlaDesc desc{
        .num_heads = 2, .kv_lora_rank = rank, .nope_dim = 128, .rope_dim = 64, .v_head_dim = 128};
    const Type any = type(Format::bf16, 3, 8), index = type(Format::i32, 3, 1);
    return refusal(desc, {any, index, index, index, any, any, any});
  };
  EXPECT_EQ(latent(512), "");
  expect_refused(latent(1024), "kv_lora_rank = 1024");
}

TEST(RegisterCudaTest, SizesAndFormatsThatNoKernelTakesAreRefused) {
  const auto routed = [](int32_t experts, int32_t top_k) {
    return refusal(RouteDesc{.num_experts = experts, .top_k = top_k},
                   {type(Format::f32, 3, experts),
                    {},
                    type(Format::i32, 3, 1),
                    {},
                    {},
                    type(Format::i32, 3, top_k),
                    type(Format::f32, 3, top_k),
                    {}});
  };
  EXPECT_EQ(routed(1024, 32), "");
  expect_refused(routed(1025, 8), "value = 1025");
  expect_refused(routed(128, 33), "of = top_k");
  const auto permuted = [](int32_t slots) {
    return refusal(kernels::PermuteDesc{.num_slots = slots}, {type(Format::i32, 3, 2),
                                                              {},
                                                              type(Format::i32, slots + 1, 1),
                                                              type(Format::i32, 6, 1),
                                                              type(Format::i32, 3, 2)});
  };
  EXPECT_EQ(permuted(1024), "");
  expect_refused(permuted(1025), "at most = 1024");
  const auto ordered = [](int32_t ranks) {
    return refusal(kernels::RankOrderDesc{.ranks = ranks},
                   {type(Format::i32, 3, 2), type(Format::i32, ranks, 1), type(Format::i32, 6, 1),
                    type(Format::i32, 3, ranks)});
  };
  EXPECT_EQ(ordered(32), "");
  expect_refused(ordered(33), "of = ranks");
  const Type f32 = type(Format::f32, 3, 8), bf16_ = type(Format::bf16, 3, 8);
  EXPECT_EQ(refusal(kernels::AddDesc{}, {bf16_, bf16_, bf16_}), "");
  expect_refused(refusal(kernels::AddDesc{}, {bf16_, f32, bf16_}), "one format");
  expect_refused(refusal(kernels::RmsNormDesc{}, {f32, f32, bf16_}), "one format");
  expect_refused(
      refusal(kernels::RotaryDesc{.head_dim = 8, .dims = 8}, {f32, type(Format::f16, 3, 8)}),
      "format = f16");
  const auto sampled = [](int64_t vocab) {
    const Type column = type(Format::f32, 3, 1), ids = type(Format::i32, 3, 1);
    return refusal(kernels::SampleDesc{}, {type(Format::f32, 3, vocab), column, column, ids,
                                           type(Format::u64, 3, 1), ids, ids});
  };
  EXPECT_EQ(sampled(262144), "");
  expect_refused(sampled(262145), "value = 262145");
}

}  // namespace
}  // namespace braid::ops
