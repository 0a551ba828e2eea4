// Which collectives of which ranks meet: the k-th one of a communicator on each of its ranks.
#pragma once

#include <functional>
#include <string>

#include "flow/check/check.h"

namespace braid::flow::check {

// A collective that a rank issues on lane comm.
struct Issue {
  int32_t node = 0;  // names the op in the caller's graph
  const KindInfo* kind = nullptr;
  Collective collective;
};

// Nodes that meet, one of each member. `issued` is per rank, in issue order; `text` names a node in
// messages. `internal` when the members of a group issue different sequences.
Result<std::vector<std::vector<int32_t>>> match_collectives(
    const std::vector<std::vector<Issue>>& issued, std::span<const CommunicatorGroup> groups,
    const std::function<std::string(int32_t)>& text);

}  // namespace braid::flow::check
