#include "experts/layer_planner.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace braid::experts {
namespace {

constexpr double kSlack = 0.005;  // of the mean load, within which ranks count as even
constexpr double kEven = 0.01;    // beyond it, swaps alone did not help enough
constexpr int kMostSwaps = 64;    // of a layer

}  // namespace

LayerPlanner::LayerPlanner(const PlacementSizes& sizes)
    : sizes_(sizes),
      replicas_(experts()),
      loads_(experts()),
      missing_(experts()),
      order_(experts()),
      ranks_(static_cast<size_t>(sizes.ranks)),
      home_(static_cast<size_t>(sizes.ranks) * experts()),
      holds_(home_.size()),
      members_(static_cast<size_t>(sizes.slots)),
      slots_(members_.size()) {}

std::span<const int32_t> LayerPlanner::plan(std::span<const double> heat,
                                            std::span<const int32_t> current) {
  count_replicas(heat);
  find_homes(current);
  start_from(current);
  assign();
  swap_while_better();
  const double by_swaps = busiest();
  if (by_swaps > mean_ * (1 + kEven)) {
    const std::vector<int32_t> swapped = members_;
    clear();
    assign();
    swap_while_better();
    if (busiest() > by_swaps * (1 - kEven)) {  // not worth its moves
      members_ = swapped;
      std::fill(holds_.begin(), holds_.end(), 0);
      for (size_t i = 0; i < members_.size(); ++i) {
        holds_[i / per_rank() * experts() + static_cast<size_t>(members_[i])] = 1;
      }
    }
  }
  lay_out(current);
  return slots_;
}

// Every further slot to the expert whose replicas have the most rows each.
void LayerPlanner::count_replicas(std::span<const double> heat) {
  std::fill(replicas_.begin(), replicas_.end(), 1);
  std::copy(heat.begin(), heat.end(), loads_.begin());
  mean_ = std::accumulate(heat.begin(), heat.end(), 0.0) / sizes_.ranks;
  const bool replicas = sizes_.redundant() > 0;
  hottest_.clear();
  for (size_t e = 0; replicas && e < experts(); ++e) {
    hottest_.emplace_back(heat[e], -static_cast<int32_t>(e));  // of equals the lower expert
  }
  std::make_heap(hottest_.begin(), hottest_.end());
  for (int32_t i = 0; i < sizes_.redundant(); ++i) {
    std::pop_heap(hottest_.begin(), hottest_.end());
    const auto e = static_cast<size_t>(-hottest_.back().second);
    loads_[e] = heat[e] / ++replicas_[e];
    hottest_.back().first = loads_[e];
    if (replicas_[e] == sizes_.ranks) {  // a rank holds it once
      hottest_.pop_back();
    } else {
      std::push_heap(hottest_.begin(), hottest_.end());
    }
  }
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(), [this](int32_t a, int32_t b) {
    return load_of(a) != load_of(b) ? load_of(a) > load_of(b) : a < b;
  });
}

void LayerPlanner::find_homes(std::span<const int32_t> current) {
  std::fill(home_.begin(), home_.end(), 0);
  const size_t per_rank_now = current.size() / ranks_.size();
  for (size_t slot = 0; slot < current.size(); ++slot) {
    home_[slot / per_rank_now * experts() + static_cast<size_t>(current[slot])] = 1;
  }
}

// All ranks empty.
void LayerPlanner::clear() {
  std::fill(holds_.begin(), holds_.end(), 0);
  std::fill(ranks_.begin(), ranks_.end(), Rank{});
  std::copy(replicas_.begin(), replicas_.end(), missing_.begin());
}

// All ranks with what they have, without the replicas that are too many.
void LayerPlanner::start_from(std::span<const int32_t> current) {
  clear();
  const size_t per_rank_now = current.size() / ranks_.size();
  for (int32_t rank = 0; rank < sizes_.ranks; ++rank) {
    keep_members(rank, current.subspan(static_cast<size_t>(rank) * per_rank_now, per_rank_now));
  }
}

// As far as they are wanted and there is room.
void LayerPlanner::keep_members(int32_t rank, std::span<const int32_t> now) {
  for (const int32_t expert : now) {
    int32_t& missing = missing_[static_cast<size_t>(expert)];
    if (missing == 0 || ranks_[static_cast<size_t>(rank)].count == sizes_.slots_of_rank()) continue;
    --missing;
    put(expert, rank);
  }
}

// The least loaded rank with a free slot that has no replica of the expert yet; one that holds it
// now, where that leaves it within its share. −1: there is none.
int32_t LayerPlanner::rank_for(int32_t expert) const {
  int32_t any = -1;
  int32_t home = -1;
  for (int32_t rank = 0; rank < sizes_.ranks; ++rank) {
    const Rank& of = ranks_[static_cast<size_t>(rank)];
    if (of.count == sizes_.slots_of_rank() || holds(rank, expert)) continue;
    const auto less = [&](int32_t best) {
      return best < 0 || of.load < ranks_[static_cast<size_t>(best)].load;
    };
    if (less(any)) any = rank;
    const size_t at = static_cast<size_t>(rank) * experts() + static_cast<size_t>(expert);
    if (home_[at] != 0 && of.load + load_of(expert) <= mean_ * (1 + kSlack) && less(home)) {
      home = rank;
    }
  }
  return home >= 0 ? home : any;
}

