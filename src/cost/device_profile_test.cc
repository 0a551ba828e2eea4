#include "cost/device_profile.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::cost {
namespace {

TEST(DeviceProfileTest, FilesAndWhatIsCompiledInAgree) {
  const std::string folder = std::string(BRAID_SOURCE_DIR) + "/tuning/";
  EXPECT_EQ(read_file(folder + "cpu.json").value(), to_json(cpu_profile()));
  EXPECT_EQ(read_file(folder + "h100.json").value(), to_json(h100_profile()));
}

TEST(DeviceProfileTest, IsReadAsItWasWritten) {
  for (const DeviceProfile& profile : {cpu_profile(), h100_profile()}) {
    const DeviceProfile read = parse_profile(to_json(profile), "x").value();
    EXPECT_EQ(to_json(read), to_json(profile));
    EXPECT_EQ(hash_of(read), hash_of(profile));
  }
  EXPECT_NE(hash_of(cpu_profile()), hash_of(h100_profile()));
  DeviceProfile other = cpu_profile();
  other.launch_us += 1;
  EXPECT_NE(hash_of(other), hash_of(cpu_profile()));
}

TEST(DeviceProfileTest, WrongFilesAreRefusedByTheirKey) {
  const auto key_of = [](const Json& object) {
    const auto profile = parse_profile(object.dump(), "my.json");
    EXPECT_FALSE(profile.ok());
    EXPECT_NE(profile.status().to_string().find("my.json"), std::string::npos);
    return profile.status().to_string();
  };
  const Json right = parse_json(to_json(cpu_profile()), "x").value();
  for (const auto& [key, value] : right.items()) {
    Json wrong = right;
    wrong.erase(key);
    EXPECT_NE(key_of(wrong).find("key = " + key), std::string::npos);
    wrong[key] = -1;
    EXPECT_NE(key_of(wrong).find("key = " + key), std::string::npos);
  }
  Json more = right;
  more["flops"] = 1;
  EXPECT_NE(key_of(more).find("key = flops"), std::string::npos);
  Json takes = right;
  takes["collective_takes"] = 1.5;
  EXPECT_NE(key_of(takes).find("key = collective_takes"), std::string::npos);
  Json zero = right;
  zero["flop_per_second"] = 0;
  EXPECT_NE(key_of(zero).find("key = flop_per_second"), std::string::npos);
  EXPECT_FALSE(parse_profile("[]", "x").ok());
  EXPECT_FALSE(parse_profile("{", "x").ok());
}

constexpr LinkSpeed kLink = {.bytes_per_second = 1e8, .latency_us = 3};

TEST(DeviceProfileTest, AnEmulatedLinkTakesOnlyItsCopying) {
  const DeviceProfile linked = with_link(cpu_profile(), kLink);
  EXPECT_EQ(linked.link.bytes_per_second, 1e8);
  EXPECT_EQ(linked.link.latency_us, 3);
  EXPECT_DOUBLE_EQ(linked.collective_takes, 1e8 / 3e9);
  EXPECT_EQ(with_link(cpu_profile(), {.bytes_per_second = 1e12}).collective_takes, 1);
}

}  // namespace
}  // namespace braid::cost
