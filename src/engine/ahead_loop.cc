// The loop that runs one step ahead: while step n runs, step n + 1 is planned and started, so that
// the device goes from one to the next without the host.
//
// Step n + 1 doesn't know which tokens step n samples. An op reads them on the device (input_ids),
// and the host reads them a step late. A stop token, a cancellation or a preemption therefore takes
// effect one step late: step n + 1 computes a row for a sequence that has ended, and its token is
// dropped. Which tokens are delivered doesn't depend on it.
//
// Where step n + 1 needs KV blocks that step n still uses, it is planned when n is done.
#include "engine/engine.h"

namespace braid::engine {

Result<std::vector<TokenEvent>> Engine::step_ahead() {
  constexpr auto kOrder = ranks::Ranks::Order::submits_next;
  if (!in_flight_) in_flight_ = TRY(launch(kOrder));
  if (!in_flight_) return std::vector<TokenEvent>();
  std::optional<InFlight> next = TRY(launch(kOrder));
  const InFlight step = std::move(*in_flight_);
  in_flight_ = std::move(next);
  return collect(step);
}

}  // namespace braid::engine
