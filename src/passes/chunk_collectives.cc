#include "passes/chunk_collectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ops/collectives.h"
#include "ops/gemm.h"
#include "ops/row_parts.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using flow::RowRange;
using flow::Shard;
using flow::Value;

void spare_sms(Program& program, const RowSegment& segment, int32_t sms) {
  for (const int32_t index : segment.ops) {
    Op& op = program.ops[static_cast<size_t>(index)];
    if (!op.desc.is<kernels::GemmDesc>()) continue;
    auto desc = op.desc.as<kernels::GemmDesc>();
    desc.spare_sms = sms;
    op.desc = flow::AnyDesc(desc);
  }
}

// Cuts segments of one Program by the same ranges.
class Cutter {
 public:
  Cutter(const Program& program, const std::vector<RowRange>& ranges, const Members& members)
      : program_(program), ranges_(ranges), members_(members), rewrite_(program) {}

  void cut(const RowSegment& segment) {
    std::vector<int32_t> ops = segment.ops;
    if (segment.reduce >= 0) ops.push_back(segment.reduce);
    if (segment.parts.empty()) return rewrite_.split(ops, ranges_);
    ops.insert(ops.end(), segment.parts.begin(), segment.parts.end());
    std::vector<int32_t> issued;
    for (const RowRange& range : ranges_) {
      for (const int32_t op : segment.ops) issued.push_back(rewrite_.part(op, range));
      issued.push_back(scatter(segment.reduce, range));
      gather_result(segment, segment.reduce, range, issued);
      for (const int32_t op : segment.parts) {
        const RowRange own = own_part(range);
        if (own.first < own.last) issued.push_back(own_part_of(op, range));
        gather_result(segment, op, range, issued);
      }
    }
    rewrite_.replace(ops, issued);
  }

  int rewrites() const { return rewrite_.rewrites(); }
  Result<Program> finish() && { return std::move(rewrite_).finish(); }

 private:
  RowRange own_part(const RowRange& range) const {
    return ops::part_of(range, members_.count, members_.index);
  }
  // This rank's part of a chunk of `value`.
  Value own_rows(Value value, const RowRange& range) {
    flow::Placement placement = program_.info(value).placement;
    placement.axes[1] = Shard::row_sharded;
    return rewrite_.placed(rewrite_.rows_of(value, own_part(range)), placement);
  }

  int32_t own_part_of(int32_t index, const RowRange& range) {
    Op op = program_.ops[static_cast<size_t>(index)];
    for (size_t i = 0; i < op.operands.size(); ++i) {
      const bool whole = op.kind().operands[i].slicing == flow::Slicing::whole;
      if (op.operands[i].present() && !whole) op.operands[i] = own_rows(op.operands[i], range);
    }
    op.lane = flow::Lane::comm;
    return rewrite_.substitute(op, index);
  }

  int32_t scatter(int32_t reduce, const RowRange& range) {
    Op op = program_.ops[static_cast<size_t>(reduce)];
    const auto desc = op.desc.as<ops::AllReduceDesc>();
    op.desc = flow::AnyDesc(
        ops::ReduceScatterDesc{.communicator = desc.communicator, .ranks = desc.ranks});
    const Value in = op.operands[ops::AllReduceOperand::in];
    const Value out = op.operands[ops::AllReduceOperand::out];
    op.operands[ops::ReduceScatterOperand::in] = rewrite_.rows_of(in, range);
    op.operands[ops::ReduceScatterOperand::out] = own_rows(out, range);
    return rewrite_.substitute(op, reduce);
  }

  // The rows that all ranks' parts of `maker` wrote, where others read them.
  void gather_result(const RowSegment& segment, int32_t maker, const RowRange& range,
                     std::vector<int32_t>& issued) {
    const auto& gathered = segment.gathered;
    if (std::find(gathered.begin(), gathered.end(), maker) == gathered.end()) return;
    const Value value = output_of(program_.ops[static_cast<size_t>(maker)]);
    Op op = program_.ops[static_cast<size_t>(segment.reduce)];
    const auto desc = op.desc.as<ops::AllReduceDesc>();
    op.desc =
        flow::AnyDesc(ops::GatherPartsDesc{.communicator = desc.communicator, .ranks = desc.ranks});
    op.operands[ops::GatherPartsOperand::in] = own_rows(value, range);
    op.operands[ops::GatherPartsOperand::out] = rewrite_.rows_of(value, range);
    issued.push_back(rewrite_.make(op, maker));
  }

