// What a rank's device does in a second: what predictions are made from. Profiles are data that is
// compiled in, or read from a file: nothing is measured while serving, so that all ranks decide
// alike, and the same tomorrow.
#pragma once

#include <string>

#include "base/link_speed.h"
#include "flow/kind.h"

namespace braid::cost {

struct DeviceProfile {
  std::string name;
  double flop_per_second = 0;   // of a GEMM
  double bytes_per_second = 0;  // of memory, read or written
  double launch_us = 0;         // each op
  LinkSpeed link;               // to the other ranks
  double collective_us = 0;     // each collective, beside its messages' latency
  // What a collective takes from the computation beside it: 1: all of its own time (threads that
  // do both), 0: nothing (copy engines).
  double collective_takes = 0;
};

// A core that is one of the ranks of a process, in float32: 60 of at most 75 GFLOP/s that
// `bench layer --part down` of models/fairytale-moe gave on a core with AVX2; ranks exchange rows
// by copying them.
DeviceProfile cpu_profile();
// An H100 80GB SXM with bfloat16 and NCCL over NVLink: its GEMM, copy, and graph replays of
// collectives of two ranks (docs/performance.md), of which next to nothing was hidden.
DeviceProfile h100_profile();

// The same device behind a link of another speed that takes no work to wait for: what is left of
// collective_takes is the copying.
DeviceProfile with_link(DeviceProfile profile, const LinkSpeed& link);

// A profile as in tuning/*.json. `corrupt_data` with the key that is missing, unknown or no
// positive number.
Result<DeviceProfile> parse_profile(std::string_view json, std::string_view source);
std::string to_json(const DeviceProfile& profile);
// Eight hexadecimal digits that differ where any number does.
std::string hash_of(const DeviceProfile& profile);

// Microseconds of an op on lane compute, and of a collective of so many messages, alone.
double op_us(const flow::Work& work, const DeviceProfile& profile);
double collective_us(const flow::Work& work, int32_t messages, const DeviceProfile& profile);

}  // namespace braid::cost
