#include "model/dummy_source.h"

#include <algorithm>

#include "kernels/fill/cpu/fill.h"

namespace braid::model {
namespace {

constexpr float kWeightBound = 0.034641016f;  // 0.02·√3: the standard deviation is 0.02
constexpr float kBiasBound = 0.01f;

uint64_t hash_name(std::string_view name, uint64_t seed) {
  uint64_t hash = kernels::mix(seed + 0x9e3779b97f4a7c15u);
  for (const char letter : name) hash = kernels::mix(hash ^ static_cast<unsigned char>(letter));
  return hash;
}

bool is_norm(std::string_view name) { return name.ends_with("norm.weight"); }
bool is_bias(std::string_view name) { return name.ends_with("bias"); }

}  // namespace

DummySource::DummySource(uint64_t seed, SourceOptions options)
    : TensorSource(options), seed_(seed) {}

bool DummySource::has(std::string_view) const { return true; }
int64_t DummySource::bytes(std::string_view) const { return 0; }
int64_t DummySource::bytes() const { return 0; }

std::optional<kernels::UniformDesc> DummySource::formula(std::string_view name) const {
  if (is_norm(name)) return std::nullopt;
  return kernels::UniformDesc{.key = hash_name(name, seed_),
                              .bound = is_bias(name) ? kBiasBound : kWeightBound};
}

Status DummySource::read_checked(std::string_view name, std::span<const int64_t> shape,
                                 const Block& block, std::span<float> out) const {
  std::optional<kernels::UniformDesc> desc = formula(name);
  if (!desc) {
    std::fill(out.begin(), out.end(), 1.0f);
    return {};
  }
  const int64_t stride = columns_of(shape);
  desc->first = static_cast<uint64_t>(block.first_row * stride + block.first_column);
  desc->stride = static_cast<uint64_t>(stride);
  desc->columns = block.columns;
  kernels::cpu::fill_uniform<float>(*desc, block.rows, block.columns, {out.data(), block.columns});
  return {};
}

}  // namespace braid::model
