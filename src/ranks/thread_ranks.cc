#include "ranks/thread_ranks.h"

#include <algorithm>

namespace braid::ranks {

Result<std::unique_ptr<Backend>> make_backend(const WorkerOptions& options,
                                              std::span<comm::Communicator* const> communicators,
                                              comm::ControlPlane& control) {
  const BackendOptions backend{
      .rank = options.model.rank,
      .step_timeout = std::chrono::duration<double>(options.step_timeout).count(),
      .fault = options.fault};
  if (options.device == DeviceKind::cpu) return make_cpu_backend(communicators, backend);
  return make_cuda_backend(options.model.layout, control, backend);
}

Result<std::unique_ptr<Ranks>> Ranks::create(const model::ModelConfig& config,
                                             const WorkerOptions& options) {
  if (options.device == DeviceKind::cuda && options.model.layout.world > 1) {
    return Error(ErrorKind::unsupported, "each GPU is a rank of its own process")
        .with("ranks", options.model.layout.world);
  }
  auto ranks = std::make_unique<ThreadRanks>(options);
  TRY(ranks->create_workers(config, options));
  return std::unique_ptr<Ranks>(std::move(ranks));
}

ThreadRanks::ThreadRanks(const WorkerOptions& options)
    : Ranks(options.model.layout),
      alone_(-1, 0, 1),
      world_(layout_, options.step_timeout, options.link) {}

Status ThreadRanks::create_workers(const model::ModelConfig& config, const WorkerOptions& options) {
  for (int32_t rank = 0; rank < size(); ++rank) {
    WorkerOptions of_rank = options;
    of_rank.model.rank = rank;
    if (rank != options.fault_rank) of_rank.fault = {};
    auto backend = TRY(make_backend(of_rank, world_.communicators_of(rank), alone_));
    workers_.push_back(TRY(Worker::create(config, of_rank, std::move(backend))));
    queries_.push_back(std::make_unique<QueryService>(*workers_.back()));
    if (rank == 0) continue;
    threads_.push_back(TRY(device::LaneThread::start(fmt::format("rank{}", rank))));
  }
  running_.ran.resize(workers_.size());
  return set_execution(options.serial, options.delays);
}

Status ThreadRanks::load(const model::TensorSource& source,
                         const std::function<void(int64_t)>& progress) {
  for (const auto& worker : workers_) TRY(worker->load(source, progress));
  return {};
}

int64_t ThreadRanks::weight_bytes() const {
  int64_t bytes = 0;
  for (const auto& worker : workers_) {
    bytes += worker->model().residents().bytes(flow::Lifetime::weight);
  }
  return bytes;
}

void ThreadRanks::share_inputs(int64_t step, int32_t group, int64_t words) {
  const auto from = leader(group).host_words(step).first(static_cast<size_t>(words));
  for (int32_t rank = 0; rank < size(); ++rank) {
    if (group_of(rank) != group || &(*this)[rank] == &leader(group)) continue;
    std::copy(from.begin(), from.end(), (*this)[rank].host_words(step).begin());
  }
}

// A rank that cannot run its step lets the others go, which wait for it in a collective: those of
// its own communicators, and they those of theirs.
ThreadRanks::Ran ThreadRanks::run_or_abort(int32_t rank, const layers::StepShape& shape,
                                           int64_t step) {
  const Status ran = (*this)[rank].run(shape, step);
  if (ran.ok()) return {};
  const std::vector<comm::Communicator*> communicators = world_.communicators_of(rank);
  const auto failed = std::find_if(communicators.begin(), communicators.end(),
                                   [](const auto* end) { return !end->status().ok(); });
  const bool by_others = failed != communicators.end();
  const Error why = by_others ? (*failed)->status().error() : Error(ran.error()).with("rank", rank);
  for (comm::Communicator* communicator : communicators) communicator->abort(why);
  return by_others ? Ran{.status = ran, .by_others = true} : Ran{.status = why};
}

// What follows from another rank's error comes behind it; where an op met with it, it is told.
int ThreadRanks::Ran::tells() const {
  if (!by_others) return 2;
  const auto& values = status.error().values();
  return std::any_of(values.begin(), values.end(),
                     [](const auto& value) { return value.first == "op"; })
             ? 1
             : 0;
}

void ThreadRanks::run_rank(int32_t rank) {
  const auto group = static_cast<size_t>(group_of(rank));
  running_.ran[static_cast<size_t>(rank)] =
      run_or_abort(rank, running_.shapes[group], running_.step);
}

Status ThreadRanks::run(std::span<const layers::StepShape> shapes, int64_t step) {
  BRAID_CHECK(std::ssize(shapes) == num_groups(), "({} shapes, {} groups)", shapes.size(),
              num_groups());
  if (size() == 1) return workers_.front()->run(shapes.front(), step);
  running_.shapes = shapes;
  running_.step = step;
  running_.left.store(size() - 1, std::memory_order_relaxed);
  for (int32_t rank = 1; rank < size(); ++rank) {
    threads_[static_cast<size_t>(rank) - 1]->enqueue([this, rank] {
      run_rank(rank);
      running_.left.fetch_sub(1, std::memory_order_acq_rel);
      running_.left.notify_one();
    });
  }
  run_rank(0);
  for (int32_t left = running_.left.load(std::memory_order_acquire); left != 0;
       left = running_.left.load(std::memory_order_acquire)) {
    running_.left.wait(left, std::memory_order_acquire);
  }
  const Ran* worst = nullptr;
  for (const Ran& of_rank : running_.ran) {
    if (of_rank.status.ok()) continue;
    if (worst == nullptr || of_rank.tells() > worst->tells()) worst = &of_rank;
  }
  return worst == nullptr ? Status() : worst->status;
}

Result<std::vector<std::string>> ThreadRanks::ask(const std::vector<int32_t>& ranks,
                                                  const RankQuery& query) {
  std::vector<std::string> answers;
  for (const int32_t rank : ranks) {
    Result<std::string> answer = queries_[static_cast<size_t>(rank)]->answer(query);
    if (!answer.ok()) return Error(answer.error()).with("rank", rank);
    answers.push_back(std::move(*answer));
  }
  return answers;
}

}  // namespace braid::ranks
