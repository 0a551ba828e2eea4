#include "engine/ranks.h"

#include <algorithm>
#include <latch>

namespace braid::engine {

Ranks::Ranks(const WorkerOptions& options)
    : layout_(options.model.layout), world_(layout_, options.step_timeout, options.link) {}

Result<std::unique_ptr<Ranks>> Ranks::create(const model::ModelConfig& config,
                                             const WorkerOptions& options) {
  std::unique_ptr<Ranks> ranks(new Ranks(options));
  for (int32_t rank = 0; rank < options.model.layout.world; ++rank) {
    WorkerOptions of_rank = options;
    of_rank.model.rank = rank;
    ranks->workers_.push_back(
        TRY(Worker::create(config, of_rank, ranks->world_.communicators_of(rank))));
    if (rank == 0) continue;
    ranks->threads_.push_back(std::make_unique<device::LaneThread>(fmt::format("rank{}", rank)));
  }
  ranks->set_execution(options.serial, options.delays);
  return ranks;
}

Status Ranks::load(const model::TensorSource& source,
                   const std::function<void(int64_t)>& progress) {
  for (const auto& worker : workers_) TRY(worker->load(source, progress));
  return {};
}

int64_t Ranks::weight_bytes() const {
  int64_t bytes = 0;
  for (const auto& worker : workers_) {
    bytes += worker->model().residents().bytes(flow::Lifetime::weight);
  }
  return bytes;
}

void Ranks::share_inputs(int64_t step, int32_t group, int64_t words) {
  const auto from = leader(group).host_words(step).first(static_cast<size_t>(words));
  for (int32_t rank = 0; rank < size(); ++rank) {
    if (group_of(rank) != group || &(*this)[rank] == &leader(group)) continue;
    std::copy(from.begin(), from.end(), (*this)[rank].host_words(step).begin());
  }
}

// A rank that cannot run its step lets the others go, which wait for it in a collective: those of
// its own communicators, and they those of theirs.
Status Ranks::run_rank(int32_t rank, const layers::StepShape& shape, int64_t step) {
  const Status ran = (*this)[rank].run(shape, step);
  if (ran.ok()) return {};
  const std::vector<comm::Communicator*> communicators = world_.communicators_of(rank);
  const bool by_others = std::any_of(communicators.begin(), communicators.end(),
                                     [](const auto* end) { return !end->status().ok(); });
  const Error why =
      by_others ? ran.error() : Error(ran.error()).with("rank", rank).with("step", step);
  for (comm::Communicator* communicator : communicators) communicator->abort(why);
  return why;
}

Status Ranks::run(std::span<const layers::StepShape> shapes, int64_t step) {
  BRAID_CHECK(std::ssize(shapes) == num_groups(), "({} shapes, {} groups)", shapes.size(),
              num_groups());
  if (size() == 1) return workers_.front()->run(shapes.front(), step);
  const auto shape_of = [&](int32_t rank) { return shapes[static_cast<size_t>(group_of(rank))]; };
  std::vector<Status> statuses(workers_.size());
  std::latch others(size() - 1);
  for (int32_t rank = 1; rank < size(); ++rank) {
    threads_[static_cast<size_t>(rank) - 1]->enqueue([&, rank] {
      statuses[static_cast<size_t>(rank)] = run_rank(rank, shape_of(rank), step);
      others.count_down();
    });
  }
  statuses[0] = run_rank(0, shape_of(0), step);
  others.wait();
  // The communicators keep the first error: the others follow from it.
  for (int32_t rank = 0; rank < size(); ++rank) {
    for (comm::Communicator* communicator : world_.communicators_of(rank)) {
      TRY(communicator->status());
    }
  }
  for (const Status& status : statuses) TRY(status);
  return {};
}

void Ranks::set_execution(bool serial, flow::Delays delays) {
  for (const auto& worker : workers_) {
    worker->set_execution(serial, delays);
    delays.seed += 0x632be59bd9b4e019u;
  }
}

}  // namespace braid::engine
