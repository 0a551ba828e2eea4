// A Schedule captured as a CUDA graph, read back and checked: the nodes of a lane form a chain, so
// that no more nodes can run at once than there are lanes. Programmatic edges, over which a kernel
// may start before the one in front has ended, lead to ops that follow, from their lane's op
// before, and nowhere else.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "flow/cuda/issue.h"

namespace braid::flow {

// What a captured graph consists of.
struct GraphSummary {
  int64_t kernels = 0;
  int64_t early = 0;   // of the kernels: may be launched while the kernel before still runs
  int64_t copies = 0;  // copies and fills of memory
  int64_t words = 0;   // words written or awaited by a stream
  int64_t stamps = 0;  // time stamps
  int64_t others = 0;
  int lanes = 0;

  std::string to_string() const;
};

class CudaGraph {
 public:
  // Captures `bound` as step `options.step`. `internal` when the read-back finds another order than
  // the Schedule's.
  static Result<std::unique_ptr<CudaGraph>> capture(const BoundSchedule& bound, CudaLanes& lanes,
                                                    IssueOptions options);
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  Status replay(cudaStream_t stream) const;
  const GraphSummary& summary() const { return summary_; }

 private:
  CudaGraph() = default;

  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
  GraphSummary summary_;
};

}  // namespace braid::flow
