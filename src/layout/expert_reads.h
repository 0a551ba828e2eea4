// How unevenly random routing falls on groups of ranks with different experts: the answer to "why
// is expert parallelism slower than tensor parallelism in decode?"
#pragma once

#include <cstdint>

namespace braid::layout {

// Experts whose weights a step reads, as expected when every token chooses any top_k of them,
// independently of all others.
struct ExpertReads {
  double all = 0;      // that any token chose
  double slowest = 0;  // of these, on the group that has the most of them
};

// `groups` divides num_experts, and top_k is no more than them.
ExpertReads expected_reads(int64_t num_experts, int64_t top_k, int32_t groups, int64_t tokens);

// How many times the weights the slowest rank reads with `groups` groups of different experts, than
// it would with every expert cut over all ranks (TP); however many ranks share a group.
double slowest_over_even(int64_t num_experts, int64_t top_k, int32_t groups, int64_t tokens);

}  // namespace braid::layout
