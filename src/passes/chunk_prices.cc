#include "passes/chunk_prices.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ops/collectives.h"
#include "ops/row_parts.h"

namespace braid::passes {
namespace {

using cost::RowWork;
using flow::Op;
using flow::Program;
using flow::Work;

// Numbers of chunks that are considered, where the rows allow.
constexpr std::array<int32_t, 12> kNumbers = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, kMostChunks};

Work combine(const Work& a, double times_a, const Work& b, double times_b) {
  return {.flop = a.flop * times_a + b.flop * times_b,
          .bytes = a.bytes * times_a + b.bytes * times_b,
          .link_bytes = a.link_bytes * times_a + b.link_bytes * times_b};
}

// Works are linear in the rows: two points tell all.
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
  return {.each_chunk = combine(one, 1, each_row, -1), .each_row = each_row};
}

// A part of the rows in each chunk.
RowWork part_work(RowWork work, int32_t ranks) {
  work.each_row = combine(work.each_row, 1.0 / ranks, {}, 0);
  return work;
}

// An all-gather or a reduce-scatter of a row as wide as the reduction's.
RowWork half_of(const RowWork& all_reduce, int32_t ranks) {
  return {.each_chunk = {},
          .each_row = {.link_bytes = all_reduce.each_row.link_bytes / 2},
          .messages = ranks - 1};
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

std::string ChunkChoice::to_string() const {
  std::string text;
  for (const ChunkPrice& price : prices) {
    text += fmt::format("{}{}: {:.0f} us", text.empty() ? "" : ", ", price.chunks, price.us);
  }
  return text;
}

ChunkChoice choose_chunks(std::span<const cost::Stage> whole, std::span<const cost::Stage> cut,
                          int64_t rows, const cost::DeviceProfile& profile) {
  ChunkChoice choice;
  double least = 0;
  for (const int32_t number : kNumbers) {
    const std::vector<flow::RowRange> ranges = chunk_ranges(rows, number);
    const auto chunks = static_cast<int32_t>(ranges.size());
    const bool known = std::any_of(choice.prices.begin(), choice.prices.end(),
                                   [&](const ChunkPrice& price) { return price.chunks == chunks; });
    if (known) continue;
    std::vector<int64_t> chunk_rows;
    for (const flow::RowRange& range : ranges) chunk_rows.push_back(range.last - range.first);
    const double us = cost::pipeline_us(chunks == 1 ? whole : cut, chunk_rows, profile);
    if (choice.prices.empty() || us < least) {
      least = us;
      choice.chunks = chunks;
    }
    choice.prices.push_back({chunks, us});
  }
  return choice;
}

std::vector<cost::Stage> stages_of(const Program& program, std::span<const RowSegment> segments,
                                   int64_t rows, int32_t ranks) {
  std::vector<cost::Stage> stages;
  std::vector<RowWork> before;  // parts that are done before the next ops
  const auto op_work = [&](int32_t op) {
    return row_work(program, program.ops[static_cast<size_t>(op)], rows);
  };
  for (const RowSegment& segment : segments) {
    cost::Stage stage{
        .compute = std::exchange(before, {}), .comm = {}, .continues = segment.continues};
    for (const int32_t op : segment.ops) stage.compute.push_back(op_work(op));
    const bool halved = ranks > 1 && !segment.parts.empty();
    if (segment.reduce >= 0) {
      RowWork reduce = op_work(segment.reduce);
      const auto& desc = program.ops[static_cast<size_t>(segment.reduce)].desc;
      reduce.messages = 2 * (desc.as<ops::AllReduceDesc>().ranks - 1);
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
