// How many rows a step has: what a Schedule is compiled for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace braid::layers {

// Rows of one rank: first the decode rows (one a sequence), then the prefill rows.
struct RowCounts {
  int32_t decode = 0;
  int32_t prefill = 0;

  int32_t total() const { return decode + prefill; }
  bool operator==(const RowCounts&) const = default;
  auto operator<=>(const RowCounts&) const = default;
};

// A rank without requests runs one row of padding while other ranks have requests, so that no
// kernel and no pass meets a Program without rows. It gives no rows to the other ranks.
inline constexpr RowCounts kIdleRows = {.decode = 1, .prefill = 0};

// What a step does with its logits. extended: some row has biases or penalties, or wants log
// probabilities. These ops stand in no other step, so that they cost nothing where nobody asks.
enum class Sampling : int32_t { plain, extended };

// own: this rank's rows, rounded up to buckets; group: the most that any rank has of either sort.
// Collectives between ranks with different rows depend on group alone, all other ops on own.
// sampling: of this rank's rows.
struct StepShape {
  RowCounts own;
  RowCounts group;
  Sampling sampling = Sampling::plain;

  bool operator==(const StepShape&) const = default;
  auto operator<=>(const StepShape&) const = default;
  // "decode 4, prefill 0", or "decode 4, prefill 0 (most: 4, 16)" where others have more, and
  // ", extended sampling" behind it
  std::string to_string() const;
};

// The bucket that holds `rows`: 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, … so at most a third is padding.
int32_t bucket_of(int32_t rows);

}  // namespace braid::layers
