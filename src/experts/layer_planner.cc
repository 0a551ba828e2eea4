#include "experts/layer_planner.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace braid::experts {
namespace {

// Loads are parts of the load that the busiest rank has in the best case.
constexpr double kSlack = 0.005;  // a load this close to the best case counts as the best case
constexpr double kEven = 0.01;    // swaps alone did not help enough where more is left
constexpr int kMostSwaps = 64;    // of a layer

}  // namespace

LayerPlanner::LayerPlanner(const PlacementSizes& sizes)
    : sizes_(sizes),
      replicas_(experts()),
      loads_(experts()),
      missing_(experts()),
      order_(experts()),
      other_(experts()),
      ranks_(static_cast<size_t>(sizes.ranks)),
      home_(static_cast<size_t>(sizes.ranks) * experts()),
      holds_(home_.size()),
      held_(static_cast<size_t>(sizes.slots)),
      slots_(held_.size()) {}

std::span<const int32_t> LayerPlanner::plan(std::span<const double> heat,
                                            std::span<const int32_t> current) {
  count_replicas(heat);
  find_homes(current);
  start_from(current);
  assign();
  swap_while_better();
  busiest_ = most_loaded();
  if (busiest_ > least_ * (1 + kEven)) {
    swapped_ = held_;
    clear();
    assign();
    swap_while_better();
    if (most_loaded() > busiest_ * (1 - kEven)) {  // the gain isn't worth the moves
      std::swap(held_, swapped_);
      std::fill(holds_.begin(), holds_.end(), 0);
      for (size_t i = 0; i < held_.size(); ++i) {
        flag(static_cast<int32_t>(i / per_rank()), held_[i].expert) = 1;
      }
    } else {
      busiest_ = most_loaded();
    }
  }
  lay_out(current);
  return slots_;
}

// Gives every redundant slot to the expert whose replicas have the most rows each. Only the first
// experts of the order get one: a heap holds those that did, and the order has the next one.
void LayerPlanner::count_replicas(std::span<const double> heat) {
  const auto before = [](const Replica& a, const Replica& b) { return a.before(b); };
  const auto behind = [](const Replica& a, const Replica& b) { return b.before(a); };
  std::fill(replicas_.begin(), replicas_.end(), 1);
  std::copy(heat.begin(), heat.end(), loads_.begin());
  for (size_t e = 0; e < experts(); ++e) order_[e] = {heat[e], static_cast<int32_t>(e)};
  std::sort(order_.begin(), order_.end(), before);
  size_t next = 0;
  size_t in_heap = 0;  // other_ holds the heap
  for (int32_t i = 0; i < sizes_.redundant(); ++i) {
    const bool first = in_heap == 0 || (next < experts() && order_[next].before(other_.front()));
    if (first) {
      other_[in_heap++] = order_[next++];
    } else {
      std::pop_heap(other_.begin(), other_.begin() + static_cast<ptrdiff_t>(in_heap), behind);
    }
    Replica& hottest = other_[in_heap - 1];
    const auto e = static_cast<size_t>(hottest.expert);
    hottest.load = loads_[e] = heat[e] / ++replicas_[e];
    if (replicas_[e] == sizes_.ranks) {  // every rank holds it
      --in_heap;
    } else {
      std::push_heap(other_.begin(), other_.begin() + static_cast<ptrdiff_t>(in_heap), behind);
    }
  }
  sort_again(next);
  least_ = least_of_busiest();
}

// Sorts again: the first experts of the order have less load than before.
void LayerPlanner::sort_again(size_t replicated) {
  if (replicated == 0) return;
  const auto before = [](const Replica& a, const Replica& b) { return a.before(b); };
  const auto rest = order_.begin() + static_cast<ptrdiff_t>(replicated);
  std::for_each(order_.begin(), rest, [this](Replica& replica) {
    replica.load = loads_[static_cast<size_t>(replica.expert)];
  });
  std::sort(order_.begin(), rest, before);
  std::merge(order_.begin(), rest, rest, order_.end(), other_.begin(), before);
  std::swap(order_, other_);
}

// The mean load; or, where that is more, the load of the hottest replica together with the coldest
// ones in all other slots of its rank.
double LayerPlanner::least_of_busiest() const {
  double all = 0;
  double with_hottest = order_.front().load;
  for (size_t i = 0; i < experts(); ++i) {
    all += order_[i].load * replicas_[static_cast<size_t>(order_[i].expert)];
    if (i > 0 && i + per_rank() > experts()) with_hottest += order_[i].load;
  }
  return std::max(all / sizes_.ranks, with_hottest);
}

