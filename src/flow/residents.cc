#include "flow/residents.h"

namespace braid::flow {

int32_t Residents::declare(Resident resident) {
  BRAID_CHECK(resident.copies == 1 || resident.copies == 2, "({} copies)", resident.copies);
  BRAID_CHECK(resident.lifetime != Lifetime::step, "(step buffers belong to a Program)");
  list_.push_back(std::move(resident));
  data_.push_back({nullptr, nullptr});
  return size() - 1;
}

int64_t Residents::bytes(Lifetime lifetime) const {
  int64_t total = 0;
  for (const Resident& resident : list_) {
    if (resident.lifetime == lifetime) total += resident.bytes() * resident.copies;
  }
  return total;
}

Buffer Residents::buffer_of(int32_t index) const {
  const Resident& resident = (*this)[index];
  return {.label = resident.name,
          .lifetime = resident.lifetime,
          .resident = index,
          .copies = resident.copies,
          .rows = resident.rows,
          .row_bytes = resident.row_bytes()};
}

ValueInfo Residents::whole(int32_t index, int32_t buffer) const {
  const Resident& resident = (*this)[index];
  return {.buffer = buffer,
          .format = resident.format,
          .rows = resident.rows,
          .cols = resident.cols,
          .region_rows = resident.rows,
          .stride = resident.row_bytes()};
}

std::byte* Residents::data(int32_t index, int32_t copy) const {
  return data_[static_cast<size_t>(index)][static_cast<size_t>(copy)];
}

void Residents::set_data(int32_t index, int32_t copy, std::byte* data) {
  data_[static_cast<size_t>(index)][static_cast<size_t>(copy)] = data;
}

Result<std::vector<device::Memory>> allocate(Residents& residents, device::Device& device,
                                             device::Device& host) {
  std::vector<device::Memory> memory;
  for (int32_t index = 0; index < residents.size(); ++index) {
    const Resident& resident = residents[index];
    device::Device& home = resident.home == Home::host ? host : device;
    for (int32_t copy = 0; copy < resident.copies; ++copy) {
      memory.push_back(TRY(home.allocate(resident.bytes())));
      std::byte* data = memory.back().data();
      if (resident.fill != Fill::nothing) {
        home.fill(data, resident.fill == Fill::zeros ? 0x00 : 0xff, resident.bytes());
      }
      residents.set_data(index, copy, data);
    }
  }
  return memory;
}

}  // namespace braid::flow
