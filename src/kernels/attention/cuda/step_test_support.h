// Steps for tests of the GPU's attention: rows of several sequences over a paged cache.
#pragma once

#include <numeric>

#include "kernels/attention/cpu/attention.h"
#include "kernels/attention/cuda/attention.h"
#include "kernels/cuda/test_support.h"

namespace braid::kernels::cuda {

// `count` rows that follow one another: of a new sequence from position `first` on, or padding.
struct Stretch {
  int32_t first = 0;
  int32_t count = 1;
  bool padding = false;
};

constexpr Stretch decode(int32_t position) { return {position, 1, false}; }
constexpr Stretch prefill(int32_t first, int32_t count) { return {first, count, false}; }
constexpr Stretch padding(int32_t count) { return {0, count, true}; }

// The rows of some stretches. Sequences have rows of the block table in an order of their own.
struct StepRows {
  std::vector<int32_t> sequences;
  std::vector<int32_t> positions;
  std::vector<int32_t> lengths;  // of the sequences, by row of the block table
  int64_t num_sequences = 0;     // rows of the block table; some may be unused

  StepRows(const std::vector<Stretch>& stretches, int64_t table_rows, uint64_t seed = 1)
      : num_sequences(table_rows) {
    std::vector<int32_t> order(static_cast<size_t>(table_rows));
    std::iota(order.begin(), order.end(), 0);
    Random random(seed);
    std::shuffle(order.begin(), order.end(), random);
    lengths.resize(order.size());
    size_t next = 0;
    for (const Stretch& stretch : stretches) {
      const int32_t sequence = stretch.padding ? -1 : order.at(next++);
      for (int32_t i = 0; i < stretch.count; ++i) {
        sequences.push_back(sequence);
        positions.push_back(stretch.padding ? 0 : stretch.first + i);
      }
      if (sequence >= 0) lengths[static_cast<size_t>(sequence)] = stretch.first + stretch.count;
    }
  }
  int64_t size() const { return static_cast<int64_t>(sequences.size()); }
  int64_t longest() const { return *std::max_element(lengths.begin(), lengths.end()); }
};

// A cache of random rows for the sequences' positions and NaN everywhere else, its pages in random
// order. Behind a sequence's last page the block table names others, full of NaN.
struct StepCache {
  Grid<int32_t> table;
  Grid<bf16> cache;

  StepCache(Random& random, const StepRows& rows, int64_t page_size, int64_t cols, int64_t padding)
      : table(rows.num_sequences, (rows.longest() + page_size - 1) / page_size + 1, 3),
        cache(table.rows() * table.cols() * page_size, cols, padding) {
    for (int64_t r = 0; r < cache.rows(); ++r) {
      std::fill_n(cache.matrix().row(r), cols, bf16{0x7fc0});
    }
    std::vector<int32_t> pages(static_cast<size_t>(table.rows() * table.cols()));
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), random);
    for (int64_t s = 0; s < table.rows(); ++s) {
      const int32_t length = rows.lengths[static_cast<size_t>(s)];
      for (int64_t b = 0; b < table.cols(); ++b) {
        table.at(s, b) = pages[static_cast<size_t>(s * table.cols() + b)];
      }
      for (int64_t p = 0; p < length; ++p) {
        const int64_t row = table.at(s, p / page_size) * page_size + p % page_size;
        for (int64_t c = 0; c < cols; ++c) cache.at(row, c) = cpu::random_value<bf16>(random);
      }
    }
  }
};

// The step's rows [first, first + count) in device memory.
struct DeviceRows {
  DeviceArray<int32_t> sequences, positions;
  DeviceGrid<int32_t> table;
  PagedRows paged;

  DeviceRows(const StepRows& rows, const Grid<int32_t>& block_table, int64_t first, int64_t count)
      : sequences(rows.sequences), positions(rows.positions), table(block_table) {
    paged.rows = count;
    paged.sequences = sequences.data() + first;
    paged.positions = positions.data() + first;
    paged.block_table = table.input();
    paged.num_sequences = rows.num_sequences;
    paged.num_blocks = block_table.cols();
  }
};

}  // namespace braid::kernels::cuda
