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

// What numbers 4 · quad … 4 · quad + 3 are made from.
uint64_t hash_quad(uint64_t key, uint64_t quad) { return mix(key + quad * 0x9e3779b97f4a7c15u); }

// Uniform in (-1, 1), symmetric: four numbers of 16 bits from one hash.
float uniform(uint64_t hash, uint64_t index) {
  const uint64_t bits = hash >> (16 * (index & 3));
  return (static_cast<float>(bits & 0xffff) - 32767.5f) / 32768.0f;
}

// The numbers of [begin, end).
void fill_uniform(uint64_t key, uint64_t begin, uint64_t end, float bound, float* out) {
  uint64_t index = begin;
  while (index < end) {
    const uint64_t hash = hash_quad(key, index >> 2);
    const uint64_t last = std::min(end, (index | 3) + 1);
    for (; index < last; ++index) *out++ = bound * uniform(hash, index);
  }
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
  for (int64_t row = 0; row < block.rows; ++row) {
    const auto begin = static_cast<uint64_t>((block.first_row + row) * stride + block.first_column);
    fill_uniform(key, begin, begin + static_cast<uint64_t>(block.columns), bound,
                 out.data() + row * block.columns);
  }
  return {};
}

}  // namespace braid::model
