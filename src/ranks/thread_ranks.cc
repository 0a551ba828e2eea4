#include "ranks/thread_ranks.h"

#include <algorithm>

namespace braid::ranks {

Result<std::unique_ptr<Backend>> make_backend(const WorkerOptions& options,
                                              std::span<comm::Communicator* const> communicators,
                                              comm::ControlPlane& control) {
  const BackendOptions backend{
      .rank = options.model.rank,
      .step_timeout = std::chrono::duration<double>(options.step_timeout).count(),
      .fault = options.fault,
      .overlap_kernels = options.overlap_kernels};
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
  for (Running& running : running_) running.ran.resize(workers_.size());
  return set_execution(options.serial, options.delays);
}

Status ThreadRanks::load(const model::TensorSource& source,
                         const std::function<void(int64_t)>& progress) {
  for (const auto& worker : workers_) {  // one by one, each with all cores
    TRY(worker->load(source, /*ranks_loading=*/1, progress));
  }
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

// A rank that cannot run its step aborts its communicators, so that no other rank waits for it in a
// collective. Those ranks abort theirs in turn.
ThreadRanks::Ran ThreadRanks::end_or_abort(int32_t rank, const Status& ended) {
  if (ended.ok()) return {};
  const std::vector<comm::Communicator*> communicators = world_.communicators_of(rank);
  const auto failed = std::find_if(communicators.begin(), communicators.end(),
                                   [](const auto* end) { return !end->status().ok(); });
  const bool by_others = failed != communicators.end();
  const Error why =
      by_others ? (*failed)->status().error() : Error(ended.error()).with("rank", rank);
  for (comm::Communicator* communicator : communicators) communicator->abort(why);
  return by_others ? Ran{.status = ended, .by_others = true} : Ran{.status = why};
}

// An error that follows from another rank's counts less; one that names an op counts more.
int ThreadRanks::Ran::tells() const {
  if (!by_others) return 2;
  const auto& values = status.error().values();
  return std::any_of(values.begin(), values.end(),
                     [](const auto& value) { return value.first == "op"; })
             ? 1
             : 0;
}

void ThreadRanks::submit_on(int32_t rank, Running& running) {
  const auto group = static_cast<size_t>(group_of(rank));
  running.ran[static_cast<size_t>(rank)] =
      end_or_abort(rank, (*this)[rank].submit(running.shapes[group], running.step));
}

void ThreadRanks::wait_on(int32_t rank, Running& running) {
  Ran& ran = running.ran[static_cast<size_t>(rank)];
  if (ran.status.ok()) ran = end_or_abort(rank, (*this)[rank].wait(running.step));
}

Status ThreadRanks::submit(std::span<const layers::StepShape> shapes, int64_t step,
                           Order /*order*/) {
  BRAID_CHECK(std::ssize(shapes) == num_groups(), "({} shapes, {} groups)", shapes.size(),
              num_groups());
  if (size() == 1) return workers_.front()->submit(shapes.front(), step);
  Running& running = this->running(step);
  running.shapes.assign(shapes.begin(), shapes.end());
  running.step = step;
  running.left.store(size() - 1, std::memory_order_relaxed);
  for (int32_t rank = 1; rank < size(); ++rank) {
    const auto odd = static_cast<int32_t>(step & 1);
    threads_[static_cast<size_t>(rank) - 1]->enqueue(
        [this, rank, odd] { submit_on(rank, this->running(odd)); });
  }
  submit_on(0, running);
  return {};  // wait() tells what failed
}

Status ThreadRanks::wait(int64_t step) {
  if (size() == 1) return workers_.front()->wait(step);
  Running& running = this->running(step);
  for (int32_t rank = 1; rank < size(); ++rank) {
    const auto odd = static_cast<int32_t>(step & 1);
    threads_[static_cast<size_t>(rank) - 1]->enqueue([this, rank, odd] {
      Running& ended = this->running(odd);
      wait_on(rank, ended);
      ended.left.fetch_sub(1, std::memory_order_acq_rel);
      ended.left.notify_one();
    });
  }
  wait_on(0, running);
  for (int32_t left = running.left.load(std::memory_order_acquire); left != 0;
       left = running.left.load(std::memory_order_acquire)) {
    running.left.wait(left, std::memory_order_acquire);
  }
  const Ran* worst = nullptr;
  for (const Ran& of_rank : running.ran) {
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
