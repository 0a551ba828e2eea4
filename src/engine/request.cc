#include "engine/request.h"

namespace braid::engine {

std::string_view name_of(FinishReason reason) {
  return reason == FinishReason::stop ? "stop" : "length";
}

}  // namespace braid::engine
