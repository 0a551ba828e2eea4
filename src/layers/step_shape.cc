#include "layers/step_shape.h"

#include <fmt/format.h>

namespace braid::layers {

std::string StepShape::to_string() const {
  std::string rows = fmt::format("decode {}, prefill {}", own.decode, own.prefill);
  if (own != group) rows += fmt::format(" (most: {}, {})", group.decode, group.prefill);
  if (sampling == Sampling::extended) rows += ", extended sampling";
  return rows;
}

int32_t bucket_of(int32_t rows) {
  if (rows <= 2) return rows;
  int32_t power = 2;
  while (true) {
    if (rows <= power + power / 2) return power + power / 2;
    power *= 2;
    if (rows <= power) return power;
  }
}

}  // namespace braid::layers
