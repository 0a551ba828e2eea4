#include "ops/builder.h"

#include <fmt/format.h>

namespace braid::ops {

MeshSizes::Sum MeshSizes::sum_over(const Placement& placement) const {
  const Sums& sums = placement.mesh == flow::Mesh::attention ? attention_sums : moe_sums;
  const bool first = placement.axes[0] == Shard::partial;
  const bool second = placement.axes[1] == Shard::partial;
  if (!first && !second) return {};
  const std::array<int32_t, 2>& sizes = of(placement.mesh);
  return {sums[first && second ? 2
               : second        ? 1
                               : 0],
          (first ? sizes[0] : 1) * (second ? sizes[1] : 1)};
}

Builder::Builder(const flow::Residents& residents, MeshSizes meshes)
    : residents_(residents), meshes_(meshes) {}

Builder::Builder(flow::Program program, const flow::Residents& residents, MeshSizes meshes)
    : residents_(residents), meshes_(meshes), program_(std::move(program)) {
  for (size_t buffer = 0; buffer < program_.buffers.size(); ++buffer) {
    const int32_t resident = program_.buffers[buffer].resident;
    if (resident >= 0) resident_buffers_[resident] = static_cast<int32_t>(buffer);
  }
}

Value Builder::resident(int32_t index, Placement placement) {
  const auto [entry, added] =
      resident_buffers_.try_emplace(index, static_cast<int32_t>(program_.buffers.size()));
  if (added) program_.buffers.push_back(residents_.buffer_of(index));
  flow::ValueInfo view = residents_.whole(index, entry->second);
  view.placement = placement;
  return add_value(view);
}

Value Builder::step(std::string_view label, Format format, int64_t rows, int64_t cols,
                    Placement placement, Value count) {
  const int64_t row_bytes = cols * bytes_of(format);
  program_.buffers.push_back({.label = label, .rows = rows, .row_bytes = row_bytes});
  return add_value({.buffer = static_cast<int32_t>(program_.buffers.size()) - 1,
                    .format = format,
                    .rows = rows,
                    .cols = cols,
                    .region_rows = rows,
                    .stride = row_bytes,
                    .count = count,
                    .placement = placement});
}

Value Builder::rows(Value value, int64_t first, int64_t count) {
  flow::ValueInfo view = info(value);
  require(0 <= first && count >= 0 && first + count <= view.rows, "row view within its Value",
          {value});
  const int64_t region_per_row = view.rows == 0 ? 1 : view.region_rows / view.rows;
  view.first_row += first * region_per_row;
  view.region_rows = count * region_per_row;
  view.offset += first * view.stride;
  view.rows = count;
  return add_value(view);
}

Value Builder::columns(Value value, int64_t first, int64_t count) {
  flow::ValueInfo view = info(value);
  require(0 <= first && count >= 0 && first + count <= view.cols, "column view within its Value",
          {value});
  view.first_col += first;
  view.offset += first * bytes_of(view.format);
  view.cols = count;
  return add_value(view);
}

Value Builder::words(Value block, int64_t first_word, Format format, int64_t rows, int64_t cols) {
  flow::ValueInfo view = info(block);
  const int64_t words_per_row = cols * bytes_of(format) / bytes_of(view.format);
  require(view.cols == 1 && first_word + rows * words_per_row <= view.rows,
          "words within their block", {block});
  view.first_row = first_word;
  view.region_rows = rows * words_per_row;
  view.offset = first_word * bytes_of(view.format);
  view.stride = cols * bytes_of(format);
  view.format = format;
  view.rows = rows;
  view.cols = cols;
  return add_value(view);
}

Value Builder::placed(Value value, Placement placement) {
  if (info(value).placement == normalized(placement)) return value;
  flow::ValueInfo view = info(value);
  view.placement = placement;
  return add_value(view);
}

Value Builder::uncounted(Value value) {
  flow::ValueInfo view = info(value);
  view.count = {};
  return add_value(view);
}

void Builder::emit(const flow::AnyDesc& desc, std::span<const flow::NamedValue> operands) {
  program_.ops.push_back({.desc = desc,
                          .operands = flow::operands_of(desc.kind(), operands),
                          .scope = scope_,
                          .lane = desc.kind().home});
}

void Builder::fail(Error error) {
  if (status_.ok()) status_ = Status(std::move(error));
}

void Builder::require(bool condition, std::string_view rule, std::initializer_list<Value> about) {
  if (condition || !status_.ok()) return;
  Error error = Error(ErrorKind::internal, "an op breaks a rule of its kind")
                    .with("rule", rule)
                    .with("scope", scope_.to_string());
  for (const Value value : about) {
    if (!value.present()) continue;
    error =
        std::move(error).with("operand", describe(value) + " " + info(value).placement.to_string());
  }
  fail(std::move(error));
}

Result<flow::Program> Builder::finish() && {
  TRY(Status(status_));
  return std::move(program_);
}

Value Builder::add_value(flow::ValueInfo info) {
  info.placement = normalized(info.placement);
  program_.values.push_back(info);
  return {static_cast<int32_t>(program_.values.size()) - 1};
}

// Along an axis of one rank nothing is split: every shard is the whole.
Placement Builder::normalized(Placement placement) const {
  for (size_t axis = 0; axis < 2; ++axis) {
    if (meshes_.of(placement.mesh)[axis] == 1) placement.axes[axis] = Shard::replicated;
  }
  return placement;
}

}  // namespace braid::ops
