// Where weights come from, as float32: a checkpoint folder, or made-up values (--load-format
// dummy).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/checkpoint.h"
#include "model/quantization.h"

namespace braid::model {

// A rectangle of a tensor seen as a matrix: rows are the first dimension, columns all others.
struct Block {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first_column = 0;
  int64_t columns = 0;
};

struct SourceOptions {
  bool check_weights = false;  // refuse NaN and infinity, naming tensor and index
};

// Tensors by their names in the checkpoint ("model.layers.0.mlp.gate_proj.weight"). Quantized
// weights are dequantized; callers give the logical shape [n, k]. Reads may run on many threads.
class TensorSource {
 public:
  explicit TensorSource(SourceOptions options) : options_(options) {}
  virtual ~TensorSource() = default;

  // Whether the tensor can be read. A dummy source has every tensor.
  virtual bool has(std::string_view name) const = 0;

  // Reads the tensor of `shape` whole, some of its rows, or a block of it into `out`, row-major
  // [rows, columns]. Errors: not_found (no such tensor, names it and the folder), corrupt_data (its
  // dtype or shape, or those of its scales, are not as expected), usage never.
  Status read(std::string_view name, std::span<const int64_t> shape, std::span<float> out) const;
  Status read_rows(std::string_view name, std::span<const int64_t> shape, int64_t first_row,
                   int64_t rows, std::span<float> out) const;
  Status read_block(std::string_view name, std::span<const int64_t> shape, const Block& block,
                    std::span<float> out) const;

  // Bytes that the tensor and its scales take in the checkpoint (for progress); 0 when it has none.
  virtual int64_t bytes(std::string_view name) const = 0;
  // Bytes of all tensors, those of skipped layers included.
  virtual int64_t bytes() const = 0;

 private:
  virtual Status read_checked(std::string_view name, std::span<const int64_t> shape,
                              const Block& block, std::span<float> out) const = 0;
  SourceOptions options_;
};

class CheckpointSource final : public TensorSource {
 public:
  CheckpointSource(Checkpoint checkpoint, QuantScheme scheme, SourceOptions options = {});

  bool has(std::string_view name) const override;
  int64_t bytes(std::string_view name) const override;
  int64_t bytes() const override;

 private:
  Status read_checked(std::string_view name, std::span<const int64_t> shape, const Block& block,
                      std::span<float> out) const override;
  Checkpoint checkpoint_;
  QuantScheme scheme_;
};

// Values that depend on (name, index, seed) alone, whatever is read in which order: norm weights 1,
// biases within ±0.01, all else uniform with standard deviation 0.02.
class DummySource final : public TensorSource {
 public:
  explicit DummySource(uint64_t seed = 0, SourceOptions options = {});

  bool has(std::string_view name) const override;
  int64_t bytes(std::string_view name) const override;
  int64_t bytes() const override;

 private:
  Status read_checked(std::string_view name, std::span<const int64_t> shape, const Block& block,
                      std::span<float> out) const override;
  uint64_t seed_;
};

// The index of the first NaN or infinity.
std::optional<int64_t> find_non_finite(std::span<const float> values);

}  // namespace braid::model
