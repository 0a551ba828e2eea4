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

// own: this rank's rows, rounded up to buckets; group: the largest rank's. What is collective
// depends on group alone, what is local on own.
struct StepShape {
  RowCounts own;
  RowCounts group;

  bool operator==(const StepShape&) const = default;
  auto operator<=>(const StepShape&) const = default;
  std::string to_string() const;  // "decode 4, prefill 0"
};

// The bucket that holds `rows`: 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, … so at most a third is padding.
int32_t bucket_of(int32_t rows);

}  // namespace braid::layers
