#include "kernels/sample/cpu/adjust_logits.h"

#include <algorithm>

namespace braid::kernels::cpu {
namespace {

// What a row's tokens say of an id: 2 for each time that it occurs in the answer, and 1 if it
// occurs in the prompt.
using Seen = int32_t;

void add_biases(const AdjustArgs& args, int64_t row, float* out) {
  for (int64_t i = 0; i < args.num_biases; ++i) {
    const int32_t id = args.bias_ids.row(row)[i];
    if (id >= 0 && id < args.vocab_size) out[id] += args.biases.row(row)[i];
  }
}

float penalized(float logit, Seen seen, const float* penalties) {
  const float repetition = penalties[Penalties::repetition];
  logit = logit > 0 ? logit / repetition : logit * repetition;
  const auto times = static_cast<float>(seen >> 1);
  if (times == 0) return logit;
  return logit - penalties[Penalties::frequency] * times - penalties[Penalties::presence];
}

// visit(id, position) for the row's tokens.
template <typename Visit>
void for_each_token(const AdjustLogitsDesc& desc, const AdjustArgs& args, int64_t row,
                    Visit visit) {
  const int32_t* blocks = args.block_table.row(args.sequences[row]);
  for (int32_t position = 0; position < args.positions[row]; ++position) {
    const int64_t slot =
        int64_t{blocks[position / desc.page_size]} * desc.page_size + position % desc.page_size;
    const int32_t id = args.history[slot];
    if (id >= 0 && id < args.vocab_size) visit(id, position);
  }
}

}  // namespace

int64_t adjust_scratch_bytes(int64_t vocab_size) { return vocab_size * int64_t{sizeof(Seen)}; }

void adjust_logits(const AdjustLogitsDesc& desc, int64_t rows, const AdjustArgs& args,
                   std::byte* scratch) {
  auto* seen = reinterpret_cast<Seen*>(scratch);
  std::fill_n(seen, args.vocab_size, 0);
  for (int64_t row = 0; row < rows; ++row) {
    float* out = args.out.row(row);
    std::copy_n(args.logits.row(row), args.vocab_size, out);
    add_biases(args, row, out);
    const float* penalties = args.penalties.row(row);
    if (are_neutral(penalties)) continue;
    for_each_token(desc, args, row, [&](int32_t id, int32_t position) {
      if (position < args.prompt_size[row]) {
        seen[id] |= 1;
      } else {
        seen[id] += 2;
      }
    });
    for_each_token(desc, args, row, [&](int32_t id, int32_t) {
      if (seen[id] == 0) return;  // met already
      out[id] = penalized(out[id], seen[id], penalties);
      seen[id] = 0;
    });
  }
}

}  // namespace braid::kernels::cpu
