#include "flow/check/order.h"

#include <fmt/format.h>

#include <algorithm>

#include "flow/check/access.h"
#include "flow/check/collectives.h"

namespace braid::flow::check {
namespace {

// One collective of all members of a communicator group.
struct Meeting {
  std::vector<int32_t> nodes;
  bool barrier = false;
  size_t arrived = 0;
};

}  // namespace

// Lets the ops of all ranks run in abstract time: a node ends when everything before it has ended
// and, for a collective, when all its members have started. What can't end is a cycle.
class OrderBuilder {
 public:
  OrderBuilder(std::span<const std::span<const Launch>> ranks,
               std::span<const CommunicatorGroup> groups)
      : ranks_(ranks), groups_(groups) {
    order_.lanes_ = ranks.size() * kNumLanes;
  }

  Result<Order> build() {
    add_nodes();
    TRY(find_meetings());
    add_lanes_and_waits();
    add_launches();
    run();
    if (ended_ < pending_.size()) return cycle();
    order_.meetings_ = static_cast<int64_t>(meetings_.size());
    order_.clocks_.resize(order_.nodes_.size() * order_.lanes_);
    return std::move(order_);
  }

 private:
  struct Edge {
    int32_t to;
    int32_t next;
  };
  using Node = Order::Node;

  const Node& node(int32_t id) const { return order_.nodes_[static_cast<size_t>(id)]; }
  const Program& program_of(const Node& of) const {
    return ranks_[static_cast<size_t>(of.rank)][static_cast<size_t>(of.launch)].schedule->program;
  }
  int32_t* clock(int32_t id) {
    return order_.clocks_.data() + static_cast<size_t>(id) * order_.lanes_;
  }

  // Nodes of ops first; then, for launches that name others, two nodes without an op each.
  void add_nodes() {
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      first_node_.emplace_back();
      for (size_t launch = 0; launch < ranks_[rank].size(); ++launch) {
        first_node_[rank].push_back(static_cast<int32_t>(order_.nodes_.size()));
        const auto& ops = ranks_[rank][launch].schedule->program.ops;
        for (size_t op = 0; op < ops.size(); ++op) {
          const auto lane = rank * kNumLanes + index_of(ops[op].lane);
          order_.nodes_.push_back({static_cast<int32_t>(rank), static_cast<int32_t>(launch),
                                   static_cast<int32_t>(op), static_cast<int32_t>(lane)});
        }
      }
    }
    resize(order_.nodes_.size());
  }

  void resize(size_t nodes) {
    first_edge_.resize(nodes, -1);
    pending_.resize(nodes, 0);
    done_.resize(nodes, false);
    order_.clocks_.resize(nodes * order_.lanes_, 0);
  }

  int32_t add_plain_node() {
    resize(pending_.size() + 1);
    return static_cast<int32_t>(pending_.size()) - 1;
  }

  void add_edge(int32_t from, int32_t to) {
    edges_.push_back({to, first_edge_[static_cast<size_t>(from)]});
    first_edge_[static_cast<size_t>(from)] = static_cast<int32_t>(edges_.size()) - 1;
    ++pending_[static_cast<size_t>(to)];
  }

