#include "model/weight_plan.h"

#include <span>

#include "model/weight_loader.h"

namespace braid::model {
namespace {

template <typename T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

WeightPart WeightPart::zeros(int64_t first_row, int64_t rows) {
  return {.tensor = {}, .shape = {0, 0}, .first_row = first_row, .window = Block{.rows = rows}};
}

int64_t WeightPart::target_columns(int64_t buffer_columns) const {
  return shape.size() == 1 ? 1 : buffer_columns;
}

Block WeightPart::block() const {
  return window.value_or(Block{.rows = shape.front(), .columns = columns_of(shape)});
}

int32_t WeightPlan::add(flow::Residents& residents, std::string name, Format format, int64_t rows,
                        int64_t cols, std::vector<WeightPart> parts) {
  int64_t values = 0;
  for (const WeightPart& part : parts) {
    const int64_t columns = part.target_columns(cols);
    BRAID_CHECK(columns == parts.front().target_columns(cols), "({} of vectors and others)", name);
    BRAID_CHECK(part.block().columns <= columns, "({} is wider than {})", part.tensor, name);
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
  for (const PlannedWeight& weight : weights_) {
    for (const WeightPart& part : weight.parts) {
      if (!part.tensor.empty()) names.push_back(part.tensor);
    }
  }
  return names;
}

Status WeightPlan::load(const TensorSource& source, const flow::Residents& residents,
                        const Loading& how) const {
  TRY(load_weights(source, weights_, residents, how));
  for (const ComputedWeight& weight : computed_) {
    const int64_t bytes = std::ssize(weight.bytes);
    how.device.upload(residents.data(weight.resident), weight.bytes.data(), bytes);
    if (how.progress) how.progress(bytes);
  }
  return {};
}

}  // namespace braid::model
