// The communicators of a layout whose ranks are all in this process.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "comm/local/local_group.h"
#include "layout/layout.h"

namespace braid::ranks {

class LocalWorld {
 public:
  // A rank that comes `timeout` later than another to a collective fails it. With `link` each rank
  // has one such link to the others, which all its communicators share.
  LocalWorld(const layout::Layout& layout, std::chrono::milliseconds timeout,
             const std::optional<LinkSpeed>& link = {});

  // The ends of one rank, by the communicators' ids in the layout.
  std::vector<comm::Communicator*> communicators_of(int32_t rank) const;

 private:
  // A communicator of the layout: its groups, and the member that each rank is.
  struct Groups {
    std::vector<std::unique_ptr<comm::LocalGroup>> groups;
    std::vector<comm::Communicator*> of_rank;
  };
  std::vector<std::unique_ptr<comm::EmulatedLink>> links_;  // of the ranks; empty: none
  std::vector<Groups> communicators_;
};

}  // namespace braid::ranks
