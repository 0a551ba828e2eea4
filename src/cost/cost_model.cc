#include "cost/cost_model.h"

#include <algorithm>

namespace braid::cost {
namespace {

// Ops that follow one another on one lane.
struct Branch {
  double us = 0;
  flow::Work on_device;  // of all but the collectives
};

Branch branch_of(const CostModel& model, const flow::Program& program,
                 std::span<const int32_t> ops) {
  Branch branch;
  for (const int32_t index : ops) {
    const flow::Op& op = program.ops[static_cast<size_t>(index)];
    branch.us += model.us_of(program, op);
    if (op.kind().collective != nullptr) continue;
    const flow::Work work = program.work_of(op);
    branch.on_device.flop += work.flop;
    branch.on_device.bytes += work.bytes;
  }
  return branch;
}

}  // namespace

double CostModel::op_us(const flow::Work& work) const {
  const double arithmetic = work.flop / profile_.flop_per_second;
  return profile_.launch_us + 1e6 * std::max(arithmetic, work.bytes / profile_.bytes_per_second);
}

double CostModel::collective_us(const flow::Work& work) const {
  return profile_.collective_us + work.messages * profile_.link.latency_us +
         1e6 * work.link_bytes / profile_.link.bytes_per_second;
}

double CostModel::us_of(const flow::Program& program, const flow::Op& op) const {
  const flow::Work work = program.work_of(op);
  return op.kind().collective != nullptr ? collective_us(work) : op_us(work);
}

double CostModel::serial_us(const flow::Program& program, std::span<const int32_t> ops) const {
  return branch_of(*this, program, ops).us;
}

double CostModel::side_by_side_us(const flow::Program& program, std::span<const int32_t> branch,
                                  std::span<const int32_t> other) const {
  const Branch one = branch_of(*this, program, branch);
  const Branch two = branch_of(*this, program, other);
  const double arithmetic =
      1e6 * (one.on_device.flop + two.on_device.flop) / profile_.flop_per_second;
  const double memory =
      1e6 * (one.on_device.bytes + two.on_device.bytes) / profile_.bytes_per_second;
  return std::max({one.us, two.us, arithmetic, memory}) + profile_.launch_us;
}

bool CostModel::knows_quantization() const {
  return profile_.quantize_ns > 0 && profile_.dequantize_ns > 0;
}

double CostModel::quantize_us(double elements) const {
  return profile_.launch_us + profile_.quantize_ns * elements / 1e3;
}

double CostModel::dequantize_us(double elements) const {
  return profile_.launch_us + profile_.dequantize_ns * elements / 1e3;
}

}  // namespace braid::cost
