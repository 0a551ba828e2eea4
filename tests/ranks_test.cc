// Models spread over ranks: every weight is where it belongs, pads are zero, and the ranks together
// compute what one rank computes.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/gemm/cpu/gemm.h"
#include "model/checkpoint_source.h"
#include "model/dummy_source.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

using layout::LayoutOptions;
using layout::Share;

constexpr int64_t kLayer = 1;  // has experts

// A golden with more heads, and widths and a vocabulary that nothing divides: made-up weights.
constexpr const char* kOddSizes =
    R"({"num_attention_heads": 8, "intermediate_size": 101, "moe_intermediate_size": 43,
        "vocab_size": 523})";

// The bundled model on ranks: widths that don't divide into multiples of 16; on eight ranks, for
// which it has too few heads, the odd one.
class SpreadWeightsTest : public ::testing::TestWithParam<LayoutOptions> {
 protected:
  SpreadWeightsTest() : engine_(open({.layout = GetParam(), .context_length = 32})) {
    config_ = engine_->config();
    if (is_odd()) {
      source_ = std::make_unique<model::DummySource>();
    } else {
      source_ = std::make_unique<model::CheckpointSource>(
          model::Checkpoint::open(fairytale_folder()).value(), model::QuantScheme());
    }
  }

  static bool is_odd() { return GetParam().tp * GetParam().dp == 8; }
  static std::unique_ptr<engine::Engine> open(const start::EngineOptions& options) {
    if (is_odd()) return open_dummy(golden_folder("glm4_moe"), options, kOddSizes);
    return open_engine(fairytale_folder(), options);
  }

  static std::string in_layer(const std::string& name) {
    return fmt::format("model.layers.{}.{}", kLayer, name);
  }

  // A tensor of the layer, [rows, cols]; or any tensor, by its whole name.
  std::vector<float> tensor(const std::string& name, int64_t rows, int64_t cols) {
    return whole_tensor(in_layer(name), rows, cols);
  }
  std::vector<float> whole_tensor(const std::string& name, int64_t rows, int64_t cols) {
    std::vector<float> values(static_cast<size_t>(rows * cols));
    const std::vector<int64_t> shape = {rows, cols};
    const Status read = source_->read(name, shape, values);
    BRAID_CHECK(read.ok(), "{}", read.to_string());
    return values;
  }

  // A rank's buffer of the layer; or any buffer.
  const float* buffer(int32_t rank, const std::string& name) {
    return whole_buffer(rank, in_layer(name));
  }
  const float* whole_buffer(int32_t rank, const std::string& name) {
    ranks::Worker& worker = engine_->ranks()[rank];
    const flow::Residents& residents = worker.model().residents();
    for (int32_t index = 0; index < residents.size(); ++index) {
      if (residents[index].name == name) {
        columns_ = residents[index].cols;
        return reinterpret_cast<const float*>(worker.data(index));
      }
    }
    BRAID_CHECK(false, "no {}", name);
  }

  const layout::Shards& shards(int32_t rank) { return engine_->ranks()[rank].model().shards(); }

  // Slot `slot` of a pool of down matrices holds these columns of `whole`, and zeros behind.
  void expect_columns(const float* pool, int64_t slot, const std::vector<float>& whole,
                      int64_t whole_columns, const Share& share) {
    ASSERT_EQ(columns_, share.padded);
    const int64_t rows = config_.hidden_size;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < share.padded; ++column) {
        const bool real = column < share.count;
        const auto at = static_cast<size_t>(row * whole_columns + share.first + column);
        ASSERT_EQ(pool[(slot * rows + row) * share.padded + column], real ? whole[at] : 0.0f)
            << "row " << row << " column " << column;
      }
    }
  }

  // Slot `slot` of a pool holds these rows of `whole` at even (parity 0) or odd places, then zeros.
  void expect_rows(const float* pool, int64_t slot, int64_t parity, const std::vector<float>& whole,
                   const Share& share) {
    const int64_t columns = config_.hidden_size;
    for (int64_t row = 0; row < share.padded; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        const bool real = row < share.count;
        const auto at = static_cast<size_t>((share.first + row) * columns + column);
        const int64_t place = slot * 2 * share.padded + 2 * row + parity;
        ASSERT_EQ(pool[place * columns + column], real ? whole[at] : 0.0f) << "row " << row;
      }
    }
  }

  void expect_mlp(int32_t rank, const std::string& gate_up, const std::string& down, int64_t slot,
                  const std::string& of, int64_t width, const Share& share) {
    const int64_t hidden = config_.hidden_size;
    expect_rows(buffer(rank, gate_up), slot, 0, tensor(of + "gate_proj.weight", width, hidden),
                share);
    expect_rows(buffer(rank, gate_up), slot, 1, tensor(of + "up_proj.weight", width, hidden),
                share);
    const float* pool = buffer(rank, down);
    expect_columns(pool, slot, tensor(of + "down_proj.weight", hidden, width), width, share);
  }

  model::ModelConfig config_;
  std::unique_ptr<model::TensorSource> source_;
  std::unique_ptr<engine::Engine> engine_;
  int64_t columns_ = 0;  // of the buffer that buffer() found
};

