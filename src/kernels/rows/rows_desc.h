// Row-wise moves and sums.
#pragma once

#include <cstdint>

namespace braid::kernels {

// out[t] = table[index[t] − first] where index[t] is one of the `count` from `first` on; zeros for
// any other index, −1 among them. (Embedding, of which a rank may hold a part; the rows that get
// logits.)
struct GatherRowsDesc {
  int32_t first = 0;
  int32_t count = INT32_MAX;
};

// out[t] = sampled[source[t]] where source[t] is 0 or more, else given[t]. (Token ids of a step:
// the host need not know yet what the step before it samples.) history[kv_slots[t]] = out[t] where
// the slot is 0 or more: so a sequence's tokens can be read where its KV cache is.
struct InputIdsDesc {};

// in [parts · R, C] → out [R, N]: rows r of all parts, which are one behind the other, side by
// side: ceil(N / parts) columns of each, as far as there are any. The others are pads.
struct JoinColumnsDesc {
  int32_t parts = 1;
};

// out = a + b, in float32, rounded once. out may be a.
struct AddDesc {};

// out = in, bytes unchanged: step inputs from the host's set, probes.
struct CopyDesc {};

// The same towards the host, on lane copy: sampled ids and what else is read after a step.
struct ReadBackDesc {};

}  // namespace braid::kernels
