#include "engine/inquiry.h"

#include "engine/values.h"

namespace braid::engine {

Inquiry Inquiry::read(const ResidentRows& rows) {
  return {.kind = Kind::read, .numbers = {rows.resident, rows.first, rows.count, rows.copy}};
}

Inquiry Inquiry::write(const ResidentRows& rows, std::string bytes) {
  Inquiry inquiry = read(rows);
  inquiry.kind = Kind::write;
  inquiry.bytes = std::move(bytes);
  return inquiry;
}

Inquiry Inquiry::score(std::span<const int32_t> targets) {
  return {.kind = Kind::score, .bytes = bytes_of_values(targets)};
}

Inquiry Inquiry::execution(bool serial, const flow::Delays& delays) {
  return {.kind = Kind::execution,
          .numbers = {serial ? 1 : 0, static_cast<int64_t>(delays.seed), delays.longest}};
}

Inquiry Inquiry::trace(bool on) { return {.kind = Kind::trace, .numbers = {on ? 1 : 0}}; }

Inquiry Inquiry::keep_state(int64_t step) { return {.kind = Kind::keep_state, .numbers = {step}}; }

Inquiry Inquiry::compare_state(int64_t step) {
  return {.kind = Kind::compare_state, .numbers = {step}};
}

ResidentRows Inquiry::rows() const {
  return {.resident = static_cast<int32_t>(numbers[0]),
          .first = numbers[1],
          .count = numbers[2],
          .copy = static_cast<int32_t>(numbers[3])};
}

std::string Inquiry::to_bytes() const {
  std::vector<int64_t> head = {static_cast<int64_t>(kind)};
  head.insert(head.end(), numbers.begin(), numbers.end());
  return bytes_of_values<int64_t>(head) + bytes;
}

Result<Inquiry> Inquiry::from_bytes(std::string_view bytes) {
  Inquiry inquiry;
  constexpr size_t kHead = sizeof(int64_t) * (1 + std::tuple_size_v<decltype(inquiry.numbers)>);
  const std::vector<int64_t> head = TRY(values_of_bytes<int64_t>(bytes.substr(0, kHead)));
  if (bytes.size() < kHead || head[0] < 0 || head[0] >= kKinds) {
    return Error(ErrorKind::fault, "the control plane brought an inquiry that is none")
        .with("bytes", bytes.size());
  }
  inquiry.kind = static_cast<Kind>(head[0]);
  std::copy(head.begin() + 1, head.end(), inquiry.numbers.begin());
  inquiry.bytes = bytes.substr(kHead);
  return inquiry;
}

}  // namespace braid::engine
