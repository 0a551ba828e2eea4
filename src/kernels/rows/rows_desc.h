// Row-wise moves and sums.
#pragma once

#include <cstdint>

namespace braid::kernels {

// out[t] = table[index[t]]; an index of −1 gives zeros. (Embedding; the rows that get logits.)
struct GatherRowsDesc {};

// out = a + b, in float32, rounded once. out may be a.
struct AddDesc {};

// out = in, bytes unchanged: step inputs from the host's set, probes.
struct CopyDesc {};

// The same towards the host, on lane copy: sampled ids and what else is read after a step.
struct ReadBackDesc {};

}  // namespace braid::kernels
