#include "model/tensor_source.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "base/float16.h"

namespace braid::model {
namespace {

constexpr int64_t kStripValues = int64_t{1} << 18;  // that are converted at a time

int64_t rows_of(std::span<const int64_t> shape) { return shape.empty() ? 1 : shape[0]; }

void check_block(std::string_view name, std::span<const int64_t> shape, const Block& block) {
  BRAID_CHECK(
      block.first_row >= 0 && block.rows >= 0 && block.first_row + block.rows <= rows_of(shape),
      "(rows of {})", name);
  BRAID_CHECK(block.first_column >= 0 && block.columns >= 0 &&
                  block.first_column + block.columns <= columns_of(shape),
              "(columns of {})", name);
}

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
  check_block(name, shape, block);
  BRAID_CHECK(std::ssize(out) == block.rows * block.columns, "(size of the output for {})", name);
  return read_finite(name, shape, block, out);
}

Status TensorSource::read_block(std::string_view name, std::span<const int64_t> shape,
                                const Block& block, const NumberRows& out) const {
  check_block(name, shape, block);
  if (options_.check_weights) return TensorSource::read_rows_checked(name, shape, block, out);
  return read_rows_checked(name, shape, block, out);
}

Status TensorSource::read_rows_checked(std::string_view name, std::span<const int64_t> shape,
                                       const Block& block, const NumberRows& out) const {
  if (block.columns == 0) return {};
  const int64_t strip_rows = std::clamp<int64_t>(kStripValues / block.columns, 1, block.rows);
  const auto values =
      std::make_unique_for_overwrite<float[]>(static_cast<size_t>(strip_rows * block.columns));
  for (int64_t done = 0; done < block.rows; done += strip_rows) {
    Block strip = block;
    strip.first_row += done;
    strip.rows = std::min(strip_rows, block.rows - done);
    const std::span<float> all(values.get(), static_cast<size_t>(strip.rows * strip.columns));
    TRY(read_finite(name, shape, strip, all));
    for (int64_t row = 0; row < strip.rows; ++row) {
      const auto columns = static_cast<size_t>(strip.columns);
      store_numbers(all.subspan(static_cast<size_t>(row) * columns, columns), out.format,
                    out.data + (done + row) * out.stride);
    }
  }
  return {};
}

Status TensorSource::read_finite(std::string_view name, std::span<const int64_t> shape,
                                 const Block& block, std::span<float> out) const {
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

void store_numbers(std::span<const float> values, Format format, std::byte* out) {
  if (format == Format::f32) {
    std::memcpy(out, values.data(), values.size_bytes());
    return;
  }
  BRAID_CHECK(format == Format::bf16, "(weights are f32 or bf16, not {})", name_of(format));
  std::transform(values.begin(), values.end(), reinterpret_cast<bf16*>(out), from_float<bf16>);
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
