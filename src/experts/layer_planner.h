// LayerPlanner: plans a placement of one layer's experts for their heat (balance.h says how).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "experts/placement.h"

namespace braid::experts {

// It keeps its memory from layer to layer.
class LayerPlanner {
 public:
  explicit LayerPlanner(const PlacementSizes& sizes);

  // heat [E]; current: experts of the slots in use, of ranks · (any number of slots). The result,
  // [slots], is valid until the next call.
  std::span<const int32_t> plan(std::span<const double> heat, std::span<const int32_t> current);
  // How many slots of the last plan hold an expert that their rank does not have now.
  int64_t moved() const { return moved_; }
  // Load of the last plan's busiest rank.
  double busiest() const { return busiest_; }

 private:
  struct Rank {
    double load = 0;
    int32_t count = 0;  // slots that are taken
  };
  struct Replica {
    double load = 0;
    int32_t expert = 0;

    // Whether it has the larger load, or of equal loads the lower expert.
    bool before(const Replica& other) const {
      return load != other.load ? load > other.load : expert < other.expert;
    }
  };

  void count_replicas(std::span<const double> heat);
  void sort_again(size_t replicated);
  double least_of_busiest() const;
  void find_homes(std::span<const int32_t> current);
  void clear();
  void start_from(std::span<const int32_t> current);
  void keep(int32_t rank, std::span<const int32_t> now);
  void list_held();
  void assign();
  int32_t rank_for(const Replica& replica) const;
  void put(const Replica& replica, int32_t rank);
  void make_room(const Replica& replica);
  void swap_while_better();
  double most_loaded() const;
  bool swap_between(int32_t from, int32_t to);
  void replace(int32_t rank, size_t place, const Replica& replica);
  void lay_out(std::span<const int32_t> current);

  bool holds(int32_t rank, int32_t expert) const {
    return holds_[static_cast<size_t>(rank) * experts() + static_cast<size_t>(expert)] != 0;
  }
  size_t experts() const { return static_cast<size_t>(sizes_.experts); }
  size_t per_rank() const { return static_cast<size_t>(sizes_.slots_of_rank()); }
  std::span<Replica> held(int32_t rank) {
    return std::span(held_).subspan(static_cast<size_t>(rank) * per_rank(), per_rank());
  }
  uint8_t& flag(int32_t rank, int32_t expert) {
    return holds_[static_cast<size_t>(rank) * experts() + static_cast<size_t>(expert)];
  }

  PlacementSizes sizes_;
  double least_ = 0;               // load of the busiest rank in the best case
  std::vector<int32_t> replicas_;  // [E]
  std::vector<double> loads_;      // [E], of one replica
  std::vector<int32_t> missing_;   // [E], replicas that have no rank yet
  std::vector<Replica> order_;     // one an expert, the largest load first
  std::vector<Replica> other_;     // room for another order
  std::vector<Rank> ranks_;
  std::vector<uint8_t> home_;   // [ranks, E]: the rank holds the expert now
  std::vector<uint8_t> holds_;  // [ranks, E]: the rank will hold it
  std::vector<Replica>
      held_;  // [ranks, slots of a rank]: what each will hold, the largest load first
  std::vector<Replica> swapped_;  // held_ as swaps alone left it
  std::vector<int32_t> slots_;    // the result
  int64_t moved_ = 0;
  double busiest_ = 0;
};

}  // namespace braid::experts
