#include "base/link_speed.h"

#include <gtest/gtest.h>

namespace braid {
namespace {

TEST(LinkSpeedTest, ReadsRateAndLatencyWithTheirUnits) {
  const LinkSpeed link = parse_link_speed("--l", "20GB/s,10us").value();
  EXPECT_EQ(link.bytes_per_second, 20e9);
  EXPECT_EQ(link.latency_us, 10);
  EXPECT_EQ(link.to_string(), "20 GB/s, 10 us");
  EXPECT_EQ(parse_link_speed("--l", "1.5MB/s,0us")->bytes_per_second, 1.5e6);
  EXPECT_EQ(parse_link_speed("--l", "1.5MB/s,0us")->latency_us, 0);
  EXPECT_EQ(parse_link_speed("--l", "1MB/s,0.25ms")->latency_us, 250);
  EXPECT_EQ(parse_link_speed("--l", "10000GB/s,1000ms")->latency_us, 1e6);
}

TEST(LinkSpeedTest, AnythingElseIsAUsageError) {
  for (const char* bad : {"",
                          ",",
                          "20GB/s",
                          "20GB/s,",
                          ",10us",
                          "20,10",
                          "20GB/s,10",
                          "20gb/s,10us",
                          "20GB/s;10us",
                          "20 GB/s,10us",
                          "20GB/s,10us,",
                          "20GB/s,10s",
                          "-1GB/s,10us",
                          "20GB/s,-1us",
                          "0GB/s,10us",
                          "0.9MB/s,1us",
                          "10001GB/s,1us",
                          "1GB/s,1001ms",
                          "infGB/s,1us",
                          "nanGB/s,1us",
                          "1GB/s,nanus",
                          "1e3GB/s,1us",
                          "GB/s,us",
                          "20Gbit/s,1us"}) {
    const auto link = parse_link_speed("--emulate-link", bad);
    ASSERT_FALSE(link.ok()) << bad;
    EXPECT_EQ(link.error().kind(), ErrorKind::usage);
    EXPECT_NE(link.status().to_string().find("as in 20GB/s,10us"), std::string::npos);
  }
}

}  // namespace
}  // namespace braid
