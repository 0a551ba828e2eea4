// The one cost model: every predicted time in braid is asked of it, so that alternatives of
// different passes compare like with like. Pure: a function of Descs, shapes and a DeviceProfile,
// so that all ranks predict the same.
#pragma once

#include <span>

#include "cost/device_profile.h"
#include "flow/program.h"

namespace braid::cost {

class CostModel {
 public:
  // Not explicit: a profile is all that a model consists of.
  CostModel(DeviceProfile profile = cpu_profile()) : profile_(std::move(profile)) {}

  const DeviceProfile& profile() const { return profile_; }

  // Microseconds of an op on lane compute, and of a collective, each alone.
  double op_us(const flow::Work& work) const;
  double collective_us(const flow::Work& work) const;
  // The one or the other, as the op's kind says.
  double us_of(const flow::Program& program, const flow::Op& op) const;

  // Microseconds of ops (indices into the Program) one after another.
  double serial_us(const flow::Program& program, std::span<const int32_t> ops) const;
  // Microseconds of two branches on two lanes, with the wait where they join, which costs a launch.
  // The longer branch is the bound, or what both ask of the device's arithmetic or its memory.
  double side_by_side_us(const flow::Program& program, std::span<const int32_t> branch,
                         std::span<const int32_t> other) const;

  // Whether the profile says what quantizing takes; else no prediction with fp8 rows is made.
  bool knows_quantization() const;
  // Microseconds of one op that makes fp8 of so many elements, or the reverse.
  double quantize_us(double elements) const;
  double dequantize_us(double elements) const;

 private:
  DeviceProfile profile_;
};

}  // namespace braid::cost
