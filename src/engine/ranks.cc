#include "engine/ranks.h"

#include <numeric>

namespace braid::engine {

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

Result<std::string> Ranks::ask(int32_t rank, const Inquiry& inquiry) {
  return std::move(TRY(ask(std::vector<int32_t>{rank}, inquiry)).front());
}

Status Ranks::set_execution(bool serial, flow::Delays delays) {
  return ask(all(), Inquiry::execution(serial, delays)).status();
}

}  // namespace braid::engine