// Behind the members with a larger load.
void LayerPlanner::put(int32_t expert, int32_t rank) {
  Rank& of = ranks_[static_cast<size_t>(rank)];
  of.load += load_of(expert);
  holds_[static_cast<size_t>(rank) * experts() + static_cast<size_t>(expert)] = 1;
  replace(rank, static_cast<size_t>(of.count++), expert);
}

// `expert` for the member at `place`, moved to where its load belongs.
void LayerPlanner::replace(int32_t rank, size_t place, int32_t expert) {
  const auto all = members(rank);
  const auto count = static_cast<size_t>(ranks_[static_cast<size_t>(rank)].count);
  const double load = load_of(expert);
  for (; place > 0 && load_of(all[place - 1]) < load; --place) all[place] = all[place - 1];
  for (; place + 1 < count && load_of(all[place + 1]) > load; ++place) all[place] = all[place + 1];
  all[place] = expert;
}

// All ranks with a free slot hold `expert` already. Another rank, which is full then, has as many
// experts as such a rank may have, so that it holds one that this rank does not: that one goes
// there, and makes room.
void LayerPlanner::make_room(int32_t expert) {
  int32_t free = 0;
  while (ranks_[static_cast<size_t>(free)].count == sizes_.slots_of_rank()) ++free;
  int32_t full = 0;
  while (holds(full, expert)) ++full;
  const auto of_full = members(full);
  const auto guest = std::find_if(of_full.begin(), of_full.end(),
                                  [&](int32_t member) { return !holds(free, member); });
  const int32_t moved = *guest;
  Rank& from = ranks_[static_cast<size_t>(full)];
  std::copy(guest + 1, of_full.end(), guest);
  --from.count;
  from.load -= load_of(moved);
  holds_[static_cast<size_t>(full) * experts() + static_cast<size_t>(moved)] = 0;
  put(moved, free);
  put(expert, full);
}

void LayerPlanner::assign() {
  for (const int32_t expert : order_) {
    for (int32_t& missing = missing_[static_cast<size_t>(expert)]; missing > 0; --missing) {
      const int32_t rank = rank_for(expert);
      if (rank >= 0) {
        put(expert, rank);
      } else {
        make_room(expert);
      }
    }
  }
}

// Swaps one expert of `from` with one of `to`, the pair that brings their loads closest together;
// whether there is one that makes the larger load smaller.
bool LayerPlanner::swap_between(int32_t from, int32_t to) {
  const double gap = ranks_[static_cast<size_t>(from)].load - ranks_[static_cast<size_t>(to)].load;
  const auto of_from = members(from);
  const auto of_to = members(to);
  double best = gap - mean_ * kSlack;  // what is left of the gap
  size_t give = per_rank(), take = per_rank();
  // The loads of both descend, so that what fits best to a smaller one stands further behind.
  size_t below = 0;
  for (size_t a = 0; a < per_rank(); ++a) {
    const double wanted = load_of(of_from[a]) - gap / 2;
    while (below < per_rank() && load_of(of_to[below]) > wanted) ++below;
    if (holds(to, of_from[a])) continue;
    for (size_t b = below == 0 ? 0 : below - 1; b < std::min(below + 1, per_rank()); ++b) {
      const double left = 2 * std::abs(wanted - load_of(of_to[b]));
      if (left >= best || holds(from, of_to[b])) continue;
      best = left;
      give = a;
      take = b;
    }
  }
  if (give == per_rank()) return false;
  const int32_t given = of_from[give], taken = of_to[take];
  const auto flag = [&](int32_t rank, int32_t expert) -> uint8_t& {
    return holds_[static_cast<size_t>(rank) * experts() + static_cast<size_t>(expert)];
  };
  std::swap(flag(from, given), flag(to, given));
  std::swap(flag(from, taken), flag(to, taken));
  replace(from, give, taken);
  replace(to, take, given);
  const double shift = load_of(given) - load_of(taken);
  ranks_[static_cast<size_t>(from)].load -= shift;
  ranks_[static_cast<size_t>(to)].load += shift;
  return true;
}

double LayerPlanner::busiest() const {
  double most = 0;
  for (const Rank& rank : ranks_) most = std::max(most, rank.load);
  return most;
}

void LayerPlanner::swap_while_better() {
  const auto less = [](const Rank& a, const Rank& b) { return a.load < b.load; };
  for (int swaps = 0; swaps < kMostSwaps; ++swaps) {
    const auto busiest = std::max_element(ranks_.begin(), ranks_.end(), less);
    if (busiest->load <= mean_ * (1 + kSlack)) return;
    const auto from = static_cast<int32_t>(busiest - ranks_.begin());
    const auto idlest = std::min_element(ranks_.begin(), ranks_.end(), less);
    bool swapped = swap_between(from, static_cast<int32_t>(idlest - ranks_.begin()));
    for (int32_t to = 0; !swapped && to < sizes_.ranks; ++to) {
      if (to != from) swapped = swap_between(from, to);
    }
    if (!swapped) return;
  }
}

// What a rank keeps stays in its slot; the others fill the slots between.
void LayerPlanner::lay_out(std::span<const int32_t> current) {
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
    auto free = out.begin();
    for (const int32_t expert : members(rank)) {
      if (to_place[static_cast<size_t>(expert)] == 0) continue;
      free = std::find(free, out.end(), -1);
      *free = expert;
    }
  }
}

}  // namespace braid::experts
