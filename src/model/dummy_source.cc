#include "model/dummy_source.h"

#include <algorithm>

namespace braid::model {
namespace {

constexpr float kWeightBound = 0.034641016f;  // 0.02·√3: the standard deviation is 0.02
constexpr float kBiasBound = 0.01f;

// The finalizer of MurmurHash3 with the constants of SplitMix64: every input bit reaches every
// output bit.
uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

uint64_t hash_name(std::string_view name, uint64_t seed) {
  uint64_t hash = mix(seed + 0x9e3779b97f4a7c15u);
  for (const char letter : name) hash = mix(hash ^ static_cast<unsigned char>(letter));
  return hash;
}

// Uniform in (-1, 1), symmetric: four numbers of 16 bits from one hash.
float uniform(uint64_t key, uint64_t index) {
  const uint64_t bits = mix(key + (index >> 2) * 0x9e3779b97f4a7c15u) >> (16 * (index & 3));
  return (static_cast<float>(bits & 0xffff) - 32767.5f) / 32768.0f;
}

bool is_norm(std::string_view name) { return name.ends_with("norm.weight"); }
bool is_bias(std::string_view name) { return name.ends_with("bias"); }

}  // namespace

DummySource::DummySource(uint64_t seed, SourceOptions options)
    : TensorSource(options), seed_(seed) {}

bool DummySource::has(std::string_view) const { return true; }
int64_t DummySource::bytes(std::string_view) const { return 0; }
int64_t DummySource::bytes() const { return 0; }

Status DummySource::read_checked(std::string_view name, std::span<const int64_t> shape,
                                 const Block& block, std::span<float> out) const {
  if (is_norm(name)) {
    std::fill(out.begin(), out.end(), 1.0f);
    return {};
  }
  const float bound = is_bias(name) ? kBiasBound : kWeightBound;
  const uint64_t key = hash_name(name, seed_);
  const int64_t stride = columns_of(shape);
  float* value = out.data();
  for (int64_t row = block.first_row; row < block.first_row + block.rows; ++row) {
    const int64_t begin = row * stride + block.first_column;
    for (int64_t index = begin; index < begin + block.columns; ++index) {
      *value++ = bound * uniform(key, static_cast<uint64_t>(index));
    }
  }
  return {};
}

}  // namespace braid::model
