#include "model/rounded_source.h"

#include "base/float16.h"

namespace braid::model {

std::optional<kernels::UniformDesc> RoundedSource::formula(std::string_view name) const {
  std::optional<kernels::UniformDesc> desc = source_.formula(name);
  if (desc) desc->to_bf16 = true;
  return desc;
}

Status RoundedSource::read_checked(std::string_view name, std::span<const int64_t> shape,
                                   const Block& block, std::span<float> out) const {
  TRY(source_.read_block(name, shape, block, out));
  for (float& value : out) value = to_float(from_float<bf16>(value));
  return {};
}

}  // namespace braid::model