void LayerPlanner::find_homes(std::span<const int32_t> current) {
  std::fill(home_.begin(), home_.end(), 0);
  const size_t per_rank_now = current.size() / ranks_.size();
  for (size_t slot = 0; slot < current.size(); ++slot) {
    home_[slot / per_rank_now * experts() + static_cast<size_t>(current[slot])] = 1;
  }
}

// Empties all ranks.
void LayerPlanner::clear() {
  std::fill(holds_.begin(), holds_.end(), 0);
  std::fill(ranks_.begin(), ranks_.end(), Rank{});
  std::copy(replicas_.begin(), replicas_.end(), missing_.begin());
}

// Gives all ranks what they have now, without the replicas that are too many.
void LayerPlanner::start_from(std::span<const int32_t> current) {
  clear();
  const size_t per_rank_now = current.size() / ranks_.size();
  for (int32_t rank = 0; rank < sizes_.ranks; ++rank) {
    keep(rank, current.subspan(static_cast<size_t>(rank) * per_rank_now, per_rank_now));
  }
  list_held();
}

// Lets the rank keep what it has, as far as that is wanted and there is room.
void LayerPlanner::keep(int32_t rank, std::span<const int32_t> now) {
  Rank& of = ranks_[static_cast<size_t>(rank)];
  for (const int32_t expert : now) {
    int32_t& missing = missing_[static_cast<size_t>(expert)];
    if (missing == 0 || of.count == sizes_.slots_of_rank()) continue;
    --missing;
    ++of.count;
    of.load += loads_[static_cast<size_t>(expert)];
    flag(rank, expert) = 1;
  }
}

// Lists what the ranks hold, in the order of loads.
void LayerPlanner::list_held() {
  for (int32_t rank = 0; rank < sizes_.ranks; ++rank) {
    auto next = held(rank).begin();
    for (const Replica& replica : order_) {
      if (holds(rank, replica.expert)) *next++ = replica;
    }
  }
}

// The least loaded rank with a free slot that has no replica of the expert yet. A rank that holds
// the expert now is preferred where that leaves it within its share. −1: there is none.
int32_t LayerPlanner::rank_for(const Replica& replica) const {
  int32_t any = -1;
  int32_t home = -1;
  for (int32_t rank = 0; rank < sizes_.ranks; ++rank) {
    const Rank& of = ranks_[static_cast<size_t>(rank)];
    if (of.count == sizes_.slots_of_rank() || holds(rank, replica.expert)) continue;
    const auto less = [&](int32_t best) {
      return best < 0 || of.load < ranks_[static_cast<size_t>(best)].load;
    };
    if (less(any)) any = rank;
    const size_t at = static_cast<size_t>(rank) * experts() + static_cast<size_t>(replica.expert);
    if (home_[at] != 0 && of.load + replica.load <= least_ * (1 + kSlack) && less(home))
      home = rank;
  }
  return home >= 0 ? home : any;
}

// Inserts the replica behind those with a larger load.
void LayerPlanner::put(const Replica& replica, int32_t rank) {
  Rank& of = ranks_[static_cast<size_t>(rank)];
  of.load += replica.load;
  flag(rank, replica.expert) = 1;
  replace(rank, static_cast<size_t>(of.count++), replica);
}

// Replaces what the rank holds at `place`, and moves the replica to where its load belongs.
void LayerPlanner::replace(int32_t rank, size_t place, const Replica& replica) {
  const auto all = held(rank);
  const auto count = static_cast<size_t>(ranks_[static_cast<size_t>(rank)].count);
  const Replica moved = replica;
  for (; place > 0 && all[place - 1].load < moved.load; --place) all[place] = all[place - 1];
  for (; place + 1 < count && all[place + 1].load > moved.load; ++place) {
    all[place] = all[place + 1];
  }
  all[place] = moved;
}

// Makes room for a replica where all ranks with a free slot hold the expert already. Any other rank
// is full, and so holds more experts than a rank with a free slot. One of them is not on that rank:
// it moves there, and the replica takes its place.
void LayerPlanner::make_room(const Replica& replica) {
  int32_t free = 0;
  while (ranks_[static_cast<size_t>(free)].count == sizes_.slots_of_rank()) ++free;
  int32_t full = 0;
  while (holds(full, replica.expert)) ++full;
  const auto of_full = held(full);
  const auto guest = std::find_if(of_full.begin(), of_full.end(), [&](const Replica& member) {
    return !holds(free, member.expert);
  });
  const Replica moved = *guest;
  Rank& from = ranks_[static_cast<size_t>(full)];
  std::copy(guest + 1, of_full.end(), guest);
  --from.count;
  from.load -= moved.load;
  flag(full, moved.expert) = 0;
  put(moved, free);
  put(replica, full);
}

