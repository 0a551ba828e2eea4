// Weights rounded to bfloat16: a float32 model on them computes with exactly the weights that a
// bfloat16 model has.
#pragma once

#include "model/tensor_source.h"

namespace braid::model {

class RoundedSource final : public TensorSource {
 public:
  // `source` must outlive this.
  explicit RoundedSource(const TensorSource& source) : TensorSource({}), source_(source) {}

  bool has(std::string_view name) const override { return source_.has(name); }
  int64_t bytes(std::string_view name) const override { return source_.bytes(name); }
  int64_t bytes() const override { return source_.bytes(); }
  std::optional<kernels::UniformDesc> formula(std::string_view name) const override;

 private:
  Status read_checked(std::string_view name, std::span<const int64_t> shape, const Block& block,
                      std::span<float> out) const override;

  const TensorSource& source_;
};

}  // namespace braid::model
