#include "flow/cuda/cuda_graph.h"

#include <cuda.h>
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "device/cuda/driver.h"

namespace braid::flow {
namespace {

// The driver is asked: the runtime has no name for operations on words.
Result<CUgraphNodeType> type_of(cudaGraphNode_t node) {
  using TypeCall = CUresult (*)(CUgraphNode, CUgraphNodeType*);
  static const Result<void*> kCall = device::find_driver_function("cuGraphNodeGetType");
  TRY(kCall.status());
  CUgraphNodeType type{};
  if (reinterpret_cast<TypeCall>(*kCall)(node, &type) == CUDA_SUCCESS) return type;
  return Error(ErrorKind::fault, "a node of a graph has no type");
}

struct Edge {
  cudaGraphNode_t from = nullptr;
  cudaGraphNode_t to = nullptr;
};

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
    for (size_t i = 0; i < edges; ++i) {
      out.before_[to[i]].push_back(from[i]);
      if (data[i].type == cudaGraphDependencyTypeDefault) continue;
      if (data[i].type == cudaGraphDependencyTypeProgrammatic &&
          data[i].from_port == cudaGraphKernelNodePortProgrammatic) {
        out.programmatic.push_back({from[i], to[i]});
        continue;
      }
      return Error(ErrorKind::internal, "a captured graph has an edge of an unknown kind")
          .with("type", static_cast<int>(data[i].type))
          .with("port", static_cast<int>(data[i].from_port));
    }
    return out;
  }

  const std::vector<cudaGraphNode_t>& before_of(cudaGraphNode_t node) const {
    static const std::vector<cudaGraphNode_t> kNone;
    const auto found = before_.find(node);
    return found == before_.end() ? kNone : found->second;
  }

  // Whether a path of edges leads from `first` to `last`; mostly it is a single edge.
  bool is_before(cudaGraphNode_t first, cudaGraphNode_t last) const {
    std::vector<cudaGraphNode_t> open = {last};
    std::unordered_set<cudaGraphNode_t> seen;
    while (!open.empty()) {
      const auto& before = before_of(open.back());
      open.pop_back();
      if (std::ranges::count(before, first) != 0) return true;
      for (const cudaGraphNode_t node : before) {
        if (seen.insert(node).second) open.push_back(node);
      }
    }
    return false;
  }

  std::vector<cudaGraphNode_t> all;
  std::vector<Edge> programmatic;

 private:
  std::unordered_map<cudaGraphNode_t, std::vector<cudaGraphNode_t>> before_;
};

Error broken(const Schedule& schedule, size_t op, std::string_view what) {
  return Error(ErrorKind::internal, "a captured graph has another order than its Schedule")
      .with("op", schedule.program.describe(schedule.program.ops[op]))
      .with("found", what);
}

// Whether a node keeps the GPU busy: all but marks that libraries leave, such as events.
bool is_work(CUgraphNodeType type) {
  return type == CU_GRAPH_NODE_TYPE_KERNEL || type == CU_GRAPH_NODE_TYPE_MEMCPY ||
         type == CU_GRAPH_NODE_TYPE_MEMSET || type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP;
}

