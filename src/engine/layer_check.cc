#include "engine/layer_check.h"

#include <algorithm>
#include <cmath>

namespace braid::engine {

RelativeError relative_error(const std::vector<float>& y, const std::vector<float>& reference,
                             int64_t columns) {
  BRAID_CHECK(y.size() == reference.size(), "({} and {} values)", y.size(), reference.size());
  const auto width = static_cast<size_t>(columns);
  RelativeError error;
  double difference_sum = 0;
  double reference_sum = 0;
  for (size_t row = 0; row < y.size(); row += width) {
    double difference = 0;
    double size = 0;
    for (size_t i = row; i < row + width; ++i) {
      const double d = static_cast<double>(y[i]) - static_cast<double>(reference[i]);
      difference += d * d;
      size += static_cast<double>(reference[i]) * static_cast<double>(reference[i]);
    }
    difference_sum += difference;
    reference_sum += size;
    const double of_row = std::sqrt(difference / size);
    if (!(of_row <= error.worst_row)) error.worst_row = of_row;  // also where it is no number
  }
  error.all = std::sqrt(difference_sum / reference_sum);
  return error;
}

Result<std::vector<std::byte>> run_poisoned(LayerRank& rank, size_t variant, uint8_t poison) {
  rank.poison(poison);
  rank.submit(variant);
  TRY(rank.wait());
  return rank.output_bytes();
}

namespace {

constexpr int32_t kLongestDelay = 100;  // microseconds

Status expect_equal(const LayerRank& rank, size_t variant, int64_t round,
                    const std::vector<std::byte>& found, const std::vector<std::byte>& expected) {
  if (found == expected) return {};
  const auto first = std::mismatch(found.begin(), found.end(), expected.begin());
  return Error(ErrorKind::internal, "a variant gives another result than serial execution")
      .with("variant", rank.variant(variant).name)
      .with("rows", rank.rows().rows)
      .with("round", round)
      .with("first byte", first.first - found.begin());
}

std::vector<float> change(const LayerRank& rank) {
  const std::vector<float> in = rank.input();
  std::vector<float> out = rank.output();
  if (in.size() != out.size()) return out;  // a projection, not a residual stream
  for (size_t i = 0; i < out.size(); ++i) out[i] -= in[i];
  return out;
}

}  // namespace

Result<int64_t> check_variants(LayerRank& rank, std::span<const size_t> variants, int64_t rounds) {
  int64_t runs = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    const auto seed = static_cast<uint64_t>(round);
    rank.fill_input(seed);
    rank.backend().set_delays({});
    const std::vector<std::byte> expected = TRY(run_poisoned(rank, variants.front()));
    for (const size_t variant : variants) {
      rank.backend().set_delays({.seed = seed << 8 | variant, .longest = kLongestDelay});
      TRY(expect_equal(rank, variant, round, TRY(run_poisoned(rank, variant)), expected));
      ++runs;
    }
  }
  rank.backend().set_delays({});
  return runs;
}

Result<Recorded> record_inputs(LayerRank& rank, size_t variant, int64_t rounds) {
  Recorded recorded;
  for (int64_t round = 0; round < rounds; ++round) {
    rank.fill_input(static_cast<uint64_t>(1000 + round));
    recorded.push_back(TRY(run_poisoned(rank, variant)));
  }
  return recorded;
}

Result<int64_t> check_replays(LayerRank& rank, std::span<const size_t> variants,
                              const Recorded& before) {
  int64_t runs = 0;
  for (size_t round = 0; round < before.size(); ++round) {
    rank.fill_input(1000 + round);
    for (const size_t variant : variants) {
      TRY(expect_equal(rank, variant, static_cast<int64_t>(round), TRY(run_poisoned(rank, variant)),
                       before[round]));
      ++runs;
    }
  }
  return runs;
}

Result<RelativeError> compare_with(LayerRank& rank, size_t variant, LayerRank& reference,
                                   size_t reference_variant) {
  TRY(run_poisoned(rank, variant));
  TRY(run_poisoned(reference, reference_variant));
  return relative_error(change(rank), change(reference), rank.model().config().hidden_size);
}

}  // namespace braid::engine
