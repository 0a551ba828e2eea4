#include "flow/cuda/cuda_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace braid::flow {
namespace {

// What the driver calls CU_GRAPH_NODE_TYPE_BATCH_MEM_OP; the runtime has no name for it.
constexpr int kMemoryOperation = 12;

// The nodes of a captured graph with the nodes before each.
class Nodes {
 public:
  static Result<Nodes> read(cudaGraph_t graph) {
    Nodes out;
    size_t count = 0;
    CUDA_TRY(cudaGraphGetNodes(graph, nullptr, &count));
    out.all.resize(count);
    CUDA_TRY(cudaGraphGetNodes(graph, out.all.data(), &count));
    size_t edges = 0;
    CUDA_TRY(cudaGraphGetEdges(graph, nullptr, nullptr, nullptr, &edges));
    std::vector<cudaGraphNode_t> from(edges);
    std::vector<cudaGraphNode_t> to(edges);
    std::vector<cudaGraphEdgeData> data(edges);
    CUDA_TRY(cudaGraphGetEdges(graph, from.data(), to.data(), data.data(), &edges));
    for (size_t i = 0; i < edges; ++i) out.before[to[i]].push_back(from[i]);
    return out;
  }

  std::vector<cudaGraphNode_t> all;
  std::unordered_map<cudaGraphNode_t, std::vector<cudaGraphNode_t>> before;
};

Error broken(const Schedule& schedule, size_t op, std::string_view what) {
  return Error(ErrorKind::internal, "a captured graph has another order than its Schedule")
      .with("op", schedule.program.describe(schedule.program.ops[op]))
      .with("found", what);
}

// The node that each lane ended in after each op.
class LaneChains {
 public:
  LaneChains(const Schedule& schedule, const CudaLanes& lanes)
      : schedule_(schedule), lanes_(lanes), last_(schedule.program.ops.size()) {}

  Status after(size_t op) {
    const cudaStream_t stream = lanes_.stream(schedule_.program.ops[op].lane);
    cudaStreamCaptureStatus status{};
    const cudaGraphNode_t* nodes = nullptr;
    size_t count = 0;
    CUDA_TRY(cudaStreamGetCaptureInfo(stream, &status, nullptr, nullptr, &nodes, nullptr, &count));
    if (status != cudaStreamCaptureStatusActive || count != 1) {
      return broken(schedule_, op, "its lane does not end in one node");
    }
    last_[op] = nodes[0];
    ends_[nodes[0]] = op;
    return {};
  }

  // From each op's last node back to the lane's node before it there is a chain; together the
  // chains hold every node.
  Status check(const Nodes& nodes) const {
    std::unordered_map<cudaGraphNode_t, Lane> owner;
    for (const Lane lane : kLanes) {
      cudaGraphNode_t previous = nullptr;
      for (const int32_t index : schedule_.lanes[index_of(lane)]) {
        const auto op = static_cast<size_t>(index);
        TRY(walk(nodes, op, previous, lane, owner));
        previous = last_[op];
      }
    }
    for (const cudaGraphNode_t node : nodes.all) {
      cudaGraphNodeType type{};
      CUDA_TRY(cudaGraphNodeGetType(node, &type));
      if (type != cudaGraphNodeTypeEmpty && !owner.contains(node)) {
        return Error(ErrorKind::internal, "a captured graph has a node that no op made");
      }
    }
    return {};
  }

 private:
  // Takes the nodes of `op`, from its last one back to `previous`; back to where the lane begins
  // when there is none before it.
  Status walk(const Nodes& nodes, size_t op, cudaGraphNode_t previous, Lane lane,
              std::unordered_map<cudaGraphNode_t, Lane>& owner) const {
    for (cudaGraphNode_t node = last_[op]; node != previous;) {
      if (!owner.emplace(node, lane).second) {
        return broken(schedule_, op, "it shares a node with another op");
      }
      const auto found = nodes.before.find(node);
      const auto* before = found == nodes.before.end() ? nullptr : &found->second;
      if (before != nullptr && std::ranges::count(*before, previous) != 0) return {};
      if (before == nullptr || before->size() != 1 || ends_another(before->front(), op)) {
        if (previous == nullptr) return {};
        return broken(schedule_, op, "it does not follow its lane's op before it");
      }
      node = before->front();
    }
    return {};
  }

  bool ends_another(cudaGraphNode_t node, size_t op) const {
    const auto found = ends_.find(node);
    return found != ends_.end() && found->second != op;
  }

  const Schedule& schedule_;
  const CudaLanes& lanes_;
  std::vector<cudaGraphNode_t> last_;                 // per op
  std::unordered_map<cudaGraphNode_t, size_t> ends_;  // nodes that others may wait for → their op
};

Result<GraphSummary> summarize(const Nodes& nodes, const Schedule& schedule) {
  GraphSummary summary{.lanes = schedule.lanes_used()};
  for (const cudaGraphNode_t node : nodes.all) {
    cudaGraphNodeType type{};
    CUDA_TRY(cudaGraphNodeGetType(node, &type));
    switch (type) {
      case cudaGraphNodeTypeKernel: ++summary.kernels; break;
      case cudaGraphNodeTypeMemcpy:
      case cudaGraphNodeTypeMemset: ++summary.copies; break;
      case cudaGraphNodeTypeEventRecord: ++summary.stamps; break;
      case cudaGraphNodeTypeEmpty: break;
      default: static_cast<int>(type) == kMemoryOperation ? ++summary.words : ++summary.others;
    }
  }
  return summary;
}

}  // namespace

std::string GraphSummary::to_string() const {
  return fmt::format("{} kernels, {} copies, {} words, {} stamps, {} others on {} lanes", kernels,
                     copies, words, stamps, others, lanes);
}

Result<std::unique_ptr<CudaGraph>> CudaGraph::capture(const BoundSchedule& bound, CudaLanes& lanes,
                                                      IssueOptions options) {
  const Schedule& schedule = *bound.schedule;
  const AwaitedEvents events = TRY(awaited_events(schedule));
  std::unique_ptr<CudaGraph> graph(new CudaGraph);
  LaneChains chains(schedule, lanes);
  const cudaStream_t origin = lanes.stream(origin_of(schedule));
  options.capturing = true;
  CUDA_TRY(cudaStreamBeginCapture(origin, cudaStreamCaptureModeThreadLocal));
  const Status issued =
      issue(bound, lanes, events, options, [&](size_t op) { return chains.after(op); });
  const Status ended =
      device::cuda_status(cudaStreamEndCapture(origin, &graph->graph_), "cudaStreamEndCapture");
  TRY(issued);
  TRY(ended);
  const Nodes nodes = TRY(Nodes::read(graph->graph_));
  TRY(chains.check(nodes));
  graph->summary_ = TRY(summarize(nodes, schedule));
  CUDA_TRY(cudaGraphInstantiate(&graph->executable_, graph->graph_, 0));
  return graph;
}

CudaGraph::~CudaGraph() {
  if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
  if (graph_ != nullptr) cudaGraphDestroy(graph_);
}

Status CudaGraph::replay(cudaStream_t stream) const {
  CUDA_TRY(cudaGraphLaunch(executable_, stream));
  return {};
}

}  // namespace braid::flow