// The nodes that lanes ended in after their ops, from which each op's own nodes follow.
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

  // All work of a lane is in one order, op by op, and there is no other work.
  Status check(const Nodes& nodes) const {
    Owners owned;
    for (const Lane lane : kLanes) {
      cudaGraphNode_t previous = nullptr;
      for (const int32_t index : schedule_.lanes[index_of(lane)]) {
        const auto op = static_cast<size_t>(index);
        TRY(check_op(nodes, op, previous, TRY(take_work(nodes, op, owned))));
        previous = last_[op];
      }
    }
    for (const cudaGraphNode_t node : nodes.all) {
      const CUgraphNodeType type = TRY(type_of(node));
      if (!is_work(type) || owned.contains(node)) continue;
      return Error(ErrorKind::internal, "a captured graph has work that no op made")
          .with("node type", static_cast<int>(type));
    }
    for (const Edge& edge : nodes.programmatic) TRY(check_programmatic(edge, owned));
    return {};
  }

 private:
  using Owners = std::unordered_map<cudaGraphNode_t, size_t>;  // nodes → the op that made them

  // Between two kernels of one op, whose launcher answers for it; or from the last node of the op
  // before on the lane to one that follows.
  Status check_programmatic(const Edge& edge, const Owners& owned) const {
    const auto from = owned.find(edge.from);
    const auto to = owned.find(edge.to);
    if (from == owned.end() || to == owned.end()) {
      return Error(ErrorKind::internal, "a programmatic edge of a captured graph is no op's");
    }
    if (from->second == to->second) return {};
    const auto& lane = schedule_.lanes[index_of(schedule_.program.ops[to->second].lane)];
    const auto place = std::ranges::find(lane, static_cast<int32_t>(to->second));
    const bool neighbours = place != lane.begin() && place != lane.end() &&
                            static_cast<size_t>(*(place - 1)) == from->second &&
                            last_[from->second] == edge.from;
    if (neighbours && schedule_.successions[to->second].follows) return {};
    return broken(schedule_, to->second, "it may start early behind an op that it does not follow")
        .with("behind", schedule_.program.describe(schedule_.program.ops[from->second]));
  }

  // The work before an op's last node, back to nodes that other ops end in.
  Result<std::vector<cudaGraphNode_t>> take_work(const Nodes& nodes, size_t op,
                                                 Owners& owned) const {
    std::vector<cudaGraphNode_t> work;
    std::vector<cudaGraphNode_t> open = {last_[op]};
    while (!open.empty()) {
      const cudaGraphNode_t node = open.back();
      open.pop_back();
      const auto end = ends_.find(node);
      const bool of_another = end != ends_.end() && end->second != op;
      if (of_another || !owned.emplace(node, op).second) continue;
      if (is_work(TRY(type_of(node)))) work.push_back(node);
      for (const cudaGraphNode_t before : nodes.before_of(node)) open.push_back(before);
    }
    return work;
  }

  Status check_op(const Nodes& nodes, size_t op, cudaGraphNode_t previous,
                  const std::vector<cudaGraphNode_t>& work) const {
    if (work.empty()) return broken(schedule_, op, "it shares its nodes with another op");
    for (size_t i = 0; i < work.size(); ++i) {
      if (previous != nullptr && !nodes.is_before(previous, work[i])) {
        return broken(schedule_, op, "it does not follow its lane's op before it");
      }
      for (size_t j = 0; j < i; ++j) {
        if (nodes.is_before(work[i], work[j]) || nodes.is_before(work[j], work[i])) continue;
        return broken(schedule_, op, "two of its nodes can run at once");
      }
    }
    return {};
  }

  const Schedule& schedule_;
  const CudaLanes& lanes_;
  std::vector<cudaGraphNode_t> last_;                 // per op
  std::unordered_map<cudaGraphNode_t, size_t> ends_;  // nodes that others may wait for → their op
};

Result<GraphSummary> summarize(const Nodes& nodes, const Schedule& schedule) {
  GraphSummary summary{.early = static_cast<int64_t>(nodes.programmatic.size()),
                       .lanes = schedule.lanes_used()};
  for (const cudaGraphNode_t node : nodes.all) {
    switch (TRY(type_of(node))) {
      case CU_GRAPH_NODE_TYPE_KERNEL: ++summary.kernels; break;
      case CU_GRAPH_NODE_TYPE_MEMCPY:
      case CU_GRAPH_NODE_TYPE_MEMSET: ++summary.copies; break;
      case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: ++summary.words; break;
      case CU_GRAPH_NODE_TYPE_EVENT_RECORD: ++summary.stamps; break;
      case CU_GRAPH_NODE_TYPE_EMPTY: break;
      default: ++summary.others;
    }
  }
  return summary;
}

}  // namespace

std::string GraphSummary::to_string() const {
  const std::string launched_early = early > 0 ? fmt::format(" ({} launched early)", early) : "";
  return fmt::format("{} kernels{}, {} copies, {} words, {} stamps, {} others on {} lanes", kernels,
                     launched_early, copies, words, stamps, others, lanes);
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
