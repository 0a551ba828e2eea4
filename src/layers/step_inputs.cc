#include "layers/step_inputs.h"

#include <algorithm>

#include "ops/rows.h"

namespace braid::layers {

InputLayout::InputLayout(const RowCounts& rows, const StepLimits& limits, Sampling sampling) {
  num_rows = rows.total();
  num_sequences = rows.decode + std::min(rows.prefill, limits.max_prefill_sequences);
  num_logits = limits.all_logits ? num_rows : num_sequences;
  const auto take = [this](int64_t words) {
    const int64_t first = total;
    total += words;
    return first;
  };
  seeds = take(2 * num_logits);  // first, so that 64-bit elements are aligned
  ids = take(num_rows);
  id_sources = take(num_rows);
  positions = take(num_rows);
  sequences = take(num_rows);
  kv_slots = take(num_rows);
  logit_rows = take(num_logits);
  temperature = take(num_logits);
  top_p = take(num_logits);
  top_k = take(num_logits);
  log_min_p = take(num_logits);
  chosen = take(num_logits);
  logit_count = take(1);
  rank_rows = take(limits.dp > 1 ? limits.dp : 0);
  block_table = take(num_sequences * limits.max_blocks);
  const int64_t extended = sampling == Sampling::extended ? num_logits : 0;
  logit_sequences = take(extended);
  prompt_size = take(extended);
  penalties = take(extended * kernels::Penalties::num_columns);
  bias_ids = take(extended * kMaxBiases);
  biases = take(extended * kMaxBiases);
  wanted_logprobs = take(extended);
}

void fill_padding(const InputLayout& layout, std::span<int32_t> words) {
  const auto fill = [words](int64_t first, int64_t count, int32_t word) {
    std::fill_n(words.begin() + first, count, word);
  };
  fill(0, layout.total, 0);
  fill(layout.id_sources, layout.num_rows, -1);
  fill(layout.sequences, layout.num_rows, -1);
  fill(layout.kv_slots, layout.num_rows, -1);
  fill(layout.logit_rows, layout.num_logits, -1);
  fill(layout.bias_ids, layout.biases - layout.bias_ids, -1);
  fill(layout.wanted_logprobs, layout.total - layout.wanted_logprobs, -1);
}

StepRows step_inputs(ops::Builder& b, Value host_words, Value device_words,
                     const InputLayout& layout, const StepLimits& limits) {
  const Value words = b.rows(device_words, 0, layout.total);
  ops::copy(b, b.rows(host_words, 0, layout.total), words);
  const auto rows = [&](int64_t first) {
    return b.words(words, first, Format::i32, layout.num_rows, 1);
  };
  const auto logits = [&](int64_t first, Format format, int64_t cols = 1) {
    return b.words(words, first, format, layout.num_logits, cols);
  };
  ops::RankRows ranks;
  if (limits.dp > 1) {
    ranks = {.counts = b.placed(b.words(words, layout.rank_rows, Format::i32, limits.dp, 1), {}),
             .own = layout.num_rows};
  }
  const bool extended = layout.total > layout.wanted_logprobs;
  ops::AdjustedRows adjusted;
  if (extended) {
    adjusted = {.sequence = logits(layout.logit_sequences, Format::i32),
                .prompt_size = logits(layout.prompt_size, Format::i32),
                .penalties = logits(layout.penalties, Format::f32, kernels::Penalties::num_columns),
                .bias_ids = logits(layout.bias_ids, Format::i32, kMaxBiases),
                .biases = logits(layout.biases, Format::f32, kMaxBiases)};
  }
  return {.ids = rows(layout.ids),
          .id_sources = rows(layout.id_sources),
          .paged = {.sequences = rows(layout.sequences),
                    .positions = rows(layout.positions),
                    .kv_slots = rows(layout.kv_slots),
                    .block_table = b.words(words, layout.block_table, Format::i32,
                                           layout.num_sequences, limits.max_blocks)},
          .logit_rows = logits(layout.logit_rows, Format::i32),
          .logit_count = b.words(words, layout.logit_count, Format::i32, 1, 1),
          .sampling = {.temperature = logits(layout.temperature, Format::f32),
                       .top_p = logits(layout.top_p, Format::f32),
                       .top_k = logits(layout.top_k, Format::i32),
                       .seed = logits(layout.seeds, Format::u64),
                       .position = logits(layout.chosen, Format::i32),
                       .log_min_p = logits(layout.log_min_p, Format::f32)},
          .adjusted = adjusted,
          .wanted_logprobs = extended ? logits(layout.wanted_logprobs, Format::i32) : Value{},
          .ranks = ranks,
          .rotary_table = {},
          .attention_plans = {}};
}

}  // namespace braid::layers
