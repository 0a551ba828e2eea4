// DeepSeek models without a low-rank query (q_lora_rank null): q_proj against a direct computation,
// and against a low-rank chain whose first product is the identity.
#include <gtest/gtest.h>

#include <cmath>

#include "support/checkpoint_copy.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

std::vector<std::string> layers_of(const CheckpointCopy& checkpoint) {
  std::vector<std::string> prefixes;
  const int layers = checkpoint.config()["num_hidden_layers"].get<int>();
  for (int i = 0; i < layers; ++i) prefixes.push_back(fmt::format("model.layers.{}.", i));
  return prefixes;
}

int64_t size_of(const CheckpointCopy& checkpoint, const char* key) {
  return checkpoint.config()[key].get<int64_t>();
}

// A model whose q_proj takes the place of q_a_proj, q_a_layernorm and q_b_proj. Its values are made
// of those of q_b_proj, larger, so that attention is far from an average over all tokens.
void replace_by_q_proj(CheckpointCopy& checkpoint, float factor) {
  const int64_t hidden = size_of(checkpoint, "hidden_size");
  for (const std::string& layer : layers_of(checkpoint)) {
    const std::string at = layer + "self_attn.";
    const std::vector<float> q_b = checkpoint.floats(at + "q_b_proj.weight");
    const std::vector<int64_t> shape = checkpoint.shape(at + "q_b_proj.weight");
    std::vector<float> q(static_cast<size_t>(shape[0] * hidden));
    for (size_t i = 0; i < q.size(); ++i) q[i] = factor * q_b[i * 7 % q_b.size()];
    checkpoint.set(at + "q_proj.weight", {shape[0], hidden}, q);
    checkpoint.erase(at + "q_a_");
    checkpoint.erase(at + "q_b_");
  }
  checkpoint.config()["q_lora_rank"] = nullptr;
}

// The same model with the low-rank chain again: q_a is the identity, its norm finds rows of RMS 1.
void replace_q_proj_by_identity(CheckpointCopy& checkpoint) {
  const int64_t hidden = size_of(checkpoint, "hidden_size");
  std::vector<float> identity(static_cast<size_t>(hidden * hidden));
  for (int64_t i = 0; i < hidden; ++i) identity[static_cast<size_t>(i * hidden + i)] = 1;
  for (const std::string& layer : layers_of(checkpoint)) {
    const std::string at = layer + "self_attn.";
    checkpoint.set(at + "q_a_proj.weight", {hidden, hidden}, identity);
    checkpoint.set(at + "q_a_layernorm.weight", {hidden},
                   std::vector<float>(static_cast<size_t>(hidden), 1.0f));
    checkpoint.move(at + "q_proj.weight", at + "q_b_proj.weight");
  }
  checkpoint.config()["q_lora_rank"] = hidden;
}

// Rows of RMS 1 behind the first norm of each layer.
void use_unit_norms(CheckpointCopy& checkpoint) {
  checkpoint.config()["rms_norm_eps"] = 1e-12;
  for (const std::string& layer : layers_of(checkpoint)) {
    checkpoint.fill(layer + "input_layernorm.weight", 1.0f);
  }
}

class QProjTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::vector<float> run(CheckpointCopy& checkpoint) const {
    return logits_on_golden(checkpoint.write(), GetParam());
  }
};

TEST_P(QProjTest, IsALowRankChainOfFullRank) {
  CheckpointCopy direct(golden_folder(GetParam()));
  use_unit_norms(direct);
  replace_by_q_proj(direct, 3);
  CheckpointCopy chain(golden_folder(GetParam()));
  use_unit_norms(chain);
  replace_by_q_proj(chain, 3);
  replace_q_proj_by_identity(chain);
  CheckpointCopy other(golden_folder(GetParam()));
  use_unit_norms(other);
  replace_by_q_proj(other, -3);
  const std::vector<float> got = run(direct);
  EXPECT_LE(largest_difference(got, run(chain)), 1e-4f);
  EXPECT_GT(largest_difference(got, run(other)), 0.01f);  // queries matter
}

INSTANTIATE_TEST_SUITE_P(Models, QProjTest, ::testing::Values("deepseek_v2", "deepseek_v3"),
                         [](const auto& info) { return info.param; });

using Row = std::vector<double>;

// y = W x for a weight [rows, x.size()].
Row product(const std::vector<float>& weight, const Row& x) {
  Row y(weight.size() / x.size());
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t j = 0; j < x.size(); ++j) y[i] += double{weight[i * x.size() + j]} * x[j];
  }
  return y;
}

Row rms_norm(const Row& x, const std::vector<float>& weight, double eps) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  Row y;
  for (size_t i = 0; i < x.size(); ++i) y.push_back(double{weight[i]} * x[i] * scale);
  return y;
}

Row part(const Row& x, int64_t first, int64_t count) {
  return {x.begin() + first, x.begin() + first + count};
}

