// Step inputs: what the host tells the device before each step. All fields lie in one block of
// 32-bit words, so that one copy brings them; where each field lies depends on the StepShape.
#pragma once

#include <span>
#include <vector>

#include "layers/step_shape.h"
#include "ops/attention.h"
#include "ops/rank_rows.h"
#include "ops/sample.h"

namespace braid::layers {

using flow::Value;

// Bounds that do not change from step to step.
struct StepLimits {
  int32_t max_blocks = 0;             // columns of the block table
  int32_t max_prefill_sequences = 8;  // sequences that may be in prefill in one step
  bool all_logits = false;            // logits for every row, not for each sequence's last
  int32_t dp = 1;                     // groups of ranks with rows of their own
};

// Most biased ids of a row.
inline constexpr int32_t kMaxBiases = 300;

// First word of each field, for one shape. T rows, R rows with logits, S sequences, B = kMaxBiases.
struct InputLayout {
  InputLayout(const RowCounts& rows, const StepLimits& limits, Sampling sampling = Sampling::plain);

  int64_t num_rows = 0;       // T
  int64_t num_logits = 0;     // R
  int64_t num_sequences = 0;  // S
  int64_t seeds = 0;          // u64 [R, 1]
  int64_t ids = 0;            // i32 [T, 1], token ids
  int64_t id_sources = 0;     // i32 [T, 1], row of what the step before sampled; −1: see ids
  int64_t positions = 0;      // i32 [T, 1]
  int64_t sequences = 0;      // i32 [T, 1], row of the block table; −1: padding
  int64_t kv_slots = 0;       // i32 [T, 1], cache row; −1: padding
  int64_t logit_rows = 0;     // i32 [R, 1], the rows that get logits
  int64_t temperature = 0;    // f32 [R, 1]
  int64_t top_p = 0;          // f32 [R, 1]
  int64_t top_k = 0;          // i32 [R, 1]
  int64_t log_min_p = 0;      // f32 [R, 1]
  int64_t chosen = 0;         // i32 [R, 1], position of the token to be chosen
  int64_t logit_count = 0;    // i32 [1, 1], how many of the R rows are real
  int64_t rank_rows = 0;      // i32 [dp, 1], of each rank: ops::RankRows; nothing where dp is 1
  int64_t block_table = 0;    // i32 [S, max_blocks]
  // Of extended sampling alone.
  int64_t logit_sequences = 0;  // i32 [R, 1], row of the block table
  int64_t prompt_size = 0;      // i32 [R, 1]
  int64_t penalties = 0;        // f32 [R, 3]
  int64_t bias_ids = 0;         // i32 [R, B]
  int64_t biases = 0;           // f32 [R, B]
  int64_t wanted_logprobs = 0;  // i32 [R, 1], −1: none
  int64_t total = 0;
};

// What a step of extended sampling tells the host beside the sampled ids: first word of each field.
struct LogprobLayout {
  explicit LogprobLayout(int64_t rows)
      : ids(rows * (1 + kernels::kMaxTopLogprobs)), total(ids + rows * kernels::kMaxTopLogprobs) {}

  int64_t logprobs = 0;  // f32 [R, 1 + kMaxTopLogprobs]: of the sampled id, then of `ids`
  int64_t ids = 0;       // i32 [R, kMaxTopLogprobs], the most likely ones
  int64_t total = 0;
};

// Writes the inputs of a step whose rows are all padding: no token, no sequence, no logits.
// words: at least layout.total.
void fill_padding(const InputLayout& layout, std::span<int32_t> words);

// The same fields as Values over the device's block of words.
struct StepRows {
  Value ids;
  Value id_sources;
  ops::PagedRows paged;
  Value logit_rows;
  Value logit_count;
  ops::SamplingRows sampling;
  ops::AdjustedRows adjusted;  // these two of extended sampling alone
  Value wanted_logprobs;
  ops::RankRows ranks;  // `group` comes from the StepShape
  Value rotary_table;   // f32 [T, rotary dims], computed once a step

  // The plans of attention, made once a step: one for each size of groups of query heads.
  struct Plan {
    int32_t group = 0;
    Value words;
  };
  std::vector<Plan> attention_plans;
};

// Copies the step's words from the host's block to the device's and names the fields, whose
// placement is that of `device_words`.
StepRows step_inputs(ops::Builder& b, Value host_words, Value device_words,
                     const InputLayout& layout, const StepLimits& limits);

}  // namespace braid::layers
