// LayerPlanner: a placement of one layer's experts for their heat.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "experts/placement.h"

namespace braid::experts {

// Keeps its memory from layer to layer.
class LayerPlanner {
 public:
  explicit LayerPlanner(const PlacementSizes& sizes);

  // heat [E]; current: experts of the slots in use, of ranks · (any number of slots). The result,
  // [slots], is valid until the next call.
  std::span<const int32_t> plan(std::span<const double> heat, std::span<const int32_t> current);

 private:
  struct Rank {
    double load = 0;
    int32_t count = 0;  // of the slots that are taken
  };

  void count_replicas(std::span<const double> heat);
  void find_homes(std::span<const int32_t> current);
  void clear();
  void start_from(std::span<const int32_t> current);
  void keep_members(int32_t rank, std::span<const int32_t> now);
  void assign();
  int32_t rank_for(int32_t expert) const;
  void put(int32_t expert, int32_t rank);
  void make_room(int32_t expert);
  void swap_while_better();
  double busiest() const;
  bool swap_between(int32_t from, int32_t to);
  void replace(int32_t rank, size_t place, int32_t expert);
  void lay_out(std::span<const int32_t> current);

  bool holds(int32_t rank, int32_t expert) const {
    return holds_[static_cast<size_t>(rank) * experts() + static_cast<size_t>(expert)] != 0;
  }
  size_t experts() const { return static_cast<size_t>(sizes_.experts); }
  size_t per_rank() const { return static_cast<size_t>(sizes_.slots_of_rank()); }
  std::span<int32_t> members(int32_t rank) {
    return std::span(members_).subspan(static_cast<size_t>(rank) * per_rank(), per_rank());
  }
  double load_of(int32_t expert) const { return loads_[static_cast<size_t>(expert)]; }

  PlacementSizes sizes_;
  double mean_ = 0;                                  // load of a rank
  std::vector<int32_t> replicas_;                    // [E]
  std::vector<double> loads_;                        // [E], of one replica
  std::vector<int32_t> missing_;                     // [E], replicas that are on no rank yet
  std::vector<int32_t> order_;                       // experts, the largest load first
  std::vector<std::pair<double, int32_t>> hottest_;  // a heap of loads, and their experts negated
  std::vector<Rank> ranks_;
  std::vector<uint8_t> home_;   // [ranks, E]: holds the expert now
  std::vector<uint8_t> holds_;  // [ranks, E]: will
  std::vector<int32_t>
      members_;  // [ranks, slots of a rank]: the experts it will hold, ordered likewise
  std::vector<int32_t> slots_;  // the result
};

}  // namespace braid::experts
