// For tests: memory for the residents and the workspace of Schedules, filled reproducibly.
#pragma once

#include "device/cpu/cpu_device.h"
#include "flow/executor.h"

namespace braid::flow::testing {

class TestMemory {
 public:
  // Allocates all copies of all residents, and a workspace for the largest of the Schedules.
  TestMemory(Residents residents, int64_t workspace_bytes)
      : TestMemory(std::move(residents), workspace_bytes, cpu()) {}
  // Allocates in memory of `device` that the host can use, too.
  TestMemory(Residents residents, int64_t workspace_bytes, device::Device& device)
      : residents_(std::move(residents)) {
    for (int32_t i = 0; i < residents_.size(); ++i) {
      for (int32_t copy = 0; copy < residents_[i].copies; ++copy) {
        pieces_.push_back(*device.allocate(residents_[i].bytes()));
        residents_.set_data(i, copy, pieces_.back().data());
      }
    }
    pieces_.push_back(*device.allocate(workspace_bytes));
    fill();
  }

  const Residents& residents() const { return residents_; }
  std::byte* arena() const { return pieces_.back().data(); }
  std::span<std::byte> workspace() const { return span(pieces_.back()); }

  void fill() {
    for (const device::Memory& piece : pieces_) {
      for (std::byte& byte : span(piece)) byte = static_cast<std::byte>(&byte - piece.data());
    }
  }
  std::vector<std::vector<std::byte>> contents() const {
    std::vector<std::vector<std::byte>> all;
    for (const device::Memory& piece : pieces_)
      all.emplace_back(span(piece).begin(), span(piece).end());
    return all;
  }
  int32_t word(int32_t resident, int32_t copy, int64_t index) const {
    int32_t value = 0;
    std::memcpy(&value, residents_.data(resident, copy) + 4 * index, 4);
    return value;
  }

 private:
  static std::span<std::byte> span(const device::Memory& piece) {
    return {piece.data(), static_cast<size_t>(piece.bytes())};
  }

  static device::Device& cpu() {
    static device::CpuDevice device;
    return device;
  }

  Residents residents_;
  std::vector<device::Memory> pieces_;  // the workspace is the last one
};

}  // namespace braid::flow::testing
