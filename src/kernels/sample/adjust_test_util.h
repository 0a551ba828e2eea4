// Rows for the tests of adjust_logits on every device: their tokens lie in a paged history.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/cpu/test_support.h"
#include "kernels/sample/adjust_args.h"

namespace braid::kernels::testing {

struct AdjustRow {
  std::vector<int32_t> prompt, answer;
  float repetition = 1;
  float presence = 0;
  float frequency = 0;
  std::vector<std::pair<int32_t, float>> biases = {};
  std::vector<float> logits = {};  // random ones where none are given
};

class AdjustCase {
 public:
  static constexpr int32_t kMaxBlocks = 64;
  static constexpr int32_t kNumBiases = 5;

  AdjustCase(int64_t vocab_size, int32_t page_size) : vocab_size_(vocab_size), desc_{page_size} {}

  void add(const AdjustRow& row) {
    std::vector<int32_t> tokens = row.prompt;
    tokens.insert(tokens.end(), row.answer.begin(), row.answer.end());
    table_.resize(table_.size() + kMaxBlocks, 0);
    int32_t* blocks = &table_[table_.size() - kMaxBlocks];
    const auto size = static_cast<int32_t>(tokens.size());
    for (int32_t first = 0; first < size; first += desc_.page_size) {
      // Blocks lie behind one another with a block between them that nobody has.
      history_.resize(history_.size() + static_cast<size_t>(2 * desc_.page_size), 1);
      const auto block = static_cast<int32_t>(history_.size()) / desc_.page_size - 1;
      blocks[first / desc_.page_size] = block;
      for (int32_t i = first; i < std::min(first + desc_.page_size, size); ++i) {
        history_[static_cast<size_t>(block * desc_.page_size + i - first)] =
            tokens[static_cast<size_t>(i)];
      }
    }
    sequences_.push_back(static_cast<int32_t>(sequences_.size()));
    positions_.push_back(size);
    prompt_sizes_.push_back(static_cast<int32_t>(row.prompt.size()));
    penalties_.insert(penalties_.end(), {row.repetition, row.presence, row.frequency});
    for (size_t i = 0; i < kNumBiases; ++i) {
      const bool given = i < row.biases.size();
      bias_ids_.push_back(given ? row.biases[i].first : -1);
      biases_.push_back(given ? row.biases[i].second : 0);
    }
    for (int64_t i = 0; i < vocab_size_; ++i) {
      logits_.push_back(row.logits.empty() ? 4 * cpu::random_value<float>(random_)
                                           : row.logits[static_cast<size_t>(i)]);
    }
  }

  void add_random(int rows, uint64_t seed) {
    cpu::Random random(seed);
    const auto tokens = [&](uint64_t most) {
      std::vector<int32_t> ids;
      for (uint64_t left = random() % most; left > 0; --left) {
        ids.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size_)));
        if (left % 3 == 0) ids.push_back(ids.front());  // one that comes often
      }
      return ids;
    };
    for (int row = 0; row < rows; ++row) {
      AdjustRow one{.prompt = tokens(200), .answer = tokens(200)};
      if (row % 3 != 0) one.repetition = row % 2 == 0 ? 1.3f : 0.8f;
      if (row % 4 != 1) one.presence = 0.7f;
      if (row % 5 != 2) one.frequency = -0.31f;
      for (int i = 0; i < row % (kNumBiases + 1); ++i) {
        const auto part = static_cast<int32_t>(vocab_size_ / kNumBiases);
        one.biases.push_back(
            {i * part + static_cast<int32_t>(random() % static_cast<uint64_t>(std::min(part, 3))),
             1.7f - 2.0f * i});
      }
      add(one);
    }
  }

  int64_t vocab_size() const { return vocab_size_; }
  const AdjustLogitsDesc& desc() const { return desc_; }
  int64_t rows() const { return std::ssize(positions_); }
  std::vector<float> logits(int64_t row) const {
    return {logits_.begin() + row * vocab_size_, logits_.begin() + (row + 1) * vocab_size_};
  }

  // Operands from a row on, without `out`; each of them after copy(vector), which gives a pointer.
  template <typename Copy>
  AdjustArgs args(int64_t first, Copy copy) const {
    return {
        .vocab_size = vocab_size_,
        .logits = {copy(logits_) + first * vocab_size_, vocab_size_},
        .history = copy(history_),
        .block_table = {copy(table_), kMaxBlocks},
        .sequences = copy(sequences_) + first,
        .positions = copy(positions_) + first,
        .prompt_size = copy(prompt_sizes_) + first,
        .penalties = {copy(penalties_) + first * Penalties::num_columns, Penalties::num_columns},
        .bias_ids = {copy(bias_ids_) + first * kNumBiases, kNumBiases},
        .biases = {copy(biases_) + first * kNumBiases, kNumBiases},
        .num_biases = kNumBiases,
        .out = {}};
  }
  AdjustArgs row(int64_t first) const {
    return args(first, [](const auto& values) { return values.data(); });
  }

 private:
  int64_t vocab_size_;
  AdjustLogitsDesc desc_;
  cpu::Random random_{5};
  std::vector<int32_t> history_, table_, sequences_, positions_, prompt_sizes_, bias_ids_;
  std::vector<float> penalties_, biases_, logits_;
};

}  // namespace braid::kernels::testing
