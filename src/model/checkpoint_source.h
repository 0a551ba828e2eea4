// Weights of a checkpoint folder, dequantized where they are stored quantized.
#pragma once

#include "model/checkpoint.h"
#include "model/quantization.h"
#include "model/tensor_source.h"

namespace braid::model {

// What a tensor is stored as decides how it is read; `scheme` says which scales to expect. A tensor
// stored quantized that the scheme leaves unquantized is refused. f32, bf16 and f16 convert
// exactly.
class CheckpointSource final : public TensorSource {
 public:
  CheckpointSource(Checkpoint checkpoint, QuantScheme scheme, SourceOptions options = {});

  const Checkpoint& checkpoint() const { return checkpoint_; }
  bool has(std::string_view name) const override;
  int64_t bytes(std::string_view name) const override;
  int64_t bytes() const override;

 private:
  Status read_checked(std::string_view name, std::span<const int64_t> shape, const Block& block,
                      std::span<float> out) const override;
  Status read_rows_checked(std::string_view name, std::span<const int64_t> shape,
                           const Block& block, const NumberRows& out) const override;

  Checkpoint checkpoint_;
  QuantScheme scheme_;
};

}  // namespace braid::model
