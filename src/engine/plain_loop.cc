// The plain loop: each step is planned when all tokens of the one before it are known.
#include "engine/engine.h"

namespace braid::engine {

Result<std::vector<TokenEvent>> Engine::step_plainly() {
  const std::optional<InFlight> step = TRY(launch(ranks::Ranks::Order::waits_first));
  return step ? collect(*step) : std::vector<TokenEvent>();
}

}  // namespace braid::engine