double dot(const Row& a, const Row& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Turns pairs (2i, 2i + 1) by position · theta^(−2i/d).
Row rotate(const Row& x, size_t position, double theta) {
  Row y(x.size());
  for (size_t i = 0; i < x.size(); i += 2) {
    const double exponent = -static_cast<double>(i) / static_cast<double>(x.size());
    const double angle = static_cast<double>(position) * std::pow(theta, exponent);
    y[i] = x[i] * std::cos(angle) - x[i + 1] * std::sin(angle);
    y[i + 1] = x[i + 1] * std::cos(angle) + x[i] * std::sin(angle);
  }
  return y;
}

// The attention block of layer 0 as the formulas say it (arXiv 2405.04434, keys and values
// expanded, every token seeing all before it), in double precision.
class DirectAttention {
 public:
  explicit DirectAttention(const CheckpointCopy& checkpoint)
      : checkpoint_(checkpoint),
        heads_(size_of(checkpoint, "num_attention_heads")),
        nope_(size_of(checkpoint, "qk_nope_head_dim")),
        rope_(size_of(checkpoint, "qk_rope_head_dim")),
        value_(size_of(checkpoint, "v_head_dim")),
        rank_(size_of(checkpoint, "kv_lora_rank")) {}

  // Residual stream rows in, the block's outputs to be added to them.
  std::vector<Row> run(const std::vector<Row>& residual) {
    for (const Row& row : residual) project(row);
    std::vector<Row> out;
    for (size_t token = 0; token < residual.size(); ++token) {
      Row attended;
      for (int64_t head = 0; head < heads_; ++head) {
        const Row value = attend(token, head);
        attended.insert(attended.end(), value.begin(), value.end());
      }
      out.push_back(product(weight("self_attn.o_proj"), attended));
    }
    return out;
  }

 private:
  std::vector<float> weight(const std::string& name) const {
    return checkpoint_.floats("model.layers.0." + name + ".weight");
  }

  // Appends one token's queries, keys and values.
  void project(const Row& residual) {
    const double eps = checkpoint_.config()["rms_norm_eps"].get<double>();
    const double theta = checkpoint_.config()["rope_parameters"]["rope_theta"].get<double>();
    const size_t position = queries_.size();
    const Row x = rms_norm(residual, weight("input_layernorm"), eps);
    const Row q = product(weight("self_attn.q_proj"), x);
    const Row kv = product(weight("self_attn.kv_a_proj_with_mqa"), x);
    const Row latent = rms_norm(part(kv, 0, rank_), weight("self_attn.kv_a_layernorm"), eps);
    const Row expanded = product(weight("self_attn.kv_b_proj"), latent);
    const Row rotated_key = rotate(part(kv, rank_, rope_), position, theta);
    queries_.emplace_back();
    keys_.emplace_back();
    values_.emplace_back();
    for (int64_t head = 0; head < heads_; ++head) {
      Row query = part(q, head * (nope_ + rope_), nope_);
      const Row turned = rotate(part(q, head * (nope_ + rope_) + nope_, rope_), position, theta);
      query.insert(query.end(), turned.begin(), turned.end());
      Row key = part(expanded, head * (nope_ + value_), nope_);
      key.insert(key.end(), rotated_key.begin(), rotated_key.end());
      queries_.back().push_back(query);
      keys_.back().push_back(key);
      values_.back().push_back(part(expanded, head * (nope_ + value_) + nope_, value_));
    }
  }

  Row attend(size_t token, int64_t head) const {
    const auto h = static_cast<size_t>(head);
    const double scale = 1 / std::sqrt(static_cast<double>(nope_ + rope_));
    Row sum(static_cast<size_t>(value_));
    double total = 0;
    for (size_t seen = 0; seen <= token; ++seen) {
      const double weight = std::exp(scale * dot(queries_[token][h], keys_[seen][h]));
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * values_[seen][h][i];
      total += weight;
    }
    for (double& value : sum) value /= total;
    return sum;
  }

  const CheckpointCopy& checkpoint_;
  int64_t heads_, nope_, rope_, value_, rank_;
  std::vector<std::vector<Row>> queries_, keys_, values_;  // [token][head]
};

std::vector<Row> embeddings(const CheckpointCopy& checkpoint, const std::vector<int32_t>& prompt) {
  const std::vector<float> table = checkpoint.floats("model.embed_tokens.weight");
  const int64_t hidden = size_of(checkpoint, "hidden_size");
  std::vector<Row> rows;
  for (const int32_t id : prompt) {
    rows.emplace_back(table.begin() + id * hidden, table.begin() + (id + 1) * hidden);
  }
  return rows;
}

TEST(QProjDirectTest, HiddenStatesAfterTheFirstAttention) {
  CheckpointCopy checkpoint(golden_folder("deepseek_v2"));
  replace_by_q_proj(checkpoint, 3);
  checkpoint.fill("model.layers.0.mlp.down_proj.weight", 0.0f);  // layer 0 is its attention alone
  const std::vector<int32_t> prompt = golden_ids("deepseek_v2", "input_ids");
  const std::vector<Row> residual = embeddings(checkpoint, prompt);
  const std::vector<Row> expected = DirectAttention(checkpoint).run(residual);
  const auto engine = open_engine(checkpoint.write(), prompt_options(prompt.size()));
  const std::vector<TokenRecord> records = run_prompt(*engine, prompt);
  double worst = 0;
  double largest = 0;
  for (size_t token = 0; token < prompt.size(); ++token) {
    for (size_t i = 0; i < residual[token].size(); ++i) {
      const double got = double{records[token].hidden[0][i]} - residual[token][i];
      worst = std::max(worst, std::abs(got - expected[token][i]));
      largest = std::max(largest, std::abs(expected[token][i]));
    }
  }
  EXPECT_LE(worst, 1e-5 * largest);
  RecordProperty("relative_error", fmt::format("{}", worst / largest));
}

}  // namespace
}  // namespace braid::testing
