#include "passes/chunk_prices.h"

#include <algorithm>
#include <array>

namespace braid::passes {
namespace {

using cost::RowWork;
using flow::Op;
using flow::Program;
using flow::Work;

constexpr std::array<int32_t, 11> kNumbers = {2, 3, 4, 6, 8, 12, 16, 24, 32, 48, kMostChunks};

Work combine(const Work& a, double times_a, const Work& b, double times_b) {
  return {.flop = a.flop * times_a + b.flop * times_b,
          .bytes = a.bytes * times_a + b.bytes * times_b,
          .link_bytes = a.link_bytes * times_a + b.link_bytes * times_b,
          .messages = a.messages * times_a + b.messages * times_b};
}

// A work is linear in the rows, so that two points determine it.
RowWork row_work(const Program& program, const Op& op, int64_t rows) {
  const auto work_at = [&](int64_t count) {
    flow::OpTypes types = program.types_of(op);
    for (size_t i = 0; i < types.size(); ++i) {
      const bool whole = op.kind().operands[i].slicing == flow::Slicing::whole;
      if (op.operands[i].present() && !whole) types[i].rows = count;
    }
    return op.kind().work(op.desc.data(), {types.begin(), types.size()});
  };
  const Work one = work_at(1), all = work_at(rows);
  const auto more = static_cast<double>(rows - 1);
  const Work each_row = combine(all, 1 / more, one, -1 / more);
  return {.each_chunk = combine(one, 1, each_row, -1),
          .each_row = each_row,
          .collective = op.kind().collective != nullptr};
}

// The work of one rank's share of each chunk.
RowWork part_work(RowWork work, int32_t ranks) {
  work.each_row = combine(work.each_row, 1.0 / ranks, {}, 0);
  return work;
}

// An all-gather or a reduce-scatter of rows as wide as the reduction's.
RowWork half_of(const RowWork& all_reduce, int32_t ranks) {
  return {.each_chunk = {.messages = ranks - 1.0},
          .each_row = {.link_bytes = all_reduce.each_row.link_bytes / 2},
          .collective = true};
}

}  // namespace

std::vector<flow::RowRange> chunk_ranges(int64_t rows, int32_t chunks) {
  if (rows < 2 * kChunkTile) return {{0, rows}};
  const int64_t even = (rows + chunks - 1) / chunks;
  const int64_t each = (even + kChunkTile - 1) / kChunkTile * kChunkTile;
  std::vector<flow::RowRange> ranges;
  for (int64_t first = 0; first < rows; first += each) {
    ranges.push_back({first, std::min(first + each, rows)});
  }
  return ranges;
}

std::span<const int32_t> all_chunk_numbers() { return kNumbers; }

ChunkChoice choose_chunks(std::span<const cost::Stage> whole, std::span<const cost::Stage> cut,
                          int64_t rows, const cost::CostModel& model,
                          std::span<const int32_t> numbers) {
  ChunkChoice choice;
  double least = 0;
  const auto consider = [&](int32_t number) {
    const std::vector<flow::RowRange> ranges = chunk_ranges(rows, number);
    const auto chunks = static_cast<int32_t>(ranges.size());
    const bool known = std::any_of(choice.prices.begin(), choice.prices.end(),
                                   [&](const ChunkPrice& price) { return price.chunks == chunks; });
    if (known) return;
    std::vector<int64_t> chunk_rows;
    for (const flow::RowRange& range : ranges) chunk_rows.push_back(range.last - range.first);
    const double us = cost::pipeline_us(chunks == 1 ? whole : cut, chunk_rows, model);
    if (choice.prices.empty() || us < least) {
      least = us;
      choice.chunks = chunks;
    }
    choice.prices.push_back({chunks, us});
  };
  consider(1);
  for (const int32_t number : numbers) consider(number);
  return choice;
}

std::vector<cost::Stage> stages_of(const Program& program, std::span<const RowSegment> segments,
                                   int64_t rows, int32_t ranks) {
  std::vector<cost::Stage> stages;
  std::vector<RowWork> before;  // parts that lane compute does before the next ops
  const auto op_work = [&](int32_t op) {
    return row_work(program, program.ops[static_cast<size_t>(op)], rows);
  };
  for (const RowSegment& segment : segments) {
    cost::Stage stage{
        .compute = std::exchange(before, {}), .comm = {}, .continues = segment.continues};
    for (const int32_t op : segment.ops) stage.compute.push_back(op_work(op));
    const bool halved = ranks > 1 && !segment.parts.empty();
    if (segment.reduce >= 0) {
      const RowWork reduce = op_work(segment.reduce);
      stage.comm.push_back(halved ? half_of(reduce, ranks) : reduce);
      for (const int32_t op : segment.parts) {
        if (halved) {
          stage.comm.push_back(part_work(op_work(op), ranks));
        } else {
          before.push_back(op_work(op));
        }
      }
      if (halved) stage.comm.resize(stage.comm.size() + segment.gathered.size(), stage.comm[0]);
    }
    stages.push_back(std::move(stage));
  }
  return stages;
}

}  // namespace braid::passes