  void add_lanes_and_waits() {
    edges_.reserve(order_.nodes_.size() * 2);
    std::vector<int32_t> newest(order_.lanes_, -1);
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      for (size_t launch = 0; launch < ranks_[rank].size(); ++launch) {
        const Schedule& schedule = *ranks_[rank][launch].schedule;
        const int32_t first = first_node_[rank][launch];
        for (size_t lane = 0; lane < kNumLanes; ++lane) {
          int32_t& last = newest[rank * kNumLanes + lane];
          for (const int32_t op : schedule.lanes[lane]) {
            Node& next = order_.nodes_[static_cast<size_t>(first) + static_cast<size_t>(op)];
            next.position = last < 0 ? 0 : node(last).position + 1;
            if (last >= 0) add_edge(last, first + op);
            last = first + op;
          }
        }
        for (size_t op = 0; op < schedule.waits.size(); ++op) {
          for (const int32_t wait : schedule.waits[op]) {
            add_edge(first + wait, first + static_cast<int32_t>(op));
          }
        }
      }
    }
  }

  // A launch that is named gets a node for its end, one that names others a node for its start.
  void add_launches() {
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      std::vector<int32_t> ends(ranks_[rank].size(), -1);
      for (size_t launch = 0; launch < ranks_[rank].size(); ++launch) {
        const Launch& later = ranks_[rank][launch];
        if (later.after.empty()) continue;
        const int32_t start = add_plain_node();
        for (const int32_t named : later.after) {
          int32_t& end = ends[static_cast<size_t>(named)];
          if (end < 0) end = add_end(rank, static_cast<size_t>(named));
          add_edge(end, start);
        }
        for_each_op(rank, launch, [&](int32_t op) { add_edge(start, op); });
      }
    }
  }

  int32_t add_end(size_t rank, size_t launch) {
    const int32_t end = add_plain_node();
    for_each_op(rank, launch, [&](int32_t op) { add_edge(op, end); });
    return end;
  }

  template <typename Visit>
  void for_each_op(size_t rank, size_t launch, Visit&& visit) const {
    const size_t ops = ranks_[rank][launch].schedule->program.ops.size();
    for (size_t op = 0; op < ops; ++op) {
      visit(first_node_[rank][launch] + static_cast<int32_t>(op));
    }
  }

  Status find_meetings();

  void run() {
    std::vector<int32_t> ready;
    for (size_t id = pending_.size(); id-- > 0;) {
      if (pending_[id] == 0) ready.push_back(static_cast<int32_t>(id));
    }
    while (!ready.empty()) {
      const int32_t id = ready.back();
      ready.pop_back();
      const bool is_op = static_cast<size_t>(id) < order_.nodes_.size();
      if (is_op && node(id).rendezvous >= 0) {
        meet(meetings_[static_cast<size_t>(node(id).rendezvous)], ready);
      } else {
        end(id, ready);
      }
    }
  }

  // A collective has started; the last of its members ends it everywhere.
  void meet(Meeting& meeting, std::vector<int32_t>& ready) {
    if (++meeting.arrived < meeting.nodes.size()) return;
    const int32_t first = meeting.nodes.front();
    for (const int32_t member : meeting.nodes) {
      merge(clock(first), clock(member));
      if (meeting.barrier) clock(first)[node(member).lane] = node(member).position + 1;
    }
    for (const int32_t member : meeting.nodes) merge(clock(member), clock(first));
    for (const int32_t member : meeting.nodes) end(member, ready);
  }

  void end(int32_t id, std::vector<int32_t>& ready) {
    done_[static_cast<size_t>(id)] = true;
    ++ended_;
    const bool is_op = static_cast<size_t>(id) < order_.nodes_.size();
    if (is_op) order_.sorted_.push_back(id);
    for (int32_t edge = first_edge_[static_cast<size_t>(id)]; edge >= 0;) {
      const auto [to, next] = edges_[static_cast<size_t>(edge)];
      merge(clock(to), clock(id));
      if (is_op) {
        int32_t& known = clock(to)[node(id).lane];
        known = std::max(known, node(id).position + 1);
      }
      if (--pending_[static_cast<size_t>(to)] == 0) ready.push_back(to);
      edge = next;
    }
  }

  void merge(int32_t* into, const int32_t* other) const {
    for (size_t lane = 0; lane < order_.lanes_; ++lane) {
      into[lane] = std::max(into[lane], other[lane]);
    }
  }

  std::string text(int32_t id) const {
    if (static_cast<size_t>(id) >= order_.nodes_.size()) return "a launch's start or end";
    const Node& of = node(id);
    return fmt::format(
        "{}lane {} {}", ranks_.size() > 1 ? fmt::format("rank {} ", of.rank) : std::string(),
        name_of(kLanes[static_cast<size_t>(of.lane) % kNumLanes]), op_text(program_of(of), of.op));
  }

  Error cycle() const;
  int32_t blocker(int32_t id) const;

  std::span<const std::span<const Launch>> ranks_;
  std::span<const CommunicatorGroup> groups_;
  Order order_;
  std::vector<std::vector<int32_t>> first_node_;  // [rank][launch]
  std::vector<Edge> edges_;
  std::vector<int32_t> first_edge_;  // per node, into edges_; -1: none
  std::vector<int32_t> pending_;     // per node: edges to it whose start hasn't ended
  std::vector<bool> done_;
  std::vector<Meeting> meetings_;
  size_t ended_ = 0;
};

