// --trace: what all ranks ran, as a file for Perfetto and a table.
#pragma once

#include "base/output_file.h"
#include "start/invocation.h"
#include "start/rank_traces.h"

namespace braid::start {

class TraceFile {
 public:
  // The file is made before anything is computed for it. Nothing without --trace, and on ranks that
  // follow.
  static Result<std::optional<TraceFile>> open(const Invocation& invocation);

  // Writes all that ranks with these options have recorded, and tells the table.
  Status write(ranks::Ranks& ranks, const ranks::WorkerOptions& options, Console& console);

 private:
  TraceFile(std::string path, OutputFile file) : path_(std::move(path)), file_(std::move(file)) {}

  std::string path_;
  OutputFile file_;
};

// "ranks of other hosts are aligned to within 40 µs".
std::string describe_clocks(int64_t error_ns);

}  // namespace braid::start
