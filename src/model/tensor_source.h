// Where weights come from, as float32: a checkpoint folder, or made-up values (--load-format
// dummy).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/status.h"

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

  // Reads the tensor of `shape`, some of its rows, or a block of it into `out`, row-major
  // [rows, columns]; only the bytes of those rows are touched. A block outside of the shape and an
  // `out` of another size are the caller's mistake, and abort. Errors: not_found (no such tensor or
  // none of its scales), corrupt_data (dtype or shape of either is not as expected, or a value is
  // not finite under check_weights).
  Status read(std::string_view name, std::span<const int64_t> shape, std::span<float> out) const;
  Status read_rows(std::string_view name, std::span<const int64_t> shape, int64_t first_row,
                   int64_t rows, std::span<float> out) const;
  Status read_block(std::string_view name, std::span<const int64_t> shape, const Block& block,
                    std::span<float> out) const;

  // Bytes that the tensor and its scales take in the checkpoint (for progress); 0 when it has none.
  virtual int64_t bytes(std::string_view name) const = 0;
  // Bytes of all tensors, those of layers that are never read included.
  virtual int64_t bytes() const = 0;

 private:
  virtual Status read_checked(std::string_view name, std::span<const int64_t> shape,
                              const Block& block, std::span<float> out) const = 0;
  SourceOptions options_;
};

// Columns of a shape seen as a matrix: the product of all dimensions but the first; 1 for a scalar.
int64_t columns_of(std::span<const int64_t> shape);

// The index of the first NaN or infinity.
std::optional<int64_t> find_non_finite(std::span<const float> values);

}  // namespace braid::model
