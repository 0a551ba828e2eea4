// Made-up weights, for runs without a checkpoint (--load-format dummy).
#pragma once

#include "model/tensor_source.h"

namespace braid::model {

// Values that depend on (name, index, seed) alone, whatever is read in which order: norm weights 1,
// biases uniform within ±0.01, all else uniform with standard deviation 0.02. Has no bytes.
class DummySource final : public TensorSource {
 public:
  explicit DummySource(uint64_t seed = 0, SourceOptions options = {});

  bool has(std::string_view name) const override;
  int64_t bytes(std::string_view name) const override;
  int64_t bytes() const override;
  // The formula of all weights but those of norms.
  std::optional<kernels::UniformDesc> formula(std::string_view name) const override;

 private:
  Status read_checked(std::string_view name, std::span<const int64_t> shape, const Block& block,
                      std::span<float> out) const override;
  uint64_t seed_;
};

}  // namespace braid::model