TEST_P(SpreadWeightsTest, EveryExpertIsWhereItBelongsWithZerosAsPads) {
  const int64_t width = config_.moe->expert_width;
  std::vector<int64_t> columns_of(16);  // columns that the ranks hold of each expert
  for (int32_t rank = 0; rank < engine_->ranks().size(); ++rank) {
    const Share experts = shards(rank).experts();
    const Share share = shards(rank).expert_width(width);
    for (int64_t slot = 0; slot < experts.count; ++slot) {
      const int64_t expert = experts.first + slot;
      expect_mlp(rank, "mlp.experts.gate_up", "mlp.experts.down", slot,
                 fmt::format("mlp.experts.{}.", expert), width, share);
      columns_of[static_cast<size_t>(expert)] += share.count;
    }
  }
  EXPECT_EQ(columns_of, std::vector<int64_t>(16, width));
}

TEST_P(SpreadWeightsTest, TheSharedExpertIsSplitOverAllRanks) {
  const int64_t width = config_.moe->expert_width;  // one shared expert
  int64_t columns = 0;
  for (int32_t rank = 0; rank < engine_->ranks().size(); ++rank) {
    const Share share = shards(rank).mlp_width(width);
    if (shards(rank).holds_all_experts()) {
      expect_mlp(rank, "mlp.experts.gate_up", "mlp.experts.down", 16, "mlp.shared_experts.", width,
                 share);
    } else {
      expect_mlp(rank, "mlp.shared_experts.gate_up", "mlp.shared_experts.down", 0,
                 "mlp.shared_experts.", width, share);
    }
    columns += share.count;
  }
  EXPECT_EQ(columns, GetParam().dp * width);  // each group has one
}

TEST_P(SpreadWeightsTest, HeadsComeWithTheirRowsAndColumns) {
  const auto& gqa = std::get<model::GqaConfig>(config_.attention_of(0));
  const int64_t hidden = config_.hidden_size, dim = gqa.head_dim;
  const auto q = tensor("self_attn.q_proj.weight", gqa.num_heads * dim, hidden);
  const auto v = tensor("self_attn.v_proj.weight", gqa.num_kv_heads * dim, hidden);
  const auto o = tensor("self_attn.o_proj.weight", hidden, gqa.num_heads * dim);
  for (int32_t rank = 0; rank < engine_->ranks().size(); ++rank) {
    const Share heads = shards(rank).heads(), kv = shards(rank).kv_heads();
    const float* qkv = buffer(rank, "self_attn.qkv");
    const auto rows = [&](const std::vector<float>& from, int64_t head) {
      return from.begin() + head * dim * hidden;
    };
    EXPECT_TRUE(std::equal(qkv, qkv + heads.count * dim * hidden, rows(q, heads.first)));
    const float* of_v = qkv + (heads.count + kv.count) * dim * hidden;
    EXPECT_TRUE(std::equal(of_v, of_v + kv.count * dim * hidden, rows(v, kv.first)));
    const float* of_o = buffer(rank, "self_attn.o_proj.weight");
    expect_columns(of_o, 0, o, gqa.num_heads * dim,
                   {heads.first * dim, heads.count * dim, heads.count * dim});
  }
}

