#include "comm/comm.h"

namespace braid::comm {
namespace {

Error not_there(std::string_view collective) {
  return Error(ErrorKind::unsupported, "these ranks can't exchange different numbers of rows")
      .with("collective", collective)
      .remedy("Leave --dp out.");
}

}  // namespace

Status Communicator::all_gather_v(std::span<const Gather> /*buffers*/,
                                  std::span<const int32_t> /*counts*/, device::Queue* /*queue*/) {
  return not_there("all_gather_v");
}

Status Communicator::reduce_scatter_v(const Rows& /*in*/, const Rows& /*out*/,
                                      std::span<const int32_t> /*counts*/,
                                      device::Queue* /*queue*/) {
  return not_there("reduce_scatter_v");
}

Status Communicator::all_to_all_v(std::span<const Gather> /*buffers*/, const int32_t* /*counts*/,
                                  int32_t* /*received*/, device::Queue* /*queue*/) {
  return Error(ErrorKind::unsupported, "these ranks can't send rows to one another")
      .with("collective", "all_to_all_v")
      .remedy("Use --dispatch gather.");
}

int64_t total_of(std::span<const int32_t> counts) {
  return first_of(counts, static_cast<int32_t>(counts.size()));
}

int64_t first_of(std::span<const int32_t> counts, int32_t index) {
  int64_t first = 0;
  for (const int32_t count : counts.first(static_cast<size_t>(index))) first += count;
  return first;
}

}  // namespace braid::comm
