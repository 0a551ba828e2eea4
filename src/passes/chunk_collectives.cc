#include "passes/chunk_collectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ops/collectives.h"
#include "passes/chunk_cut.h"
#include "passes/chunk_prices.h"
#include "passes/chunk_segments.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using flow::RowRange;

constexpr std::string_view kOptions[] = {"overlap-chunks", "overlap-continuation",
                                         "overlap-min-tokens"};

bool reduces(const Op& op) { return op.desc.is<ops::AllReduceDesc>(); }

// What a Program offers to be cut.
struct Cuttable {
  std::vector<RowSegment> segments;
  int64_t reductions = 0;
  bool parts = false;  // some reduction is cut in two halves
};

Cuttable find_cuttable(const Program& program, int64_t rows, const SegmentOptions& options) {
  Cuttable found{.segments = find_row_segments(program, rows, options)};
  for (const RowSegment& segment : found.segments) {
    found.reductions += segment.reduce >= 0 ? 1 : 0;
    found.parts = found.parts || !segment.parts.empty();
  }
  return found;
}

// Why nothing is cut, as far as the number of rows tells. Empty where it may be.
std::string why_whole(int64_t rows, const ChunkOptions& options) {
  if (options.chunks == 1) return "not asked for";
  if (rows < 2 * kChunkTile) {
    return fmt::format("{} rows: fewer than two chunks of {}", rows, kChunkTile);
  }
  if (options.chunks == ChunkOptions::kAutomatic && rows < options.min_tokens) {
    return fmt::format("auto: {} rows, below the limit of {}", rows, options.min_tokens);
  }
  return "";
}

// The predicted times of all numbers of chunks that were considered.
std::vector<cost::Alternative> alternatives_of(const ChunkChoice& choice) {
  std::vector<cost::Alternative> all;
  for (const ChunkPrice& price : choice.prices) {
    all.push_back({price.chunks == 1 ? "off" : fmt::format("{} chunks", price.chunks), price.us});
  }
  return all;
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

Result<Program> chunk_collectives(Program program, const ChunkOptions& options,
                                  const PassContext& context) {
  Decision decision{.pass = "chunk_collectives", .choice = "off"};
  const auto unchanged = [&](std::string reason) {
    decision.reason = std::move(reason);
    context.decisions.push_back(std::move(decision));
    return std::move(program);
  };
  const auto first = std::find_if(program.ops.begin(), program.ops.end(), reduces);
  if (first == program.ops.end()) return unchanged("no reduction in the step");
  const int64_t rows = program.info(first->operands[ops::AllReduceOperand::in]).rows;
  if (std::string reason = why_whole(rows, options); !reason.empty()) return unchanged(reason);
  const Cuttable found = find_cuttable(
      program, rows,
      {.continued = options.continued, .ranks = options.continued ? context.tp.ranks : 1});
  if (found.reductions == 0) return unchanged("no reduction whose input can be cut");
  const bool automatic = options.chunks == ChunkOptions::kAutomatic;
  const ChunkChoice choice = choose_chunks(
      stages_of(program, found.segments, rows, 1),
      stages_of(program, found.segments, rows, context.tp.ranks), rows, context.cost(),
      automatic ? all_chunk_numbers() : std::span(&options.chunks, 1));
  decision.alternatives = alternatives_of(choice);
  const int32_t chunks = automatic ? choice.chunks : options.chunks;
  const std::string reason =
      automatic ? fmt::format("auto, predicted for {}", context.cost().profile().name)
                : fmt::format("asked for {}", options.chunks);
  const std::vector<RowRange> ranges = chunk_ranges(rows, chunks);
  if (ranges.size() == 1) return unchanged(reason);
  const std::string_view how = !options.continued ? ""
                               : found.parts      ? ", continued, sums and norms once a row"
                                                  : ", continued";
  decision.choice = fmt::format("{} chunks{}", ranges.size(), how);
  decision.reason = fmt::format("{}; {} rows in chunks of {}, {} reductions", reason, rows,
                                ranges.front().last, found.reductions);
  program = TRY(cut_segments(std::move(program), found.segments, ranges, context.tp,
                             options.spare_sms, decision.rewrites));
  context.decisions.push_back(std::move(decision));
  return program;
}

constinit const Pass kChunkCollectives = {
    .name = "chunk_collectives",
    .options = kOptions,
    .parse = [](const ParsedOptions& from, PassOptions& to) -> Status {
      auto& options = to.of<ChunkOptions>();
      options = TRY(parse_chunks("--overlap-chunks", from.text("overlap-chunks")));
      options.continued = from.text("overlap-continuation") == "on";
      options.min_tokens = from.integer("overlap-min-tokens");
      return {};
    },
    .run =
        [](Program program, const PassContext& context) {
          return chunk_collectives(std::move(program), context.options.of<ChunkOptions>(), context);
        }};

}  // namespace braid::passes
