#include "model/tensor_source.h"

#include <cmath>
#include <utility>

namespace braid::model {
namespace {

int64_t rows_of(std::span<const int64_t> shape) { return shape.empty() ? 1 : shape[0]; }

}  // namespace

Status TensorSource::read(std::string_view name, std::span<const int64_t> shape,
                          std::span<float> out) const {
  return read_rows(name, shape, 0, rows_of(shape), out);
}

Status TensorSource::read_rows(std::string_view name, std::span<const int64_t> shape,
                               int64_t first_row, int64_t rows, std::span<float> out) const {
  return read_block(name, shape, {first_row, rows, 0, columns_of(shape)}, out);
}

Status TensorSource::read_block(std::string_view name, std::span<const int64_t> shape,
                                const Block& block, std::span<float> out) const {
  BRAID_CHECK(
      block.first_row >= 0 && block.rows >= 0 && block.first_row + block.rows <= rows_of(shape),
      "(rows of {})", name);
  BRAID_CHECK(block.first_column >= 0 && block.columns >= 0 &&
                  block.first_column + block.columns <= columns_of(shape),
              "(columns of {})", name);
  BRAID_CHECK(std::ssize(out) == block.rows * block.columns, "(size of the output for {})", name);
  TRY(read_checked(name, shape, block, out));
  if (!options_.check_weights) return {};
  const std::optional<int64_t> bad = find_non_finite(out);
  if (!bad) return {};
  return Error(ErrorKind::corrupt_data, "a weight is not a finite number")
      .with("tensor", name)
      .with("row", block.first_row + *bad / block.columns)
      .with("column", block.first_column + *bad % block.columns)
      .with("value", out[static_cast<size_t>(*bad)])
      .remedy("Download the model again.");
}

int64_t columns_of(std::span<const int64_t> shape) {
  int64_t columns = 1;
  for (size_t i = 1; i < shape.size(); ++i) columns *= shape[i];
  return columns;
}

std::optional<int64_t> find_non_finite(std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) return static_cast<int64_t>(i);
  }
  return std::nullopt;
}

}  // namespace braid::model
