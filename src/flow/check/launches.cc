// The check across the launches of one rank: what they name must order what they share.
#include <fmt/format.h>

#include <map>

#include "flow/check/access.h"
#include "flow/check/check.h"

namespace braid::flow {
namespace check {

Status check_names(std::span<const Launch> launches, size_t launch) {
  for (const int32_t named : launches[launch].after) {
    if (named >= 0 && static_cast<size_t>(named) < launch) continue;
    return Error(ErrorKind::internal, "a launch names one that isn't submitted before it")
        .with("launch", launch)
        .with("names", named);
  }
  return {};
}

namespace {

// Launches that touched a stretch of memory since its last writer.
struct LastLaunches {
  int32_t writer = -1;
  std::vector<int32_t> readers;
};

struct CopyKey {
  ResidentKey resident;  // resident -1: the workspace
  int32_t copy = 0;
  auto operator<=>(const CopyKey&) const = default;
};

class Launches {
 public:
  explicit Launches(std::span<const Launch> launches)
      : launches_(launches), before_(launches.size(), std::vector<bool>(launches.size())) {}

  Result<CheckReport> run() {
    for (size_t i = 0; i < launches_.size(); ++i) {
      TRY(check_shape(*launches_[i].schedule));
      TRY(check_names(launches_, i));
      for (const int32_t named : launches_[i].after) {
        const std::vector<bool>& known = before_[static_cast<size_t>(named)];
        for (size_t j = 0; j < i; ++j) before_[i][j] = before_[i][j] || known[j];
        before_[i][static_cast<size_t>(named)] = true;
      }
      TRY(check(static_cast<int32_t>(i)));
    }
    return report_;
  }

 private:
  Status check(int32_t launch) {
    const Schedule& schedule = *launches_[static_cast<size_t>(launch)].schedule;
    const Program& program = schedule.program;
    report_.ops += static_cast<int64_t>(program.ops.size());
    if (schedule.workspace_bytes > 0) {
      TRY(touch(launch, {}, 0, schedule.workspace_bytes, true, "workspace"));
    }
    for (size_t op = 0; op < program.ops.size(); ++op) {
      Status status;
      for_each_access(program, static_cast<int32_t>(op), [&](const RowAccess& access) {
        const Buffer& buffer = buffer_at(program, access.buffer);
        if (!status.ok() || buffer.lifetime != Lifetime::carried) return;
        const int64_t step = launches_[static_cast<size_t>(launch)].step;
        const CopyKey key{{buffer.resident, buffer.owner},
                          buffer.copies == 2 ? static_cast<int32_t>(step & 1) : 0};
        status = touch(launch, key, access.first * buffer.row_bytes, access.last * buffer.row_bytes,
                       access.written, buffer.label);
      });
      TRY(std::move(status));
    }
    return {};
  }

  Status touch(int32_t launch, const CopyKey& key, int64_t first, int64_t last, bool written,
               std::string_view label) {
    for (auto& segment : memory_[key].at(first, last)) {
      LastLaunches& state = segment.state;
      TRY(check_order(state.writer, launch, label, segment.first, segment.last));
      if (written) {
        for (const int32_t reader : state.readers) {
          TRY(check_order(reader, launch, label, segment.first, segment.last));
        }
        state.writer = launch;
        state.readers.clear();
      } else if (state.readers.empty() || state.readers.back() != launch) {
        state.readers.push_back(launch);
      }
    }
    return {};
  }

  Status check_order(int32_t earlier, int32_t launch, std::string_view label, int64_t first,
                     int64_t last) {
    if (earlier < 0 || earlier == launch) return {};
    ++report_.pairs;
    if (before_[static_cast<size_t>(launch)][static_cast<size_t>(earlier)]) return {};
    return Error(ErrorKind::internal, "two launches touch the same memory in no order")
        .with("first", launch_text(earlier))
        .with("second", launch_text(launch))
        .with("buffer", label)
        .with("bytes", fmt::format("[{}, {})", first, last));
  }

  std::string launch_text(int32_t launch) const {
    return fmt::format("launch {} (step {})", launch, launches_[static_cast<size_t>(launch)].step);
  }

  std::span<const Launch> launches_;
  std::vector<std::vector<bool>> before_;  // [launch][other]: other is done when launch starts
  std::map<CopyKey, SegmentMap<LastLaunches>> memory_;
  CheckReport report_;
};

}  // namespace
}  // namespace check

Result<CheckReport> check_launches(std::span<const Launch> launches) {
  return check::Launches(launches).run();
}

}  // namespace braid::flow
