#include "flow/check/collectives.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace braid::flow::check {
namespace {

using Sequences = std::vector<std::vector<Issue>>;  // per rank, of one communicator
using Text = std::function<std::string(int32_t)>;

bool alike(const Issue& a, const Issue& b) {
  return a.kind == b.kind && a.collective.signature == b.collective.signature &&
         a.collective.barrier == b.collective.barrier;
}

// Appends the meetings of one group.
Status match_group(const Sequences& issued, const CommunicatorGroup& group, const Text& text,
                   std::vector<std::vector<int32_t>>& meetings) {
  const auto of = [&](int32_t rank) -> const std::vector<Issue>& {
    return issued[static_cast<size_t>(rank)];
  };
  const int32_t longest =
      *std::max_element(group.ranks.begin(), group.ranks.end(),
                        [&](int32_t a, int32_t b) { return of(a).size() < of(b).size(); });
  for (size_t k = 0; k < of(longest).size(); ++k) {
    std::vector<int32_t>& meeting = meetings.emplace_back();
    for (const int32_t rank : group.ranks) {
      if (k < of(rank).size() && alike(of(rank)[k], of(longest)[k])) {
        meeting.push_back(of(rank)[k].node);
        continue;
      }
      return Error(ErrorKind::internal, "ranks issue different sequences of collectives")
          .with("communicator", group.communicator)
          .with("place in the sequence", k)
          .with("rank", longest)
          .with("issues", text(of(longest)[k].node))
          .with("other rank", rank)
          .with("there", k < of(rank).size() ? text(of(rank)[k].node) : "none");
    }
  }
  return {};
}

// The groups of one communicator: the named ones, else one of all ranks.
std::vector<CommunicatorGroup> groups_of(int32_t communicator, size_t ranks,
                                         std::span<const CommunicatorGroup> groups) {
  std::vector<CommunicatorGroup> found;
  for (const CommunicatorGroup& group : groups) {
    if (group.communicator == communicator && !group.ranks.empty()) found.push_back(group);
  }
  if (found.empty()) {
    found.push_back({communicator, std::vector<int32_t>(ranks)});
    std::iota(found.back().ranks.begin(), found.back().ranks.end(), 0);
  }
  return found;
}

}  // namespace

Result<std::vector<std::vector<int32_t>>> match_collectives(
    const std::vector<std::vector<Issue>>& issued, std::span<const CommunicatorGroup> groups,
    const Text& text) {
  std::map<int32_t, Sequences> by_communicator;
  for (size_t rank = 0; rank < issued.size(); ++rank) {
    for (const Issue& issue : issued[rank]) {
      Sequences& sequences = by_communicator[issue.collective.communicator];
      sequences.resize(issued.size());
      sequences[rank].push_back(issue);
    }
  }
  std::vector<std::vector<int32_t>> meetings;
  for (const auto& [communicator, sequences] : by_communicator) {
    std::set<int32_t> members;
    for (const auto& group : groups_of(communicator, issued.size(), groups)) {
      for (const int32_t rank : group.ranks) {
        if (static_cast<size_t>(rank) < issued.size() && members.insert(rank).second) continue;
        return Error(ErrorKind::internal, "a communicator's groups name no rank, or one twice")
            .with("communicator", communicator)
            .with("rank", rank);
      }
      TRY(match_group(sequences, group, text, meetings));
    }
    for (size_t rank = 0; rank < issued.size(); ++rank) {
      if (sequences[rank].empty() || members.contains(static_cast<int32_t>(rank))) continue;
      return Error(ErrorKind::internal, "a rank issues a collective of a group that it isn't in")
          .with("communicator", communicator)
          .with("op", text(sequences[rank].front().node));
    }
  }
  return meetings;
}

}  // namespace braid::flow::check
