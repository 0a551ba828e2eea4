#include "ranks/local_world.h"

namespace braid::ranks {

LocalWorld::LocalWorld(const layout::Layout& layout, std::chrono::milliseconds timeout,
                       const std::optional<LinkSpeed>& link) {
  for (int32_t rank = 0; link && rank < layout.world; ++rank) {
    links_.push_back(std::make_unique<comm::EmulatedLink>(*link));
  }
  for (const layout::RankGroups& communicator : layout.communicators) {
    Groups& groups = communicators_.emplace_back();
    groups.of_rank.resize(static_cast<size_t>(layout.world));
    for (const std::vector<int32_t>& members : communicator.groups) {
      std::vector<comm::EmulatedLink*> links;
      for (const int32_t rank : members) {
        if (link) links.push_back(links_[static_cast<size_t>(rank)].get());
      }
      groups.groups.push_back(
          std::make_unique<comm::LocalGroup>(members, timeout, std::move(links)));
      for (size_t i = 0; i < members.size(); ++i) {
        groups.of_rank[static_cast<size_t>(members[i])] =
            &groups.groups.back()->member(static_cast<int32_t>(i));
      }
    }
  }
}

std::vector<comm::Communicator*> LocalWorld::communicators_of(int32_t rank) const {
  std::vector<comm::Communicator*> ends;
  for (const Groups& groups : communicators_) {
    ends.push_back(groups.of_rank[static_cast<size_t>(rank)]);
  }
  return ends;
}

}  // namespace braid::ranks