  const Program& program_;
  const std::vector<RowRange>& ranges_;
  const Members members_;
  flow::Rewriter rewrite_;
};

bool reduces(const Op& op) { return op.desc.is<ops::AllReduceDesc>(); }

// What a Program offers to be cut.
struct Cuttable {
  int64_t rows = 0;
  std::vector<RowSegment> segments;
  int64_t reductions = 0;
  bool parts = false;  // some reduction is cut in two
};

Cuttable find_cuttable(const Program& program, int64_t rows, const ChunkOptions& options) {
  const int32_t ranks = options.continued ? options.members.count : 1;
  Cuttable found{.rows = rows,
                 .segments = find_row_segments(program, rows,
                                               {.continued = options.continued, .ranks = ranks})};
  for (const RowSegment& segment : found.segments) {
    found.reductions += segment.reduce >= 0 ? 1 : 0;
    found.parts = found.parts || !segment.parts.empty();
  }
  return found;
}

// How many chunks, and why.
struct Wanted {
  int32_t chunks = 1;
  std::string reason;
};

Wanted wanted_chunks(const Program& program, const Cuttable& found, const ChunkOptions& options) {
  if (options.chunks != ChunkOptions::kAutomatic) {
    return {options.chunks, fmt::format("asked for {}", options.chunks)};
  }
  const auto whole = stages_of(program, found.segments, found.rows, 1);
  const auto cut = stages_of(program, found.segments, found.rows, options.members.count);
  const ChunkChoice choice = choose_chunks(whole, cut, found.rows, options.profile);
  return {choice.chunks,
          fmt::format("auto, predicted for {}: {}", options.profile.name, choice.to_string())};
}

}  // namespace

Result<ChunkOptions> parse_chunks(std::string_view option, std::string_view text) {
  if (text == "off") return ChunkOptions{};
  ChunkOptions options;
  if (text == "auto") {
    options.chunks = ChunkOptions::kAutomatic;
    return options;
  }
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), options.chunks);
  const bool whole = code == std::errc() && end == text.data() + text.size();
  if (whole && options.chunks >= 2 && options.chunks <= kMostChunks) return options;
  return Error(ErrorKind::usage, "not a number of chunks")
      .with(option, text)
      .remedy(fmt::format("Use auto, off, or a number from 2 to {}.", kMostChunks));
}

Result<Program> chunk_collectives(Program program, const ChunkOptions& options, Decisions& why) {
  const auto unchanged = [&](std::string reason) {
    why.push_back({"chunk_collectives", "off", std::move(reason), 0});
    return std::move(program);
  };
  const auto first = std::find_if(program.ops.begin(), program.ops.end(), reduces);
  if (first == program.ops.end()) return unchanged("no reduction in the step");
  const int64_t rows = program.info(first->operands[ops::AllReduceOperand::in]).rows;
  if (options.chunks == 1) return unchanged("not asked for");
  if (rows < 2 * kChunkTile) {
    return unchanged(fmt::format("{} rows: fewer than two chunks of {}", rows, kChunkTile));
  }
  if (options.chunks == ChunkOptions::kAutomatic && rows < options.min_tokens) {
    return unchanged(fmt::format("auto: {} rows, below the limit of {}", rows, options.min_tokens));
  }
  const Cuttable found = find_cuttable(program, rows, options);
  if (found.reductions == 0) return unchanged("no reduction whose input can be cut");
  const Wanted wanted = wanted_chunks(program, found, options);
  const std::vector<RowRange> ranges = chunk_ranges(rows, wanted.chunks);
  if (ranges.size() == 1) return unchanged(wanted.reason);
  for (const RowSegment& segment : found.segments) spare_sms(program, segment, options.spare_sms);
  Cutter cutter(program, ranges, options.members);
  for (const RowSegment& segment : found.segments) cutter.cut(segment);
  const std::string_view how = !options.continued ? ""
                               : found.parts      ? ", continued, sums and norms once a row"
                                                  : ", continued";
  why.push_back({"chunk_collectives", fmt::format("{} chunks{}", ranges.size(), how),
                 fmt::format("{}; {} rows in chunks of {}, {} reductions", wanted.reason, rows,
                             ranges.front().last, found.reductions),
                 cutter.rewrites()});
  return std::move(cutter).finish();  // waits come from compile, not from here
}

}  // namespace braid::passes
