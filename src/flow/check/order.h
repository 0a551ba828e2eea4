// Happens-before, derived from nothing but lane orders, waits, named launches and collectives.
#pragma once

#include "flow/check/check.h"

namespace braid::flow::check {

// The ops of all launches of all ranks, as nodes of one graph, with a clock each: how many ops of
// every lane of every rank have surely ended when the op touches memory.
class Order {
 public:
  struct Node {
    int32_t rank = 0;
    int32_t launch = 0;  // of its rank
    int32_t op = 0;
    int32_t lane = 0;         // over all ranks: rank · kNumLanes + lane
    int32_t position = 0;     // on that lane, over all launches
    int32_t rendezvous = -1;  // index of the collective's meeting; -1: no collective
  };

  // `internal` when collectives differ between ranks or when the graph has a cycle.
  static Result<Order> derive(std::span<const std::span<const Launch>> ranks,
                              std::span<const CommunicatorGroup> groups);

  // `a` has ended when `b` touches memory. False for two parts of one collective.
  bool before(int32_t a, int32_t b) const {
    const Node& first = nodes_[static_cast<size_t>(a)];
    return known(b, first.lane) > first.position;
  }
  // How many ops of a lane have ended when a node touches memory.
  int32_t known(int32_t node, int32_t lane) const {
    return clocks_[static_cast<size_t>(node) * lanes_ + static_cast<size_t>(lane)];
  }

  const std::vector<Node>& nodes() const { return nodes_; }
  // All nodes, each after everything that happens before it.
  const std::vector<int32_t>& sorted() const { return sorted_; }
  int64_t meetings() const { return meetings_; }

 private:
  friend class OrderBuilder;
  size_t lanes_ = 0;
  std::vector<Node> nodes_;
  std::vector<int32_t> clocks_;  // [nodes, lanes]
  std::vector<int32_t> sorted_;
  int64_t meetings_ = 0;
};

}  // namespace braid::flow::check
