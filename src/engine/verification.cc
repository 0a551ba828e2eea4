#include "engine/verification.h"

#include <algorithm>

namespace braid::engine {
namespace {

using layers::RowCounts;
using layers::StepShape;

// 1, 2, 3, 4, 6, … up to the bucket `most`.
std::vector<int32_t> buckets_to(int32_t most) {
  std::vector<int32_t> buckets;
  for (int32_t rows = 1; rows <= most; rows = layers::bucket_of(buckets.back() + 1)) {
    buckets.push_back(rows);
  }
  return buckets;
}

// visit(resident, copy) for every carried piece of memory.
template <typename Visit>
void for_each_carried(const flow::Residents& residents, Visit visit) {
  for (int32_t index = 0; index < residents.size(); ++index) {
    if (residents[index].lifetime != flow::Lifetime::carried) continue;
    for (int32_t copy = 0; copy < residents[index].copies; ++copy) visit(index, copy);
  }
}

void clear_carried(Worker& worker) {
  const flow::Residents& residents = worker.model().residents();
  for_each_carried(residents, [&](int32_t index, int32_t copy) {
    const std::vector<std::byte> zeros(static_cast<size_t>(residents[index].bytes()));
    worker.device().upload(residents.data(index, copy), zeros.data(), residents[index].bytes());
  });
}

std::vector<std::vector<std::byte>> carried_state(Worker& worker) {
  const flow::Residents& residents = worker.model().residents();
  std::vector<std::vector<std::byte>> state;
  for_each_carried(residents, [&](int32_t index, int32_t copy) {
    auto& bytes = state.emplace_back(static_cast<size_t>(residents[index].bytes()));
    worker.device().download(bytes.data(), residents.data(index, copy), residents[index].bytes());
  });
  return state;
}

// The first byte that differs, by buffer and row.
Status compare(const flow::Residents& residents, const std::vector<std::vector<std::byte>>& serial,
               const std::vector<std::vector<std::byte>>& other) {
  Status status;
  size_t piece = 0;
  for_each_carried(residents, [&](int32_t index, int32_t) {
    const auto& expected = serial[piece];
    const auto& found = other[piece++];
    const auto at = std::mismatch(expected.begin(), expected.end(), found.begin()).first;
    if (at == expected.end() || !status.ok()) return;
    status = Error(ErrorKind::internal, "a run on all lanes differs from serial execution")
                 .with("buffer", residents[index].name)
                 .with("row", (at - expected.begin()) / residents[index].row_bytes());
  });
  return status;
}

}  // namespace

std::vector<StepShape> representative_shapes(const RowCounts& most) {
  std::vector<StepShape> shapes;
  const auto add = [&](int32_t decode, int32_t prefill) {
    const RowCounts rows{decode, prefill};
    const StepShape shape{.own = rows, .group = rows};
    if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
  };
  for (const int32_t decode : buckets_to(most.decode)) add(decode, 0);
  for (const int32_t prefill : buckets_to(most.prefill)) add(0, prefill);
  for (const int32_t decode : {1, most.decode}) {
    for (const int32_t prefill : {1, layers::bucket_of((most.prefill + 1) / 2), most.prefill}) {
      add(decode, prefill);
    }
  }
  return shapes;
}

Result<flow::CheckReport> verify_launches(const CompiledStep& first, const CompiledStep& second) {
  std::vector<flow::Launch> launches;
  int64_t number = 0;
  for (const CompiledStep* step : {&first, &second, &first}) {
    ++number;
    for (const flow::Schedule* schedule : {&step->schedule, &step->readback}) {
      const auto before = static_cast<int32_t>(launches.size()) - 1;
      launches.push_back({.schedule = schedule, .step = number, .after = {}});
      if (before >= 0) launches.back().after.push_back(before);
    }
  }
  return flow::check_launches(launches);
}

double compile_bound_us(int64_t num_layers) {
  return 5000.0 * std::max(1.0, static_cast<double>(num_layers) / 64);
}

Result<StepRecording> StepRecording::record(Engine& engine, std::span<const Request> requests) {
  StepRecording recording;
  Worker& worker = engine.worker();
  clear_carried(worker);
  worker.set_execution(/*serial=*/true, {});
  engine.set_preparer([&](int64_t number, const Plan&, const StepShape& shape) {
    const std::span<const int32_t> words = worker.host_words(number);
    recording.steps_.push_back({number, shape, {words.begin(), words.end()}, {}});
  });
  engine.set_observer([&](int64_t, const Plan&, const StepShape&, const std::vector<LogitRow>&) {
    recording.steps_.back().state = carried_state(worker);
  });
  Status status;
  for (const Request& request : requests) {
    if (status.ok()) status = engine.submit(request).status();
  }
  while (status.ok() && !engine.idle()) status = engine.step().status();
  engine.set_preparer(nullptr);
  engine.set_observer(nullptr);
  TRY(status);
  return recording;
}

Status StepRecording::replay(Worker& worker, const flow::Delays& delays) const {
  clear_carried(worker);
  flow::Delays of_step = delays;
  for (const Step& step : steps_) {
    worker.set_execution(/*serial=*/false, of_step);
    ++of_step.seed;
    std::copy(step.words.begin(), step.words.end(), worker.host_words(step.number).begin());
    TRY(worker.run(step.shape, step.number));
    const Status same = compare(worker.model().residents(), step.state, carried_state(worker));
    if (same.ok()) continue;
    return Error(same.error())
        .with("step", step.number)
        .with("rows", step.shape.to_string())
        .with("seed of the delays", delays.seed);
  }
  return {};
}

std::vector<StepShape> StepRecording::shapes() const {
  std::vector<StepShape> shapes;
  for (const Step& step : steps_) {
    if (std::find(shapes.begin(), shapes.end(), step.shape) == shapes.end()) {
      shapes.push_back(step.shape);
    }
  }
  return shapes;
}

}  // namespace braid::engine
