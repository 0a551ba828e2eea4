// What a rank's device does in a second. The cost model predicts from these numbers. Profiles are
// compiled in, or read from a file. Nothing is measured while serving, so that all ranks decide
// alike, today and tomorrow.
#pragma once

#include <string>

#include "base/link_speed.h"

namespace braid::cost {

struct DeviceProfile {
  std::string name;
  double flop_per_second = 0;   // of a GEMM
  double bytes_per_second = 0;  // of memory, read or written
  double launch_us = 0;         // each op
  LinkSpeed link;               // to the other ranks
  double collective_us = 0;     // each collective, beside its messages' latency
  // The share of a collective's time by which it delays the computation beside it: 1 where threads
  // do both, 0 where copy engines move the rows.
  double collective_takes = 0;
  double quantize_ns = 0;    // an element that becomes fp8; 0: not measured
  double dequantize_ns = 0;  // an element of fp8 that becomes the model's dtype; 0: not measured
};

// One core, which runs one rank of a process in float32. It computes 60 GFLOP/s of the at most 75
// that `bench layer --part down` of models/fairytale-moe measured on a core with AVX2. Ranks
// exchange rows by copying them. Quantization was measured at 3 GHz.
DeviceProfile cpu_profile();
// An H100 80GB SXM with bfloat16 and NCCL over NVLink. Measured: its GEMM, its copies, and
// graph replays of collectives of two ranks (docs/performance.md). Computation beside these
// collectives hid next to nothing of them. Quantization was not measured apart.
DeviceProfile h100_profile();

// The same device behind a link of another speed. Waiting for the link takes nothing from the
// computation beside it, so that only the copying is left of collective_takes.
DeviceProfile with_link(DeviceProfile profile, const LinkSpeed& link);

// A profile as in tuning/*.json. `corrupt_data` names the key that is missing, unknown or not a
// positive number.
Result<DeviceProfile> parse_profile(std::string_view json, std::string_view source);
std::string to_json(const DeviceProfile& profile);
// Eight hexadecimal digits that differ where any number does.
std::string hash_of(const DeviceProfile& profile);

}  // namespace braid::cost
