#include "passes/chunk_collectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ops/collectives.h"
#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/rows.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using flow::Value;

constexpr int32_t kMostChunks = 64;

// Who writes and reads each buffer of a Program, by op.
class Uses {
 public:
  explicit Uses(const Program& program)
      : program_(program), writers_(program.buffers.size()), readers_(program.buffers.size()) {
    for (size_t i = 0; i < program.ops.size(); ++i) {
      flow::for_each_region(program, program.ops[i], [&](const flow::Region& region) {
        const auto buffer = static_cast<size_t>(region.buffer);
        if (flow::writes(region.access)) writers_[buffer].push_back(static_cast<int32_t>(i));
        if (flow::reads(region.access)) readers_[buffer].push_back(static_cast<int32_t>(i));
      });
    }
  }

  // The op that makes `value` for `reader` alone, if it can be split as the reader is; else −1.
  int32_t private_producer(Value value, int32_t reader) const {
    const auto buffer = static_cast<size_t>(program_.info(value).buffer);
    const bool ours = program_.buffers[buffer].lifetime == flow::Lifetime::step &&
                      writers_[buffer].size() == 1 &&
                      readers_[buffer] == std::vector<int32_t>{reader};
    if (!ours) return -1;
    const int32_t producer = writers_[buffer].front();
    const Op& op = at(producer);
    const bool alike =
        op.kind().collective == nullptr &&
        flow::splittable_rows(program_, op) == flow::splittable_rows(program_, at(reader));
    return alike ? producer : -1;
  }

 private:
  const Op& at(int32_t op) const { return program_.ops[static_cast<size_t>(op)]; }

  const Program& program_;
  std::vector<std::vector<int32_t>> writers_;
  std::vector<std::vector<int32_t>> readers_;
};

bool makes_rows(const Op& op) {
  return op.desc.is<kernels::GemmDesc>() || op.desc.is<kernels::CombineDesc>();
}

// The ops to be split with the all-reduce `reduce`, ascending, itself last; empty when nothing can
// run beside it. Terms of a sum that are made on another lane stay whole: they overlap already.
std::vector<int32_t> pipeline_of(const Program& program, const Uses& uses, int32_t reduce) {
  const auto op_at = [&](int32_t op) -> const Op& { return program.ops[static_cast<size_t>(op)]; };
  const int32_t producer = uses.private_producer(op_at(reduce).operands[0], reduce);
  if (producer < 0) return {};
  if (makes_rows(op_at(producer))) return {producer, reduce};
  if (!op_at(producer).desc.is<kernels::AddDesc>()) return {};
  std::vector<int32_t> ops;
  for (size_t term = 0; term < 2; ++term) {
    const int32_t maker = uses.private_producer(op_at(producer).operands[term], producer);
    if (maker >= 0 && makes_rows(op_at(maker)) && op_at(maker).lane == op_at(producer).lane) {
      ops.push_back(maker);
    }
  }
  if (ops.empty()) return {};
  std::sort(ops.begin(), ops.end());
  ops.push_back(producer);
  ops.push_back(reduce);
  return ops;
}

void spare_sms(Program& program, const std::vector<int32_t>& ops, int32_t sms) {
  for (const int32_t index : ops) {
    Op& op = program.ops[static_cast<size_t>(index)];
    if (!op.desc.is<kernels::GemmDesc>()) continue;
    auto desc = op.desc.as<kernels::GemmDesc>();
    desc.spare_sms = sms;
    op.desc = flow::AnyDesc(desc);
  }
}

bool reduces(const Op& op) { return op.desc.is<ops::AllReduceDesc>(); }

}  // namespace

Result<ChunkOptions> parse_chunks(std::string_view option, std::string_view text) {
  if (text == "off") return ChunkOptions{};
  ChunkOptions options;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), options.chunks);
  const bool whole = code == std::errc() && end == text.data() + text.size();
  if (whole && options.chunks >= 2 && options.chunks <= kMostChunks) return options;
  return Error(ErrorKind::usage, "not a number of chunks")
      .with(option, text)
      .remedy(fmt::format("Use off, or a number from 2 to {}.", kMostChunks));
}

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

Result<Program> chunk_collectives(Program program, const ChunkOptions& options, Decisions& why) {
  const auto unchanged = [&](std::string reason) {
    why.push_back({"chunk_collectives", "off", std::move(reason), 0});
    return std::move(program);
  };
  const auto first = std::find_if(program.ops.begin(), program.ops.end(), reduces);
  if (first == program.ops.end()) return unchanged("no reduction in the step");
  const int64_t rows = program.info(first->operands[0]).rows;
  if (options.chunks == 1) return unchanged("not asked for; no measured prices to choose by yet");
  const std::vector<flow::RowRange> ranges = chunk_ranges(rows, options.chunks);
  if (ranges.size() == 1) {
    return unchanged(fmt::format("{} rows: fewer than two chunks of {}", rows, kChunkTile));
  }
  const Uses uses(program);
  std::vector<std::vector<int32_t>> pipelines;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (!reduces(program.ops[i])) continue;
    std::vector<int32_t> ops = pipeline_of(program, uses, static_cast<int32_t>(i));
    if (ops.empty() || flow::splittable_rows(program, program.ops[i]) != rows) continue;
    pipelines.push_back(std::move(ops));
  }
  if (pipelines.empty()) return unchanged("no reduction whose input can be cut");
  for (const auto& ops : pipelines) spare_sms(program, ops, options.spare_sms);
  flow::Rewriter rewrite(program);
  for (const auto& ops : pipelines) rewrite.split(ops, ranges);
  why.push_back({"chunk_collectives", fmt::format("{} chunks", ranges.size()),
                 fmt::format("asked for {}: {} rows in chunks of {}, {} reductions", options.chunks,
                             rows, ranges.front().last, pipelines.size()),
                 rewrite.rewrites()});
  return std::move(rewrite).finish();  // waits come from compile, not from here
}

}  // namespace braid::passes
