#include "layers/step_inputs.h"

#include <algorithm>

#include "ops/rows.h"

namespace braid::layers {

InputLayout::InputLayout(const RowCounts& rows, const StepLimits& limits) {
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
  chosen = take(num_logits);
  logit_count = take(1);
  rank_rows = take(limits.dp > 1 ? limits.dp : 0);
  block_table = take(num_sequences * limits.max_blocks);
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
}

StepRows step_inputs(ops::Builder& b, Value host_words, Value device_words,
                     const InputLayout& layout, const StepLimits& limits) {
  const Value words = b.rows(device_words, 0, layout.total);
  ops::copy(b, b.rows(host_words, 0, layout.total), words);
  const auto rows = [&](int64_t first) {
    return b.words(words, first, Format::i32, layout.num_rows, 1);
  };
  const auto logits = [&](int64_t first, Format format) {
    return b.words(words, first, format, layout.num_logits, 1);
  };
  ops::RankRows ranks;
  if (limits.dp > 1) {
    ranks = {.counts = b.placed(b.words(words, layout.rank_rows, Format::i32, limits.dp, 1), {}),
             .own = layout.num_rows};
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
                       .position = logits(layout.chosen, Format::i32)},
          .ranks = ranks,
          .rotary_table = {},
          .attention_plans = {}};
}

}  // namespace braid::layers
