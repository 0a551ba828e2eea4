#include "model/weight_plan.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/float16.h"

namespace braid::model {
namespace {

constexpr int64_t kSlabValues = int64_t{1} << 20;  // values that are converted at a time

// Into `bytes`, whose memory serves again: that of a slab is mapped anew each time.
void convert(const std::vector<float>& values, Format format, std::vector<std::byte>& bytes) {
  bytes.resize(values.size() * static_cast<size_t>(bytes_of(format)));
  if (format == Format::f32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return;
  }
  BRAID_CHECK(format == Format::bf16, "(weights are f32 or bf16, not {})", name_of(format));
  auto* out = reinterpret_cast<bf16*>(bytes.data());
  std::transform(values.begin(), values.end(), out, from_float<bf16>);
}

template <typename T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

// Where a part goes: one buffer of the residents.
struct Target {
  std::byte* data;
  Format format;
  int64_t cols;  // of a row of the part in the buffer
};

// A vector is a column of numbers, whatever the width of its buffer.
int64_t target_columns(const WeightPart& part, int64_t buffer_columns) {
  return part.shape.size() == 1 ? 1 : buffer_columns;
}

Block window_of(const WeightPart& part) {
  return part.window.value_or(Block{.rows = part.shape.front(), .columns = columns_of(part.shape)});
}

// Zeros behind the `columns` values of each of so many rows, [count, columns] → [count, to].
void widen(std::vector<float>& values, int64_t count, int64_t columns, int64_t to) {
  values.resize(static_cast<size_t>(count * to));
  for (int64_t row = count - 1; row >= 0 && columns < to; --row) {
    const auto from = values.begin() + row * columns, into = values.begin() + row * to;
    std::copy_backward(from, from + columns, into + columns);
    std::fill(into + columns, into + to, 0.0f);
  }
}

Status load_part(const TensorSource& source, const WeightPart& part, const Target& target,
                 device::Device& device) {
  const Block window = window_of(part);
  const int64_t slab_rows = std::max<int64_t>(1, kSlabValues / target.cols);
  const int64_t row_bytes = target.cols * bytes_of(target.format);
  std::vector<float> values;
  std::vector<std::byte> bytes;
  for (int64_t first = 0; first < window.rows; first += slab_rows) {
    Block slab = window;
    slab.first_row += first;
    slab.rows = std::min(slab_rows, window.rows - first);
    values.resize(static_cast<size_t>(slab.rows * slab.columns));
    if (slab.columns > 0) TRY(source.read_block(part.tensor, part.shape, slab, values));
    widen(values, slab.rows, slab.columns, target.cols);
    convert(values, target.format, bytes);
    std::byte* to = target.data + (part.first_row + first * part.row_step) * row_bytes;
    if (part.row_step == 1) {
      device.upload(to, bytes.data(), slab.rows * row_bytes);
      continue;
    }
    for (int64_t row = 0; row < slab.rows; ++row) {
      device.upload(to + row * part.row_step * row_bytes, bytes.data() + row * row_bytes,
                    row_bytes);
    }
  }
  return {};
}

}  // namespace

WeightPart WeightPart::zeros(int64_t first_row, int64_t rows) {
  return {.tensor = {}, .shape = {0, 0}, .first_row = first_row, .window = Block{.rows = rows}};
}

int32_t WeightPlan::add(flow::Residents& residents, std::string name, Format format, int64_t rows,
                        int64_t cols, std::vector<WeightPart> parts) {
  int64_t values = 0;
  for (const WeightPart& part : parts) {
    const int64_t columns = target_columns(part, cols);
    BRAID_CHECK(window_of(part).columns <= columns, "({} is wider than {})", part.tensor, name);
    values += part.rows() * columns;
  }
  BRAID_CHECK(values == rows * cols, "({} [{}, {}] is made of {} values)", name, rows, cols,
              values);
  const int32_t resident =
      residents.declare({.name = std::move(name), .format = format, .rows = rows, .cols = cols});
  weights_.push_back({resident, std::move(parts)});
  return resident;
}

int32_t WeightPlan::add_computed(flow::Residents& residents, std::string name,
                                 const std::vector<float>& values) {
  const int32_t resident = residents.declare({.name = std::move(name),
                                              .format = Format::f32,
                                              .rows = 1,
                                              .cols = static_cast<int64_t>(values.size())});
  computed_.push_back({resident, bytes_of(values)});
  return resident;
}

int32_t WeightPlan::add_computed(flow::Residents& residents, std::string name, int64_t cols,
                                 const std::vector<int32_t>& values) {
  const auto rows = static_cast<int64_t>(values.size()) / cols;
  const int32_t resident = residents.declare(
      {.name = std::move(name), .format = Format::i32, .rows = rows, .cols = cols});
  computed_.push_back({resident, bytes_of(values)});
  return resident;
}

std::vector<std::string> WeightPlan::tensors() const {
  std::vector<std::string> names;
  for (const Planned& weight : weights_) {
    for (const WeightPart& part : weight.parts) {
      if (!part.tensor.empty()) names.push_back(part.tensor);
    }
  }
  return names;
}

Status WeightPlan::load(const TensorSource& source, const flow::Residents& residents,
                        device::Device& device,
                        const std::function<void(int64_t)>& progress) const {
  for (const Planned& weight : weights_) {
    const flow::Resident& to = residents[weight.resident];
    for (const WeightPart& part : weight.parts) {
      const int64_t columns = target_columns(part, to.cols);
      TRY(load_part(source, part, {residents.data(weight.resident), to.format, columns}, device));
      if (progress) progress(part.rows() * columns * bytes_of(to.format));
    }
  }
  for (const ComputedWeight& weight : computed_) {
    device.upload(residents.data(weight.resident), weight.bytes.data(), std::ssize(weight.bytes));
  }
  return {};
}

}  // namespace braid::model
