#include "base/system_memory.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/temp_folder.h"

namespace braid {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// A machine's files below a folder.
class Machine {
 public:
  Machine(std::string_view cgroup, std::string_view mountinfo) {
    write("/proc/self/cgroup", cgroup);
    write("/proc/self/mountinfo", mountinfo);
    write("/proc/meminfo", "MemAvailable:    8388608 kB\n");
  }
  void write(const std::string& path, std::string_view text) const {
    std::filesystem::create_directories(std::filesystem::path(folder_.path() + path).parent_path());
    folder_.write(path.substr(1), text);
  }
  void limit_v1(const std::string& at, int64_t limit, int64_t usage, int64_t cached) const {
    write(at + "/memory.limit_in_bytes", fmt::format("{}\n", limit));
    write(at + "/memory.usage_in_bytes", fmt::format("{}\n", usage));
    write(at + "/memory.stat", fmt::format("cache 5\ntotal_inactive_file {}\n", cached));
  }
  void limit_v2(const std::string& at, std::string_view limit, int64_t usage,
                int64_t cached) const {
    write(at + "/memory.max", limit);
    write(at + "/memory.current", fmt::format("{}\n", usage));
    write(at + "/memory.stat",
          fmt::format("anon 5\ninactive_file {}\nactive_file {}\n", cached / 2, cached / 2));
  }
  const std::string& root() const { return folder_.path(); }

 private:
  TempFolder folder_;
};

constexpr std::string_view kMountV1 =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n";
constexpr std::string_view kMountV2 = "35 31 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

TEST(SystemMemoryTest, IsTheMachinesWithoutLimits) {
  const Machine machine("4:memory:/\n", kMountV1);
  EXPECT_EQ(cgroup_memory(machine.root()), std::nullopt);
  EXPECT_EQ(available_memory(1, machine.root()), 8192 * kMiB);
  machine.limit_v1("/sys/fs/cgroup/memory", 9223372036854771712, 5 * kMiB, 0);  // none
  EXPECT_EQ(cgroup_memory(machine.root()), std::nullopt);
}

TEST(SystemMemoryTest, ACgroupOfVersion1AndThoseAroundIt) {
  const Machine machine("9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n", kMountV1);
  machine.limit_v1("/sys/fs/cgroup/memory/a/b", 300 * kMiB, 120 * kMiB, 20 * kMiB);
  EXPECT_EQ(available_memory(1, machine.root()), 200 * kMiB);
  machine.limit_v1("/sys/fs/cgroup/memory/a", 150 * kMiB, 130 * kMiB, 10 * kMiB);
  EXPECT_EQ(available_memory(1, machine.root()), 30 * kMiB);
}

TEST(SystemMemoryTest, ACgroupOfVersion2) {
  const Machine machine("0::/user/job\n", kMountV2);
  machine.limit_v2("/sys/fs/cgroup/user/job", "max\n", 10 * kMiB, 0);
  EXPECT_EQ(cgroup_memory(machine.root()), std::nullopt);
  machine.limit_v2("/sys/fs/cgroup/user", "314572800\n", 100 * kMiB, 40 * kMiB);
  EXPECT_EQ(cgroup_memory(machine.root()), 240 * kMiB);
}

TEST(SystemMemoryTest, AContainerSeesItsGroupAtTheMountPoint) {
  const Machine machine("4:memory:/docker/abc\n",
                        "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup "
                        "rw,memory\n");
  machine.limit_v1("/sys/fs/cgroup/memory", 300 * kMiB, 100 * kMiB, 0);
  EXPECT_EQ(cgroup_memory(machine.root()), 200 * kMiB);
  const Machine other("0::/../outside\n", kMountV2);  // of another namespace
  other.limit_v2("/sys/fs/cgroup", "314572800", 100 * kMiB, 0);
  EXPECT_EQ(cgroup_memory(other.root()), 200 * kMiB);
}

TEST(SystemMemoryTest, AFullGroupHasAlmostNothing) {
  const Machine machine("0::/\n", kMountV2);
  machine.limit_v2("/sys/fs/cgroup", "1048576", 2 * kMiB, 0);
  EXPECT_EQ(available_memory(1, machine.root()), 1);  // 0 would say: unknown
}

// The limit counts for each process by itself.
TEST(SystemMemoryTest, TheAddressSpaceOfProcesses) {
  const pid_t child = ::fork();
  if (child == 0) {
    rlimit limit{.rlim_cur = rlim_t{1} << 40, .rlim_max = RLIM_INFINITY};
    ::getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = rlim_t{1} << 38;
    if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(2);
    const Machine machine("", "");
    machine.write("/proc/meminfo", "MemAvailable:    1073741824 kB\n");  // 1 TiB
    const int64_t one = available_memory(1, machine.root());
    const bool right = one > 0 && one < int64_t{1} << 38 && one > int64_t{1} << 36 &&
                       available_memory(2, machine.root()) > one;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 2) GTEST_SKIP() << "a lower limit is set already";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SystemMemoryTest, ReadsMeminfo) {
  EXPECT_EQ(parse_available("MemTotal:  9 kB\nMemAvailable:    1024 kB\nBuffers: 1 kB\n"), 1 << 20);
  for (const char* bad : {"", "MemTotal: 9 kB", "MemAvailable:", "MemAvailable: x kB",
                          "MemAvailable: -1 kB", "MemAvailable: 5 MB"}) {
    EXPECT_EQ(parse_available(bad), std::nullopt) << bad;
  }
  EXPECT_GT(available_memory(), 0);
}

}  // namespace
}  // namespace braid
