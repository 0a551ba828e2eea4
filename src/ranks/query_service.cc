#include "ranks/query_service.h"

#include <algorithm>

#include "comm/control/message.h"
#include "ranks/log_likelihood.h"
#include "ranks/serialization.h"
#include "ranks/trace_message.h"

namespace braid::ranks {
namespace {

// visit(resident, copy) for every carried piece of memory.
template <typename Visit>
void for_each_carried(const flow::Residents& residents, Visit visit) {
  for (int32_t index = 0; index < residents.size(); ++index) {
    if (residents[index].lifetime != flow::Lifetime::carried) continue;
    for (int32_t copy = 0; copy < residents[index].copies; ++copy) visit(index, copy);
  }
}

Status check(const flow::Residents& residents, const ResidentRows& rows) {
  const bool known = rows.resident >= 0 && rows.resident < residents.size() && rows.copy >= 0 &&
                     rows.copy < residents[rows.resident].copies;
  if (known && rows.first >= 0 && rows.count >= 0 &&
      rows.count <= residents[rows.resident].rows - rows.first) {
    return {};
  }
  return Error(ErrorKind::internal, "a rank is asked for rows that it does not have")
      .with("buffer", rows.resident)
      .with("copy", rows.copy)
      .with("first row", rows.first)
      .with("rows", rows.count);
}

}  // namespace

QueryService::QueryService(Worker& worker)
    : worker_(worker), trace_(worker.model().options().rank) {}

Result<std::string> QueryService::answer(const RankQuery& query) {
  const int64_t number = query.numbers[0];
  switch (query.kind) {
    case RankQuery::Kind::read: return read(query.rows());
    case RankQuery::Kind::write: TRY(write(query.rows(), query.bytes)); break;
    case RankQuery::Kind::score: return score(query.bytes);
    case RankQuery::Kind::execution:
      set_execution(number != 0, {.seed = static_cast<uint64_t>(query.numbers[1]),
                                  .longest = static_cast<int32_t>(query.numbers[2])});
      break;
    case RankQuery::Kind::trace: worker_.set_trace(number != 0 ? &trace_ : nullptr); break;
    case RankQuery::Kind::take_trace: return take_trace();
    case RankQuery::Kind::clock: {
      const int64_t now = flow::Trace::now_ns();
      return bytes_of_values<int64_t>({&now, 1});
    }
    case RankQuery::Kind::clear_state: clear_state(); break;
    case RankQuery::Kind::keep_state: kept_[number] = state(); break;
    case RankQuery::Kind::compare_state: return compare_state(number);
  }
  return std::string();
}

Result<std::string> QueryService::read(const ResidentRows& rows) {
  const flow::Residents& residents = worker_.model().residents();
  TRY(check(residents, rows));
  const int64_t row_bytes = residents[rows.resident].row_bytes();
  std::string bytes(static_cast<size_t>(rows.count * row_bytes), '\0');
  worker_.read(bytes.data(), rows.resident, rows.copy, rows.first * row_bytes, std::ssize(bytes));
  return bytes;
}

Status QueryService::write(const ResidentRows& rows, std::string_view bytes) {
  const flow::Residents& residents = worker_.model().residents();
  TRY(check(residents, rows));
  const int64_t row_bytes = residents[rows.resident].row_bytes();
  if (std::ssize(bytes) != rows.count * row_bytes) {
    return Error(ErrorKind::internal, "a rank is given other bytes than its rows have")
        .with("bytes", bytes.size())
        .with("rows", rows.count)
        .with("bytes of a row", row_bytes);
  }
  worker_.write(rows.resident, rows.copy, rows.first * row_bytes, bytes.data(), std::ssize(bytes));
  return {};
}

Result<std::string> QueryService::score(std::string_view targets) {
  std::vector<double> scores;
  const int32_t probe = worker_.model().state().logits;
  std::vector<float> logits(static_cast<size_t>(worker_.model().config().vocab_size));
  for (const int32_t target : TRY(values_of_bytes<int32_t>(targets))) {
    const std::string row = TRY(read({.resident = probe, .first = std::ssize(scores), .count = 1}));
    if (row.size() != logits.size() * sizeof(float) || target < 0 || target >= std::ssize(logits)) {
      return Error(ErrorKind::internal, "a rank is asked for a score that it can't give")
          .with("target", target)
          .with("bytes of a row", row.size());
    }
    std::memcpy(logits.data(), row.data(), row.size());
    scores.push_back(negative_log_likelihood(logits, target));
  }
  return bytes_of_values<double>(scores);
}

std::string QueryService::take_trace() const {
  const flow::Timeline timeline = trace_.timeline();
  TraceMessage message{.steps = {}, .events = timeline.events};
  std::map<const flow::Schedule*, layers::StepShape> shapes;
  for (const auto& [shape, step] : worker_.schedules().all()) shapes[&step->schedule] = shape;
  for (const auto& [number, step] : timeline.steps) {
    message.steps[number] = {.shape = shapes.at(step.schedule),
                             .ops = std::ssize(step.schedule->program.ops)};
  }
  return message.to_bytes();
}

void QueryService::set_execution(bool serial, flow::Delays delays) {
  const auto rank = static_cast<uint64_t>(worker_.model().options().rank);
  delays.seed += rank * 0x632be59bd9b4e019u;
  worker_.set_execution(serial, delays);
}

void QueryService::clear_state() {
  const flow::Residents& residents = worker_.model().residents();
  for_each_carried(residents, [&](int32_t index, int32_t copy) {
    const std::string zeros(static_cast<size_t>(residents[index].bytes()), '\0');
    worker_.write(index, copy, 0, zeros.data(), std::ssize(zeros));
  });
}

QueryService::State QueryService::state() {
  const flow::Residents& residents = worker_.model().residents();
  State state;
  for_each_carried(residents, [&](int32_t index, int32_t copy) {
    std::string& bytes = state.emplace_back(static_cast<size_t>(residents[index].bytes()), '\0');
    worker_.read(bytes.data(), index, copy, 0, std::ssize(bytes));
  });
  return state;
}

// The first byte that differs, by buffer and row.
Result<std::string> QueryService::compare_state(int64_t step) {
  const auto kept = kept_.find(step);
  if (kept == kept_.end()) {
    return Error(ErrorKind::internal, "a rank has kept no state of a step").with("step", step);
  }
  const flow::Residents& residents = worker_.model().residents();
  const State now = state();
  std::string difference;
  size_t piece = 0;
  for_each_carried(residents, [&](int32_t index, int32_t) {
    const std::string &expected = kept->second[piece], &found = now[piece];
    ++piece;
    const auto at = std::mismatch(expected.begin(), expected.end(), found.begin()).first;
    if (at == expected.end() || !difference.empty()) return;
    const int64_t row = (at - expected.begin()) / residents[index].row_bytes();
    difference = comm::pack({residents[index].name, fmt::format("{}", row)});
  });
  return difference;
}

}  // namespace braid::ranks
