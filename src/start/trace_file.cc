#include "start/trace_file.h"

#include <cmath>

namespace braid::start {

Result<std::optional<TraceFile>> TraceFile::open(const Invocation& invocation) {
  if (!invocation.options.has("trace") || !invocation.leads()) return std::optional<TraceFile>();
  const std::string& path = invocation.options.text("trace");
  return std::optional<TraceFile>(TraceFile(path, TRY(OutputFile::create(path, "the trace"))));
}

Status TraceFile::write(ranks::Ranks& ranks, const ranks::WorkerOptions& options,
                        Console& console) {
  const auto traces = TRY(start::RankTraces::collect(ranks, options));
  TRY(file_.write(flow::to_perfetto(traces.timelines())));
  TRY(file_.finish());
  std::string table = flow::module_table(traces.timelines());
  table.pop_back();  // the console ends the line
  console.report(table);
  console.line(fmt::format("trace written to {}", path_));
  if (traces.clock_error_ns() > 0) console.line(describe_clocks(traces.clock_error_ns()));
  return {};
}

std::string describe_clocks(int64_t error_ns) {
  return fmt::format("ranks of other hosts are aligned to within {:.0f} µs",
                     std::ceil(static_cast<double>(error_ns) / 1e3));
}

}  // namespace braid::start
