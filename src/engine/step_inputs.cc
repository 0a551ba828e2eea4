#include "engine/step_inputs.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace braid::engine {
namespace {

class Filler {
 public:
  Filler(const layers::StepShape& shape, const layers::StepLimits& limits, int32_t page_size,
         std::span<int32_t> words)
      : layout_(shape.own, limits, shape.sampling),
        limits_(limits),
        page_size_(page_size),
        extended_(shape.sampling == layers::Sampling::extended),
        words_(words) {
    layers::fill_padding(layout_, words_);
  }

  // Rows of one sequence, the first of them row `row` of the step.
  void add(const PlannedRows& planned, int64_t row) {
    const Sequence& sequence = *planned.sequence;
    const int32_t table_row = num_sequences_++;
    std::copy(sequence.blocks.begin(), sequence.blocks.end(),
              at(layout_.block_table + int64_t{table_row} * limits_.max_blocks));
    for (int32_t i = 0; i < planned.count; ++i, ++row) {
      const int32_t position = planned.first + i;
      const int32_t block = sequence.blocks[static_cast<size_t>(position / page_size_)];
      const bool known = position < std::ssize(sequence.tokens);
      *at(layout_.ids + row) = known ? sequence.tokens[static_cast<size_t>(position)] : 0;
      *at(layout_.id_sources + row) = known ? -1 : sequence.sampled_row;
      *at(layout_.positions + row) = position;
      *at(layout_.sequences + row) = table_row;
      *at(layout_.kv_slots + row) = block * page_size_ + position % page_size_;
      const bool samples = i + 1 == planned.count && planned.samples();
      if (!samples && !limits_.all_logits) continue;
      if (extended_) extend(sequence, std::ssize(logit_rows_), table_row);
      add_logits(planned.sequence, row, position, samples);
    }
  }

  void set_rank_rows(std::span<const int32_t> rank_rows) {
    std::copy(rank_rows.begin(), rank_rows.end(), at(layout_.rank_rows));
  }

  std::vector<LogitRow> finish() {
    *at(layout_.logit_count) = static_cast<int32_t>(logit_rows_.size());
    return std::move(logit_rows_);
  }

 private:
  std::span<int32_t>::iterator at(int64_t word) { return words_.begin() + word; }

  void add_logits(Sequence* sequence, int64_t row, int32_t position, bool samples) {
    const auto r = static_cast<int64_t>(logit_rows_.size());
    const SamplingParams& sampling = sequence->request.sampling;
    const auto seed = std::bit_cast<std::array<int32_t, 2>>(sampling.seed);
    std::copy(seed.begin(), seed.end(), at(layout_.seeds + 2 * r));
    *at(layout_.logit_rows + r) = static_cast<int32_t>(row);
    *at(layout_.temperature + r) = std::bit_cast<int32_t>(sampling.temperature);
    *at(layout_.top_p + r) = std::bit_cast<int32_t>(sampling.top_p);
    *at(layout_.top_k + r) = sampling.top_k;
    *at(layout_.log_min_p + r) = std::bit_cast<int32_t>(std::log(sampling.min_p));
    *at(layout_.chosen + r) = position + 1;
    logit_rows_.push_back({sequence, position, samples});
  }

  // What extended sampling knows of logits row r.
  void extend(const Sequence& sequence, int64_t r, int32_t table_row) {
    const SamplingParams& sampling = sequence.request.sampling;
    *at(layout_.logit_sequences + r) = table_row;
    *at(layout_.prompt_size + r) = static_cast<int32_t>(sequence.request.prompt.size());
    *at(layout_.wanted_logprobs + r) = sequence.request.logprobs;
    const auto penalties = at(layout_.penalties + r * kernels::Penalties::num_columns);
    penalties[kernels::Penalties::repetition] = std::bit_cast<int32_t>(sampling.repetition_penalty);
    penalties[kernels::Penalties::presence] = std::bit_cast<int32_t>(sampling.presence_penalty);
    penalties[kernels::Penalties::frequency] = std::bit_cast<int32_t>(sampling.frequency_penalty);
    int64_t place = r * layers::kMaxBiases;
    for (const LogitBias& bias : sampling.logit_bias) {
      *at(layout_.bias_ids + place) = bias.id;
      *at(layout_.biases + place) = std::bit_cast<int32_t>(bias.bias);
      ++place;
    }
  }

  layers::InputLayout layout_;
  layers::StepLimits limits_;
  int32_t page_size_;
  bool extended_;
  std::span<int32_t> words_;
  int32_t num_sequences_ = 0;
  std::vector<LogitRow> logit_rows_;
};

}  // namespace

std::vector<LogitRow> fill_words(const Plan& plan, const layers::StepShape& shape,
                                 const layers::StepLimits& limits, int32_t page_size,
                                 std::span<int32_t> words, std::span<const int32_t> rank_rows) {
  BRAID_CHECK(std::ssize(rank_rows) == (limits.dp > 1 ? limits.dp : 0), "(rows of {} ranks of {})",
              rank_rows.size(), limits.dp);
  Filler filler(shape, limits, page_size, words);
  filler.set_rank_rows(rank_rows);
  int64_t row = 0;
  for (const PlannedRows& planned : plan.decode) filler.add(planned, row++);
  row = shape.own.decode;
  for (const PlannedRows& planned : plan.prefill) {
    filler.add(planned, row);
    row += planned.count;
  }
  return filler.finish();
}

layers::Sampling sampling_of(const Plan& plan) {
  for (const auto* part : {&plan.decode, &plan.prefill}) {
    for (const PlannedRows& planned : *part) {
      if (planned.samples() && planned.sequence->request.extends_sampling()) {
        return layers::Sampling::extended;
      }
    }
  }
  return layers::Sampling::plain;
}

int32_t rows_to_last(const Plan& plan, const layers::RowCounts& rows) {
  const layers::RowCounts planned = plan.rows();
  return planned.prefill > 0 ? rows.decode + planned.prefill : planned.decode;
}

}  // namespace braid::engine
