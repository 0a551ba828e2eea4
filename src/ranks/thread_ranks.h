// Ranks that are all in this process: each is a Worker with its own memory, Schedules and lanes,
// driven by a thread of its own.
#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "comm/control/control_plane.h"
#include "device/cpu/lane_thread.h"
#include "ranks/local_world.h"
#include "ranks/query_service.h"
#include "ranks/ranks.h"

namespace braid::ranks {

class ThreadRanks final : public Ranks {
 public:
  explicit ThreadRanks(const WorkerOptions& options);
  Status create_workers(const model::ModelConfig& config, const WorkerOptions& options);

  bool here(int32_t /*rank*/) const override { return true; }
  Worker& operator[](int32_t rank) override { return *workers_[static_cast<size_t>(rank)]; }
  Status load(const model::TensorSource& source,
              const std::function<void(int64_t)>& progress) override;
  // Only a GPU captures, and it is alone in its process.
  Result<std::string> capture() override {
    return size() == 1 ? workers_.front()->capture() : std::string();
  }
  int64_t weight_bytes() const override;
  std::span<int32_t> words(int32_t group, int64_t step) override {
    return leader(group).host_words(step);
  }
  void share_inputs(int64_t step, int32_t group, int64_t words) override;
  Status submit(std::span<const layers::StepShape> shapes, int64_t step, Order order) override;
  Status wait(int64_t step) override;
  std::span<const int32_t> sampled(int32_t group, int64_t step) override {
    return leader(group).sampled(step);
  }
  std::span<const int32_t> logprobs(int32_t group, int64_t step) override {
    return leader(group).logprobs(step);
  }
  using Ranks::ask;
  Result<std::vector<std::string>> ask(const std::vector<int32_t>& ranks,
                                       const RankQuery& query) override;

 private:
  struct Ran {
    Status status;
    bool by_others = false;  // another rank's fault, which a collective has told
    int tells() const;       // of several errors the one with the highest number is told
  };
  // A step in flight.
  struct Running {
    std::vector<layers::StepShape> shapes;  // of the groups
    int64_t step = 0;
    std::vector<Ran> ran;           // by rank
    std::atomic<int32_t> left = 0;  // ranks with a thread that have not ended the step
  };
  Running& running(int64_t step) { return running_[static_cast<size_t>(step & 1)]; }
  void submit_on(int32_t rank, Running& running);
  void wait_on(int32_t rank, Running& running);
  Ran end_or_abort(int32_t rank, const Status& ended);

  comm::ControlPlane alone_;  // of a GPU
  LocalWorld world_;
  std::vector<std::unique_ptr<QueryService>> queries_;  // outlive the workers
  std::vector<std::unique_ptr<Worker>> workers_;
  std::array<Running, 2> running_;  // the last even step and the last odd one
  std::vector<std::unique_ptr<device::LaneThread>> threads_;  // of ranks 1, 2, …
};

// The backend of rank `options.model.rank`, whose ends of communicators are `communicators` on the
// CPU, and made by way of `control` on a GPU.
Result<std::unique_ptr<Backend>> make_backend(const WorkerOptions& options,
                                              std::span<comm::Communicator* const> communicators,
                                              comm::ControlPlane& control);

}  // namespace braid::ranks
