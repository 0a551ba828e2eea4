// Residents: the buffers that outlive a step (weights, KV cache, step inputs, sampled ids), one
// set a rank. They are declared first, allocated once, and keep their addresses.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/format.h"
#include "device/device.h"
#include "flow/program.h"

namespace braid::flow {

// Whose memory a resident lives in: the device's own, or the host's, which the device copies from
// and to without a detour.
enum class Home : uint8_t { device, host };

// What a resident holds when it has been allocated. Weights are loaded, and the KV cache is written
// before it is read: they hold nothing.
enum class Fill : uint8_t { nothing, zeros, minus_ones };

struct Resident {
  std::string name;
  Format format = Format::f32;
  int64_t rows = 0;
  int64_t cols = 0;
  Lifetime lifetime = Lifetime::weight;
  int32_t copies = 1;
  Home home = Home::device;
  Fill fill = Fill::nothing;  // minus_ones: of integers

  int64_t row_bytes() const { return cols * bytes_of(format); }
  int64_t bytes() const { return rows * row_bytes(); }
};

class Residents {
 public:
  // Declares a buffer; the index names it in every Program of this rank. Names are unique.
  int32_t declare(Resident resident);

  const Resident& operator[](int32_t index) const { return list_[static_cast<size_t>(index)]; }
  int32_t size() const { return static_cast<int32_t>(list_.size()); }
  int64_t bytes(Lifetime lifetime) const;

  // A resident as Programs name it: its buffer, and all of it as a Value of the buffer `buffer`.
  Buffer buffer_of(int32_t index) const;
  ValueInfo whole(int32_t index, int32_t buffer) const;

  // Start of copy `copy` of a resident; null until allocated.
  std::byte* data(int32_t index, int32_t copy = 0) const;
  void set_data(int32_t index, int32_t copy, std::byte* data);

 private:
  std::deque<Resident> list_;  // stable: Buffers keep views of the names
  std::vector<std::array<std::byte*, 2>> data_;
};

// Allocates every copy of every resident in the memory of its home, filled as it is declared, and
// sets the addresses. The memory is freed with the result.
Result<std::vector<device::Memory>> allocate(Residents& residents, device::Device& device,
                                             device::Device& host);

}  // namespace braid::flow
