// RankQuery: what rank 0 asks of ranks between steps, in whatever process they are. Each that is
// asked answers in bytes (service.h): probes, counters, traces; never what a step computes with
// others.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "flow/delays.h"

namespace braid::ranks {

// Rows of one copy of a resident buffer.
struct ResidentRows {
  int32_t resident = -1;
  int64_t first = 0;
  int64_t count = 0;
  int32_t copy = 0;
};

struct RankQuery {
  enum class Kind : int32_t {
    read,           // → the bytes of some rows
    write,          // takes them over
    score,          // → f64 −ln p of a token, one a row of the logits
    execution,      // how the next steps run
    trace,          // whether the next steps are recorded
    take_trace,     // → what was recorded so far (trace_message.h)
    clock,          // → i64, the rank's Trace::now_ns()
    clear_state,    // zeroes what is carried from step to step
    keep_state,     // keeps a copy of it by the name of a step
    compare_state,  // → nothing where it has the bytes of the copy; else packed: buffer, row
  };
  static constexpr int32_t kKinds = 10;

  static RankQuery read(const ResidentRows& rows);
  static RankQuery write(const ResidentRows& rows, std::string bytes);
  // Asks for the log-likelihood of token targets[i] by row i of the probe all_logits.
  static RankQuery score(std::span<const int32_t> targets);
  // The delays differ from rank to rank.
  static RankQuery execution(bool serial, const flow::Delays& delays);
  static RankQuery trace(bool on);
  static RankQuery keep_state(int64_t step);
  static RankQuery compare_state(int64_t step);

  // The rows of write() and read().
  ResidentRows rows() const;

  std::string to_bytes() const;
  // `fault` when the bytes are not a query.
  static Result<RankQuery> from_bytes(std::string_view bytes);

  Kind kind = Kind::clock;
  std::array<int64_t, 4> numbers = {};
  std::string bytes;
};

}  // namespace braid::ranks