TEST_P(SpreadWeightsTest, TheVocabularyIsSplitOverTp) {
  const int64_t vocab = config_.vocab_size, hidden = config_.hidden_size;
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    const std::vector<float> whole = whole_tensor(name, vocab, hidden);
    int64_t next = 0;
    for (int32_t rank = 0; rank < engine_->ranks().size(); ++rank) {
      const Share here = shards(rank).vocabulary(vocab);
      ASSERT_EQ(here.first, next % vocab);  // each group has all of it
      const float* part = whole_buffer(rank, name);
      EXPECT_TRUE(
          std::equal(part, part + here.count * hidden, whole.begin() + here.first * hidden));
      EXPECT_EQ(std::count(part + here.count * hidden, part + here.padded * hidden, 0.0f),
                (here.padded - here.count) * hidden);
      next += here.count;
    }
    EXPECT_EQ(next, GetParam().dp * vocab);
  }
}

// Each logit is the product that one rank would compute of the same row, bit for bit.
TEST_P(SpreadWeightsTest, LogitsHaveTheBitsOfTheWholeHead) {
  const int64_t vocab = config_.vocab_size, hidden = config_.hidden_size;
  const std::vector<float> head = whole_tensor("lm_head.weight", vocab, hidden);
  const std::vector<int32_t> prompt = {7, 500, 33, 2, static_cast<int32_t>(vocab) - 1};
  start::EngineOptions options = prompt_options(prompt.size());
  options.layout = GetParam();
  const auto engine = open(options);
  for (const TokenRecord& record : run_prompt(*engine, prompt)) {
    std::vector<float> logits(static_cast<size_t>(vocab));
    kernels::cpu::gemm<float, float, float>({}, 1, vocab, hidden,
                                            {record.hidden.back().data(), hidden},
                                            {head.data(), hidden}, nullptr, {logits.data(), vocab});
    EXPECT_TRUE(same_bytes(record.logits, logits));
  }
}

TEST_P(SpreadWeightsTest, RanksTogetherComputeWhatOneComputes) {
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 70; ++i) prompt.push_back((i * 131 + 7) % 520);
  const auto logits = [&](const LayoutOptions& layout) {
    start::EngineOptions options = prompt_options(prompt.size());
    options.layout = layout;
    return logits_of(run_prompt(*open(options), prompt));
  };
  EXPECT_LT(relative_error(logits(GetParam()), logits({})), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, SpreadWeightsTest,
    ::testing::Values(LayoutOptions{.tp = 2}, LayoutOptions{.tp = 4},
                      LayoutOptions{.tp = 2, .ep = 2}, LayoutOptions{.tp = 4, .ep = 2},
                      LayoutOptions{.tp = 4, .ep = 4}, LayoutOptions{.tp = 8},
                      LayoutOptions{.tp = 8, .ep = 4}, LayoutOptions{.tp = 8, .ep = 8},
                      LayoutOptions{.tp = 4, .ep = 4, .dp = 2},
                      LayoutOptions{.tp = 2, .ep = 8, .dp = 4},
                      LayoutOptions{.tp = 1, .ep = 2, .dp = 8}),
    [](const auto& info) {
      return fmt::format("tp{}ep{}dp{}", info.param.tp, info.param.ep, info.param.dp);
    });

// Batches, both kinds of rows in a step, preemption: the ranks stay together.
TEST(RanksServingTest, ABusyEngineGivesWhatEachRequestAloneGives) {
  start::EngineOptions options{.layout = {.tp = 4, .ep = 2},
                               .context_length = 64,
                               .max_running = 3,
                               .chunked_prefill_size = 8,
                               .page_size = 4,
                               .num_blocks = 16};
  const auto busy = open_engine(golden_folder("glm4_moe"), options);
  std::vector<engine::Request> requests;
  for (int32_t i = 0; i < 6; ++i) {
    engine::Request& request = requests.emplace_back();
    for (int32_t t = 0; t < 5 + 7 * i; ++t) request.prompt.push_back((t * 31 + i * 17) % 512);
    request.sampling = {.temperature = 1, .seed = 3};
    request.max_tokens = 12;
  }
  std::vector<engine::RequestId> ids;
  for (const engine::Request& request : requests) ids.push_back(busy->submit(request).value());
  auto together = run_to_end(*busy);
  EXPECT_GT(busy->preemptions(), 0);
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto quiet = open_engine(golden_folder("glm4_moe"), options);
    const auto id = quiet->submit(requests[i]).value();
    EXPECT_EQ(run_to_end(*quiet)[id], together[ids[i]]) << i;
  }
}

}  // namespace
}  // namespace braid::testing
