#include "cost/decisions.h"

#include <fmt/format.h>

namespace braid::cost {

std::string Decision::predicted() const {
  std::string text;
  std::string_view separator = "; predicted: ";
  for (const Alternative& alternative : alternatives) {
    text += fmt::format("{}{} {:.1f} µs", separator, alternative.choice, alternative.us);
    separator = ", ";
  }
  return text;
}

}  // namespace braid::cost
