#include "model/weight_plan.h"

#include <algorithm>
#include <cstring>

#include "base/float16.h"

namespace braid::model {
namespace {

constexpr int64_t kSlabValues = int64_t{1} << 20;  // values that are converted at a time

std::vector<std::byte> converted(const std::vector<float>& values, Format format) {
  std::vector<std::byte> bytes(values.size() * static_cast<size_t>(bytes_of(format)));
  if (format == Format::f32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  BRAID_CHECK(format == Format::bf16, "(weights are f32 or bf16, not {})", name_of(format));
  auto* out = reinterpret_cast<bf16*>(bytes.data());
  std::transform(values.begin(), values.end(), out, from_float<bf16>);
  return bytes;
}

// Where a part goes: one buffer of the residents.
struct Target {
  std::byte* data;
  Format format;
};

Status load_part(const TensorSource& source, const WeightPart& part, const Target& target,
                 device::Device& device) {
  const int64_t rows = part.shape.front();
  const int64_t columns = part.columns > 0 ? part.columns : columns_of(part.shape);
  const int64_t slab_rows = std::max<int64_t>(1, kSlabValues / columns);
  const int64_t row_bytes = columns * bytes_of(target.format);
  std::vector<float> values;
  for (int64_t first = 0; first < rows; first += slab_rows) {
    const int64_t count = std::min(slab_rows, rows - first);
    values.resize(static_cast<size_t>(count * columns));
    TRY(source.read_block(
        part.tensor, part.shape,
        {.first_row = first, .rows = count, .first_column = part.first_column, .columns = columns},
        values));
    const std::vector<std::byte> bytes = converted(values, target.format);
    std::byte* to = target.data + (part.first_row + first * part.row_step) * row_bytes;
    if (part.row_step == 1) {
      device.upload(to, bytes.data(), count * row_bytes);
      continue;
    }
    for (int64_t row = 0; row < count; ++row) {
      device.upload(to + row * part.row_step * row_bytes, bytes.data() + row * row_bytes,
                    row_bytes);
    }
  }
  return {};
}

int64_t values_of(const WeightPart& part) {
  return part.shape.front() * (part.columns > 0 ? part.columns : columns_of(part.shape));
}

}  // namespace

int32_t WeightPlan::add(flow::Residents& residents, std::string name, Format format, int64_t rows,
                        int64_t cols, std::vector<WeightPart> parts) {
  int64_t values = 0;
  for (const WeightPart& part : parts) values += values_of(part);
  BRAID_CHECK(values == rows * cols, "({} [{}, {}] is made of {} values)", name, rows, cols,
              values);
  const int32_t resident =
      residents.declare({.name = std::move(name), .format = format, .rows = rows, .cols = cols});
  weights_.push_back({resident, std::move(parts)});
  return resident;
}

int32_t WeightPlan::add_computed(flow::Residents& residents, std::string name,
                                 std::vector<float> values) {
  const int32_t resident = residents.declare({.name = std::move(name),
                                              .format = Format::f32,
                                              .rows = 1,
                                              .cols = static_cast<int64_t>(values.size())});
  computed_.push_back({resident, std::move(values)});
  return resident;
}

Status WeightPlan::load(const TensorSource& source, const flow::Residents& residents,
                        device::Device& device,
                        const std::function<void(int64_t)>& progress) const {
  for (const Planned& weight : weights_) {
    const Format format = residents[weight.resident].format;
    for (const WeightPart& part : weight.parts) {
      TRY(load_part(source, part, {residents.data(weight.resident), format}, device));
      if (progress) progress(values_of(part) * bytes_of(format));
    }
  }
  for (const ComputedWeight& weight : computed_) {
    device.upload(residents.data(weight.resident), weight.values.data(),
                  residents[weight.resident].bytes());
  }
  return {};
}

}  // namespace braid::model
