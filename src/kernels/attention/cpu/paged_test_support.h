// A paged cache for tests: sequences whose pages lie in random order among pages that hold NaN.
#pragma once

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/attention/cpu/attention.h"
#include "kernels/cpu/test_support.h"

namespace braid::kernels::cpu {

// Query rows: where each stands.
struct Places {
  std::vector<int32_t> sequences;
  std::vector<int32_t> positions;

  int64_t size() const { return static_cast<int64_t>(sequences.size()); }
};

// `count` rows of sequences 0 … lengths.size() − 1, some next to each other in one sequence, about
// one of eight padding (whose position is nonsense).
inline Places random_places(Random& random, const std::vector<int64_t>& lengths, int64_t count) {
  Places out;
  while (out.size() < count) {
    const auto sequence = random_below(random, static_cast<int64_t>(lengths.size()));
    const int64_t run = 1 + random_below(random, 5);
    const bool padding = random_below(random, 8) == 0;
    const int64_t length = lengths[static_cast<size_t>(sequence)];
    const int64_t first = random_below(random, length);
    for (int64_t i = 0; i < run && first + i < length && out.size() < count; ++i) {
      out.sequences.push_back(padding ? -1 : static_cast<int32_t>(sequence));
      out.positions.push_back(padding ? 1 << 30 : static_cast<int32_t>(first + i));
    }
  }
  return out;
}

// The cache rows of all sequences, one after the other and not paged: what the cache should mean.
template <typename T>
struct Tokens {
  std::vector<int64_t> lengths;
  std::vector<int64_t> starts;
  Grid<T> rows;

  Tokens(Random& random, std::vector<int64_t> all_lengths, int64_t cols)
      : lengths(std::move(all_lengths)),
        rows(random, std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), cols) {
    int64_t start = 0;
    for (const int64_t length : lengths) starts.push_back(std::exchange(start, start + length));
  }
  double value(int64_t sequence, int64_t position, int64_t col) const {
    return rows.value(starts[static_cast<size_t>(sequence)] + position, col);
  }
  int64_t longest() const { return *std::max_element(lengths.begin(), lengths.end()); }
};

template <typename T>
class PagedCache {
 public:
  // Holds the first `filled` positions of every sequence.
  PagedCache(Random& random, const Tokens<T>& tokens, int64_t page_size,
             int64_t filled = int64_t{1} << 30)
      : page_size_(page_size),
        blocks_((tokens.longest() + page_size - 1) / page_size),
        table_(static_cast<int64_t>(tokens.lengths.size()), blocks_, 1),
        cache_(table_.rows() * blocks_ * page_size, tokens.rows.cols(), 2) {
    for (int64_t r = 0; r < cache_.rows(); ++r) {
      for (int64_t c = 0; c < cache_.cols(); ++c) {
        cache_.at(r, c) = from_float<T>(std::nanf(""));
      }
    }
    std::vector<int32_t> pages(static_cast<size_t>(table_.rows() * blocks_));
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), random);
    for (int64_t s = 0; s < table_.rows(); ++s) {
      for (int64_t b = 0; b < blocks_; ++b) {
        table_.at(s, b) = pages[static_cast<size_t>(s * blocks_ + b)];
      }
      write(tokens, s, filled);
    }
  }

  int64_t max_positions() const { return blocks_ * page_size_; }
  Matrix<const T> rows() const { return cache_.input(); }
  PagedRows places(const Places& places, int64_t first, int64_t count) const {
    return {count, places.sequences.data() + first, places.positions.data() + first,
            table_.input()};
  }

 private:
  void write(const Tokens<T>& tokens, int64_t sequence, int64_t filled) {
    const auto s = static_cast<size_t>(sequence);
    std::vector<int32_t> slots;
    for (int64_t p = 0; p < tokens.lengths[s]; ++p) {
      const int64_t slot = table_.at(sequence, p / page_size_) * page_size_ + p % page_size_;
      slots.push_back(p < filled ? static_cast<int32_t>(slot) : -1);
    }
    kv_write<T>(tokens.lengths[s], cache_.cols(), tokens.rows.input(tokens.starts[s]), slots.data(),
                cache_.matrix());
  }

  int64_t page_size_;
  int64_t blocks_;
  Grid<int32_t> table_;
  Grid<T> cache_;
};

inline std::vector<double> exact_softmax(std::vector<double> scores) {
  const double highest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - highest);
  for (double& score : scores) score /= sum;
  return scores;
}

}  // namespace braid::kernels::cpu
