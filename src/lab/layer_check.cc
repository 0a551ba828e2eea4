#include "lab/layer_check.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "kernels/hash.h"

namespace braid::lab {

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

namespace {

constexpr int32_t kLongestDelay = 100;  // microseconds
constexpr uint8_t kNaN = 0xff;
constexpr int64_t kMostAuditedBytes = int64_t{256} << 20;

Status expect_equal(const LayerRank& rank, size_t variant, int64_t round,
                    const std::vector<std::byte>& found, const std::vector<std::byte>& expected) {
  if (found == expected) return {};
  const auto first = std::mismatch(found.begin(), found.end(), expected.begin());
  return Error(ErrorKind::internal, "a variant gives another result than serial execution")
      .with("variant", rank.variant(variant).name)
      .with("rows", rank.rows().to_string())
      .with("round", round)
      .with("first byte", first.first - found.begin());
}

// Real rows of each group: all of them first, then any number down to none.
std::vector<int32_t> counts_of(const LayerRows& rows, uint64_t seed) {
  std::vector<int32_t> counts;
  for (const int32_t most : rows.groups) {
    const uint64_t random = kernels::hash(seed, counts.size());
    counts.push_back(
        static_cast<int32_t>(seed % 4 == 0 ? most : random % static_cast<uint64_t>(most + 1)));
  }
  return counts;
}

void fill_inputs(LayerRanks ranks, uint64_t seed) {
  const std::vector<int32_t> counts = counts_of(ranks.front()->rows(), seed);
  for (LayerRank* rank : ranks) {
    rank->fill_input(seed);
    if (!counts.empty()) rank->set_counts(counts);
  }
}

void set_delays(LayerRanks ranks, flow::Delays delays) {
  for (LayerRank* rank : ranks) {
    rank->backend().set_delays(delays);
    delays.seed += 0x632be59bd9b4e019u;
  }
}

// Sums of squares over all rows of a process's ranks, to be added up over processes.
struct Squares {
  double unequal = 0;  // processes whose bytes differ
  double difference = 0;
  double change = 0;
  double output = 0;
};

// The difference between one rank's rows `before` and those that it, or `after`, has left now.
void add_squares(const LayerRank& rank, std::span<const std::byte> before, const LayerRank& after,
                 Squares& squares) {
  const std::vector<float> expected = to_floats(before, rank.model().options().dtype);
  const std::vector<float> found = after.output();
  const bool layer = rank.part().part() == Part::layer;
  const std::vector<float> input = layer ? rank.input() : std::vector<float>(expected.size(), 0.0f);
  const auto square = [](double value) { return value * value; };
  for (size_t i = 0; i < expected.size(); ++i) {
    squares.difference += square(double{found[i]} - double{expected[i]});
    squares.change += square(double{expected[i]} - double{input[i]});
    squares.output += square(double{expected[i]});
  }
}

double sum_of_squares(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

double norm(const std::vector<float>& values) { return std::sqrt(sum_of_squares(values)); }

Result<Squares> sum_over_processes(const Squares& mine, comm::ControlPlane& control) {
  const auto all = TRY(control.all_gather({reinterpret_cast<const char*>(&mine), sizeof(mine)}));
  Squares sum;
  for (const std::string& bytes : all) {
    Squares other;
    std::memcpy(&other, bytes.data(), sizeof(other));
    sum.unequal += other.unequal;
    sum.difference += other.difference;
    sum.change += other.change;
    sum.output += other.output;
  }
  return sum;
}

// What a layer adds to its rows; of a projection, its output.
std::vector<float> change(const LayerRank& rank) {
  std::vector<float> out = rank.output();
  if (rank.part().part() != Part::layer) return out;
  const std::vector<float> in = rank.input();
  for (size_t i = 0; i < out.size(); ++i) out[i] -= in[i];
  return out;
}

}  // namespace

Result<std::vector<std::byte>> run_poisoned(LayerRanks ranks, size_t variant) {
  for (LayerRank* rank : ranks) rank->poison(kNaN);
  for (LayerRank* rank : ranks) rank->submit(variant);
  for (LayerRank* rank : ranks) TRY(rank->wait());
  std::vector<std::byte> all;
  for (const LayerRank* rank : ranks) {
    const std::vector<std::byte> of_rank = rank->output_bytes();
    all.insert(all.end(), of_rank.begin(), of_rank.end());
  }
  return all;
}

Result<int64_t> check_variants(LayerRanks ranks, std::span<const size_t> variants, int64_t rounds) {
  int64_t runs = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    const auto seed = static_cast<uint64_t>(round);
    fill_inputs(ranks, seed);
    set_delays(ranks, {});
    const std::vector<std::byte> expected = TRY(run_poisoned(ranks, variants.front()));
    for (const size_t variant : variants) {
      set_delays(ranks, {.seed = seed << 8 | variant, .longest = kLongestDelay});
      const std::vector<std::byte> found = TRY(run_poisoned(ranks, variant));
      TRY(expect_equal(*ranks.front(), variant, round, found, expected));
      ++runs;
    }
  }
  set_delays(ranks, {});
  return runs;
}

Result<Recorded> record_inputs(LayerRanks ranks, size_t variant, int64_t rounds) {
  Recorded recorded;
  for (int64_t round = 0; round < rounds; ++round) {
    fill_inputs(ranks, static_cast<uint64_t>(1000 + round));
    recorded.push_back(TRY(run_poisoned(ranks, variant)));
  }
  return recorded;
}

Result<int64_t> check_replays(LayerRanks ranks, std::span<const size_t> variants,
                              const Recorded& before) {
  int64_t runs = 0;
  for (size_t round = 0; round < before.size(); ++round) {
    fill_inputs(ranks, 1000 + round);
    for (const size_t variant : variants) {
      const std::vector<std::byte> found = TRY(run_poisoned(ranks, variant));
      TRY(expect_equal(*ranks.front(), variant, static_cast<int64_t>(round), found, before[round]));
      ++runs;
    }
  }
  return runs;
}

Result<std::string> audit_variants(LayerRanks ranks, std::span<const size_t> variants,
                                   int64_t bytes) {
  LayerRank& rank = *ranks.front();
  if (bytes > kMostAuditedBytes) {
    return fmt::format("declarations not audited: {} MiB of workspace and state, {} at most",
                       bytes >> 20, kMostAuditedBytes >> 20);
  }
  if (ranks.size() > 1) return std::string("declarations not audited: ranks share this process");
  const std::vector<std::byte> expected = TRY(run_poisoned(ranks, variants.front()));
  size_t ops = 0;
  std::set<std::string> not_compared;
  for (const size_t variant : variants) {
    rank.poison(kNaN);
    flow::FillAudit audit = TRY(rank.audit(variant));
    TRY(expect_equal(rank, variant, 0, rank.output_bytes(), expected));
    ops += rank.variant(variant).schedule.program.ops.size();
    not_compared.insert(audit.not_compared.begin(), audit.not_compared.end());
  }
  std::string text = fmt::format("{} ops of {} variants audited: they touch what they declare", ops,
                                 variants.size());
  if (!not_compared.empty()) {
    text += fmt::format(" (too large to compare: {})", fmt::join(not_compared, ", "));
  }
  return text;
}

void LayerDifference::worsen(const LayerDifference& other) {
  equal = equal && other.equal;
  residual = std::max(residual, other.residual);
  if (!std::isnan(error) && !(other.error <= error)) error = other.error;
}

Result<LayerDifference> compare_runs(const LayerRun& before, const LayerRun& after, uint64_t seed,
                                     bool delayed, comm::ControlPlane& control) {
  fill_inputs(before.ranks, seed);
  if (after.ranks.data() != before.ranks.data()) fill_inputs(after.ranks, seed);
  const std::vector<std::byte> expected = TRY(run_poisoned(before.ranks, before.variant));
  if (delayed) set_delays(after.ranks, {.seed = seed, .longest = kLongestDelay});
  const std::vector<std::byte> found = TRY(run_poisoned(after.ranks, after.variant));
  set_delays(after.ranks, {});
  Squares mine{.unequal = found == expected ? 0.0 : 1.0};
  std::span<const std::byte> rows = expected;
  for (size_t i = 0; i < after.ranks.size(); ++i) {
    const LayerRank& rank = *after.ranks[i];
    if (mine.unequal == 0) {
      mine.output += sum_of_squares(rank.output());
      continue;
    }
    const size_t bytes = rank.output_bytes().size();
    add_squares(*before.ranks[i], rows.first(bytes), rank, mine);
    rows = rows.subspan(bytes);
  }
  const Squares all = TRY(sum_over_processes(mine, control));
  LayerDifference difference{.equal = all.unequal == 0};
  if (!difference.equal) {
    difference.error = std::sqrt(all.difference / all.change);
    difference.residual = std::sqrt(all.output / all.change);
  } else if (std::isnan(all.output)) {
    difference.error = all.output;
  }
  return difference;
}

Result<LayerError> compare_with(const LayerRank& rank, LayerRank& reference,
                                size_t reference_variant) {
  LayerRank* const alone[] = {&reference};
  TRY(run_poisoned(alone, reference_variant));
  const std::vector<float> expected = change(reference);
  const int64_t columns = rank.model().config().hidden_size;
  return LayerError{.error = relative_error(change(rank), expected, columns),
                    .residual = norm(reference.output()) / norm(expected)};
}

}  // namespace braid::lab
