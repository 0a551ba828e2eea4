#include "base/system_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

namespace braid {
namespace {

constexpr int64_t kNoLimit = int64_t{1} << 60;  // cgroup v1 writes "none" as a number beyond this

// The whole of a file of no known size, as those in /proc are; nothing where there is none.
std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::optional<int64_t> number_in(const std::string& path) {
  const std::string text = text_of(path);
  char* end = nullptr;
  const long long number = std::strtoll(text.c_str(), &end, 10);
  if (end == text.c_str() || number < 0) return std::nullopt;
  return number;
}

// The number behind `key` in lines "key number".
int64_t entry(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  std::string name;
  int64_t number = 0;
  while (lines >> name >> number) {
    if (name == key) return number;
  }
  return 0;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream words(line);
  return {std::istream_iterator<std::string>(words), {}};
}

bool has_item(const std::string& list, std::string_view item) {
  std::istringstream items(list);
  for (std::string one; std::getline(items, one, ',');) {
    if (one == item) return true;
  }
  return false;
}

// The files of a cgroup version.
struct Version {
  std::string_view type;  // of the file system
  std::string_view limit, usage, inactive, active;
};
constexpr Version kVersions[] = {
    {"cgroup2", "memory.max", "memory.current", "inactive_file", "active_file"},
    {"cgroup", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
     "total_active_file"}};

// Where this process is in the hierarchy of a version: "0::/a/b", or "4:memory:/a/b".
std::optional<std::string> path_in(const std::string& cgroups, const Version& version) {
  std::istringstream lines(cgroups);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool ours =
        version.type == "cgroup2" ? controllers.empty() : has_item(controllers, "memory");
    if (ours) return line.substr(second + 1);
  }
  return std::nullopt;
}

// The mount point of a hierarchy, and which part of it is mounted.
struct Mount {
  std::string root, point;
};
std::optional<Mount> mount_of(const std::string& mountinfo, const Version& version) {
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> words = words_of(line);
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4 || dash[1] != version.type) continue;
    if (version.type == "cgroup" && !has_item(dash[3], "memory")) continue;
    return Mount{words[3], words[4]};
  }
  return std::nullopt;
}

std::optional<int64_t> left_in(const std::string& folder, const Version& version) {
  const auto file = [&](std::string_view name) { return folder + "/" + std::string(name); };
  const auto limit = number_in(file(version.limit));
  const auto usage = number_in(file(version.usage));
  if (!limit || !usage || *limit >= kNoLimit) return std::nullopt;
  const std::string stat = text_of(file("memory.stat"));
  const int64_t cached = entry(stat, version.inactive) + entry(stat, version.active);
  return std::max<int64_t>(*limit - std::max<int64_t>(*usage - cached, 0), 1);
}

void take_less(std::optional<int64_t>& least, std::optional<int64_t> bytes) {
  if (bytes && (!least || *bytes < *least)) least = bytes;
}

std::optional<int64_t> left_of_address_space(int32_t processes) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const int64_t pages = number_in("/proc/self/statm").value_or(0);
  const int64_t left = static_cast<int64_t>(limit.rlim_cur) - pages * sysconf(_SC_PAGESIZE);
  return std::max<int64_t>(left, 1) * processes;
}

}  // namespace

std::optional<int64_t> parse_available(std::string_view meminfo) {
  constexpr std::string_view kKey = "MemAvailable:";
  const size_t at = meminfo.find(kKey);
  if (at == meminfo.npos) return std::nullopt;
  const std::string rest(meminfo.substr(at + kKey.size(), 40));
  char* end = nullptr;
  const long long kibibytes = std::strtoll(rest.c_str(), &end, 10);
  if (end == rest.c_str() || kibibytes < 0 || std::string_view(end).substr(0, 3) != " kB") {
    return std::nullopt;
  }
  return kibibytes * 1024;
}

std::optional<int64_t> cgroup_memory(const std::string& root) {
  const std::string cgroups = text_of(root + "/proc/self/cgroup");
  const std::string mountinfo = text_of(root + "/proc/self/mountinfo");
  std::optional<int64_t> least;
  for (const Version& version : kVersions) {
    const auto path = path_in(cgroups, version);
    const auto mount = mount_of(mountinfo, version);
    if (!path || !mount) continue;
    // A container may see its own group at the mount point, or the whole hierarchy.
    std::string below = *path;
    if (mount->root != "/" && below.starts_with(mount->root)) below.erase(0, mount->root.size());
    for (;;) {
      while (below.ends_with('/')) below.pop_back();
      take_less(least, left_in(root + mount->point + below, version));
      if (below.empty()) break;
      below.erase(below.rfind('/'));
    }
  }
  return least;
}

int64_t available_memory(int32_t processes, const std::string& root) {
  std::optional<int64_t> least = parse_available(text_of(root + "/proc/meminfo"));
  take_less(least, cgroup_memory(root));
  take_less(least, left_of_address_space(processes));
  return least.value_or(0);
}

}  // namespace braid