void LayerPlanner::assign() {
  for (const Replica& replica : order_) {
    for (int32_t& missing = missing_[static_cast<size_t>(replica.expert)]; missing > 0; --missing) {
      const int32_t rank = rank_for(replica);
      if (rank >= 0) {
        put(replica, rank);
      } else {
        make_room(replica);
      }
    }
  }
}

// Swaps one expert of `from` with one of `to`: the pair that brings their loads closest together.
// False where no pair makes the larger load smaller.
bool LayerPlanner::swap_between(int32_t from, int32_t to) {
  const double gap = ranks_[static_cast<size_t>(from)].load - ranks_[static_cast<size_t>(to)].load;
  const auto of_from = held(from);
  const auto of_to = held(to);
  double best = gap - least_ * kSlack;  // what is left of the gap
  size_t give = per_rank(), take = per_rank();
  // The loads of both descend, so that the best partner of a smaller load stands further behind.
  size_t below = 0;
  for (size_t a = 0; a < per_rank(); ++a) {
    const double wanted = of_from[a].load - gap / 2;
    while (below < per_rank() && of_to[below].load > wanted) ++below;
    if (holds(to, of_from[a].expert)) continue;
    for (size_t b = below == 0 ? 0 : below - 1; b < std::min(below + 1, per_rank()); ++b) {
      const double left = 2 * std::abs(wanted - of_to[b].load);
      if (left >= best || holds(from, of_to[b].expert)) continue;
      best = left;
      give = a;
      take = b;
    }
  }
  if (give == per_rank()) return false;
  const Replica given = of_from[give], taken = of_to[take];
  std::swap(flag(from, given.expert), flag(to, given.expert));
  std::swap(flag(from, taken.expert), flag(to, taken.expert));
  replace(from, give, taken);
  replace(to, take, given);
  const double shift = given.load - taken.load;
  ranks_[static_cast<size_t>(from)].load -= shift;
  ranks_[static_cast<size_t>(to)].load += shift;
  return true;
}

double LayerPlanner::most_loaded() const {
  double most = 0;
  for (const Rank& rank : ranks_) most = std::max(most, rank.load);
  return most;
}

void LayerPlanner::swap_while_better() {
  const auto less = [](const Rank& a, const Rank& b) { return a.load < b.load; };
  for (int swaps = 0; swaps < kMostSwaps; ++swaps) {
    const auto busiest = std::max_element(ranks_.begin(), ranks_.end(), less);
    if (busiest->load <= least_ * (1 + kSlack)) return;
    const auto from = static_cast<int32_t>(busiest - ranks_.begin());
    const auto idlest = std::min_element(ranks_.begin(), ranks_.end(), less);
    bool swapped = swap_between(from, static_cast<int32_t>(idlest - ranks_.begin()));
    for (int32_t to = 0; !swapped && to < sizes_.ranks; ++to) {
      if (to != from) swapped = swap_between(from, to);
    }
    if (!swapped) return;
  }
}

// An expert that its rank keeps stays in its slot. The others fill the slots between.
void LayerPlanner::lay_out(std::span<const int32_t> current) {
  moved_ = 0;
  const size_t per_rank_now = current.size() / ranks_.size();
  for (int32_t rank = 0; rank < sizes_.ranks; ++rank) {
    const auto index = static_cast<size_t>(rank);
    const std::span<int32_t> out = std::span(slots_).subspan(index * per_rank(), per_rank());
    std::fill(out.begin(), out.end(), -1);
    const auto now = current.subspan(index * per_rank_now, per_rank_now);
    uint8_t* const to_place = holds_.data() + index * experts();
    for (size_t slot = 0; slot < std::min(per_rank(), per_rank_now); ++slot) {
      const auto expert = static_cast<size_t>(now[slot]);
      if (to_place[expert] == 0) continue;
      out[slot] = now[slot];
      to_place[expert] = 0;
    }
    const uint8_t* const home = home_.data() + index * experts();
    auto free = out.begin();
    for (const Replica& member : held(rank)) {
      if (to_place[static_cast<size_t>(member.expert)] == 0) continue;
      free = std::find(free, out.end(), -1);
      *free = member.expert;
      moved_ += home[member.expert] == 0 ? 1 : 0;
    }
  }
}

}  // namespace braid::experts