Status OrderBuilder::find_meetings() {
  std::vector<std::vector<Issue>> issued(ranks_.size());
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    for (size_t launch = 0; launch < ranks_[rank].size(); ++launch) {
      const Schedule& schedule = *ranks_[rank][launch].schedule;
      for (const Lane lane : kLanes) {
        for (const int32_t index : schedule.lanes[index_of(lane)]) {
          const Op& op = op_at(schedule.program, index);
          const std::optional<Collective> collective = schedule.program.collective_of(op);
          if (!collective) continue;
          const int32_t id = first_node_[rank][launch] + index;
          if (lane != Lane::comm) {
            return Error(ErrorKind::internal, "a collective stands on another lane than comm")
                .with("op", text(id));
          }
          issued[rank].push_back({id, &op.kind(), *collective});
        }
      }
    }
  }
  auto matched = TRY(match_collectives(issued, groups_, [&](int32_t id) { return text(id); }));
  for (std::vector<int32_t>& nodes : matched) {
    for (const int32_t id : nodes) {
      order_.nodes_[static_cast<size_t>(id)].rendezvous = static_cast<int32_t>(meetings_.size());
    }
    meetings_.push_back({std::move(nodes)});
    const Node& any = node(meetings_.back().nodes.front());
    const Program& program = program_of(any);
    meetings_.back().barrier = program.collective_of(op_at(program, any.op))->barrier;
  }
  return {};
}

// A node that has not ended and that keeps `id` from ending.
int32_t OrderBuilder::blocker(int32_t id) const {
  if (pending_[static_cast<size_t>(id)] == 0) {  // a collective that misses a member
    for (const int32_t member : meetings_[static_cast<size_t>(node(id).rendezvous)].nodes) {
      if (pending_[static_cast<size_t>(member)] > 0) return member;
    }
  }
  for (size_t from = 0; from < first_edge_.size(); ++from) {
    if (done_[from]) continue;
    for (int32_t edge = first_edge_[from]; edge >= 0;
         edge = edges_[static_cast<size_t>(edge)].next) {
      if (edges_[static_cast<size_t>(edge)].to == id) return static_cast<int32_t>(from);
    }
  }
  return id;
}

Error OrderBuilder::cycle() const {
  int32_t id = static_cast<int32_t>(std::find(done_.begin(), done_.end(), false) - done_.begin());
  std::vector<int32_t> path;
  while (std::find(path.begin(), path.end(), id) == path.end()) {
    path.push_back(id);
    id = blocker(id);
  }
  std::string ops;
  for (auto at = std::find(path.begin(), path.end(), id); at != path.end(); ++at) {
    ops += text(*at) + " waits for ";
  }
  return Error(ErrorKind::internal, "lane orders, waits and collectives form a cycle")
      .with("cycle", ops + text(id));
}

Result<Order> Order::derive(std::span<const std::span<const Launch>> ranks,
                            std::span<const CommunicatorGroup> groups) {
  return OrderBuilder(ranks, groups).build();
}

}  // namespace braid::flow::check
