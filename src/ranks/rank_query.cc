#include "ranks/rank_query.h"

#include "ranks/serialization.h"

namespace braid::ranks {

RankQuery RankQuery::read(const ResidentRows& rows) {
  return {.kind = Kind::read, .numbers = {rows.resident, rows.first, rows.count, rows.copy}};
}

RankQuery RankQuery::write(const ResidentRows& rows, std::string bytes) {
  RankQuery query = read(rows);
  query.kind = Kind::write;
  query.bytes = std::move(bytes);
  return query;
}

RankQuery RankQuery::score(std::span<const int32_t> targets) {
  return {.kind = Kind::score, .bytes = bytes_of_values(targets)};
}

RankQuery RankQuery::execution(bool serial, const flow::Delays& delays) {
  return {.kind = Kind::execution,
          .numbers = {serial ? 1 : 0, static_cast<int64_t>(delays.seed), delays.longest}};
}

RankQuery RankQuery::trace(bool on) { return {.kind = Kind::trace, .numbers = {on ? 1 : 0}}; }

RankQuery RankQuery::keep_state(int64_t step) {
  return {.kind = Kind::keep_state, .numbers = {step}};
}

RankQuery RankQuery::compare_state(int64_t step) {
  return {.kind = Kind::compare_state, .numbers = {step}};
}

ResidentRows RankQuery::rows() const {
  return {.resident = static_cast<int32_t>(numbers[0]),
          .first = numbers[1],
          .count = numbers[2],
          .copy = static_cast<int32_t>(numbers[3])};
}

std::string RankQuery::to_bytes() const {
  std::vector<int64_t> head = {static_cast<int64_t>(kind)};
  head.insert(head.end(), numbers.begin(), numbers.end());
  return bytes_of_values<int64_t>(head) + bytes;
}

Result<RankQuery> RankQuery::from_bytes(std::string_view bytes) {
  RankQuery query;
  constexpr size_t kHead = sizeof(int64_t) * (1 + std::tuple_size_v<decltype(query.numbers)>);
  const std::vector<int64_t> head = TRY(values_of_bytes<int64_t>(bytes.substr(0, kHead)));
  if (bytes.size() < kHead || head[0] < 0 || head[0] >= kKinds) {
    return Error(ErrorKind::fault, "the control plane brought bytes that are not a query")
        .with("bytes", bytes.size());
  }
  query.kind = static_cast<Kind>(head[0]);
  std::copy(head.begin() + 1, head.end(), query.numbers.begin());
  query.bytes = bytes.substr(kHead);
  return query;
}

}  // namespace braid::ranks
