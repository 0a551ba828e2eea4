// Collectives: ops that all ranks of a communicator issue together.
#pragma once

#include "ops/builder.h"

namespace braid::ops {

enum class ReduceMethod : int32_t {
  direct,       // the library's own all-reduce (NCCL); on the CPU a sum in the order of the ranks
  copy_engine,  // CUDA only: peer copies and one addition, so that no SM is taken from a GEMM
};

// out [T, C] = the sum over the communicator's ranks of in [T, C], rounded once.
struct AllReduceDesc {
  int32_t communicator = 0;
  int32_t ranks = 1;
  ReduceMethod method = ReduceMethod::direct;
};

struct AllReduceOperand {
  enum : size_t { in, out, num_operands };
};

// out [ranks · R, C] = the rows of all ranks' in [R, C], one rank behind the other.
struct AllGatherDesc {
  int32_t communicator = 0;
  int32_t ranks = 1;
};

struct AllGatherOperand {
  enum : size_t { in, out, num_operands };
};

// Sums a Partial over all the ranks that hold a part of it: x [T, C] → [T, C], on whose Partial
// axes every rank then has the whole.
Value all_reduce(Builder& b, Value x, std::string_view label,
                 ReduceMethod method = ReduceMethod::direct);

// The parts of all ranks along `axis` of x's mesh, on which x [R, C] is sharded, by rows or by
// columns → [ranks · R, C], rows as AllGatherDesc lays them, the same on all ranks of the axis.
Value all_gather(Builder& b, Value x, size_t axis, std::string_view label);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::ops::AllReduceDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::ops::AllGatherDesc>();
