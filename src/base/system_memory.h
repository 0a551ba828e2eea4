// How much memory there still is for this process: the machine's, a container's, and what limits
// of the process allow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace braid {

// Bytes that `processes` processes like this one can have together without swapping, beyond what
// this one has: the least of
//   - MemAvailable of /proc/meminfo;
//   - of each memory cgroup, v1 or v2, that this process is in: its limit, less what it uses but
//   for
//     files that are cached;
//   - RLIMIT_AS of each process, less its address space.
// 0: unknown. `root` stands before all paths, for tests.
int64_t available_memory(int32_t processes = 1, const std::string& root = "");

// The first of these from the file's text.
std::optional<int64_t> parse_available(std::string_view meminfo);
// The second one; nothing where there is no limit.
std::optional<int64_t> cgroup_memory(const std::string& root = "");

}  // namespace braid
