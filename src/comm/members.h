// Which ranks make up a group, and which of them this one is.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

namespace braid::comm {

struct Members {
  std::vector<int32_t> ranks;  // of the world, ascending
  int32_t index = 0;           // of this rank among them

  int32_t size() const { return static_cast<int32_t>(ranks.size()); }
  // The member that this rank deals with in turn `turn`. Turn 0 is this rank itself; in every turn
  // each member deals with another one.
  int32_t peer(int32_t turn) const { return (index + turn) % size(); }

  // All ranks of a world.
  static Members all(int32_t world, int32_t rank) {
    Members members{.ranks = std::vector<int32_t>(static_cast<size_t>(world)), .index = rank};
    std::iota(members.ranks.begin(), members.ranks.end(), 0);
    return members;
  }
};

}  // namespace braid::comm
