#include "ranks/ranks.h"

#include <numeric>

namespace braid::ranks {

std::vector<int32_t> Ranks::all() const {
  std::vector<int32_t> ranks(static_cast<size_t>(size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

std::vector<int32_t> Ranks::members_of(int32_t group) const {
  std::vector<int32_t> ranks(static_cast<size_t>(layout_.attention.sizes[1]));
  std::iota(ranks.begin(), ranks.end(), leader_of(group));
  return ranks;
}

Status Ranks::run(std::span<const layers::StepShape> shapes, int64_t step) {
  TRY(submit(shapes, step, Order::waits_first));
  return wait(step);
}

Result<std::string> Ranks::ask(int32_t rank, const RankQuery& query) {
  return std::move(TRY(ask(std::vector<int32_t>{rank}, query)).front());
}

Status Ranks::set_execution(bool serial, flow::Delays delays) {
  return ask(all(), RankQuery::execution(serial, delays)).status();
}

}  // namespace braid::ranks
