// Row-wise moves and sums.
#pragma once

#include <cstdint>

namespace braid::kernels {

// out[t] = table[index[t]]; an index of −1 gives zeros. (Embedding; the rows that get logits.)
struct GatherRowsDesc {};

// out = a + b, in float32, rounded once. out may be a.
struct AddDesc {};

// out = in, bytes unchanged: step inputs from the host's set, results to it, probes.
struct CopyDesc {};

}  // namespace braid::kernels
