// How fast a rank's link to the other ranks is.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace braid {

// One way; a rank sends and receives at the same time.
struct LinkSpeed {
  double bytes_per_second = 0;  // > 0; infinite: only the latency counts
  double latency_us = 0;        // of each message

  // "20 GB/s, 10 us"
  std::string to_string() const;
};

// "20GB/s,10us": a rate in MB/s or GB/s (decimal units), a latency in us or ms. The rate is from
// 1 MB/s to 10000 GB/s, the latency at most 1000 ms; else a usage error.
Result<LinkSpeed> parse_link_speed(std::string_view option, std::string_view text);

}  // namespace braid
