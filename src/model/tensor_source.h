// Where weights come from, as float32: a checkpoint folder, or made-up values (--load-format
// dummy).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/format.h"
#include "base/status.h"
#include "kernels/fill/fill_desc.h"

namespace braid::model {

// A rectangle of a tensor seen as a matrix: rows are the first dimension, columns all others.
struct Block {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first_column = 0;
  int64_t columns = 0;
};

// Where numbers go: rows of them, `stride` bytes apart. f32 or bf16, to which they are rounded.
struct NumberRows {
  std::byte* data = nullptr;
  Format format = Format::f32;
  int64_t stride = 0;
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
  Status read_block(std::string_view name, std::span<const int64_t> shape, const Block& block,
                    const NumberRows& out) const;

  // What makes the tensor's numbers, where they are made up: element i of the tensor is number i of
  // the sequence. A device makes them itself then.
  virtual std::optional<kernels::UniformDesc> formula(std::string_view /*name*/) const {
    return std::nullopt;
  }

  // Bytes that the tensor and its scales take in the checkpoint (for progress); 0 when it has none.
  virtual int64_t bytes(std::string_view name) const = 0;
  // Bytes of all tensors, those of layers that are never read included.
  virtual int64_t bytes() const = 0;

 protected:
  // The same into rows of a format; this one converts what read_checked() gives.
  virtual Status read_rows_checked(std::string_view name, std::span<const int64_t> shape,
                                   const Block& block, const NumberRows& out) const;

 private:
  virtual Status read_checked(std::string_view name, std::span<const int64_t> shape,
                              const Block& block, std::span<float> out) const = 0;
  Status read_finite(std::string_view name, std::span<const int64_t> shape, const Block& block,
                     std::span<float> out) const;
  SourceOptions options_;
};

// Columns of a shape seen as a matrix: the product of all dimensions but the first; 1 for a scalar.
int64_t columns_of(std::span<const int64_t> shape);

// Stores numbers one behind the other in `format`, f32 or bf16 (rounded to nearest, ties to even).
void store_numbers(std::span<const float> values, Format format, std::byte* out);

// The index of the first NaN or infinity.
std::optional<int64_t> find_non_finite(std::span<const float> values);

}  // namespace braid::model
