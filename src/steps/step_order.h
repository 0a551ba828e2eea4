// StepOrder: which runs a step names, so that nothing that it overwrites is still read.
#pragma once

#include <array>
#include <cstdint>

namespace braid::steps {

// `Name` names a run of a Schedule. A step waits for the step before it, which has written what
// this one reads, and for the read-back of the step before that: its copies of what asynchronous
// readers read (sampled ids, heat) are the ones that this step overwrites. The last read-back may
// still run. A read-back waits for its step.
template <typename Name>
class StepOrder {
 public:
  explicit StepOrder(Name none) : step_(none), readbacks_{none, none} {}

  std::array<Name, 2> before(int64_t step) const { return {step_, readbacks_[parity(step)]}; }
  void submitted(int64_t step, Name run, Name readback) {
    step_ = run;
    readbacks_[parity(step)] = readback;
  }

 private:
  static size_t parity(int64_t step) { return static_cast<size_t>(step & 1); }

  Name step_;
  std::array<Name, 2> readbacks_;
};

}  // namespace braid::steps
