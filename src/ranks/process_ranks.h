// Ranks that are processes, on this host or on several: rank 0's runs the engine and tells the
// others over the control plane what to run.
#pragma once

#include "comm/gloo/gloo_group.h"
#include "ranks/query_service.h"
#include "ranks/ranks.h"

namespace braid::ranks {

// The rank of this process: its ends of the layout's communicators, and its Worker. All ranks make
// theirs together.
class RankProcess {
 public:
  // `control`, which must outlive this, says which rank it is.
  static Result<std::unique_ptr<RankProcess>> create(const model::ModelConfig& config,
                                                     WorkerOptions options,
                                                     comm::ControlPlane& control);

  Worker& worker() { return *worker_; }
  // Reads this rank's weights, and waits for the others.
  Status load(const model::TensorSource& source, const std::function<void(int64_t)>& progress);
  // As Worker::capture.
  Result<std::string> capture();
  // Runs steps and answers queries as rank 0 tells, until there are no more. A step or an answer
  // that fails ends the process.
  Status follow();

 private:
  friend class ProcessRanks;
  RankProcess(comm::ControlPlane& control, const WorkerOptions& options)
      : control_(control), options_(options) {}
  Status connect(std::vector<comm::Communicator*>& ends);
  Status submit(const layers::StepShape& shape, int64_t step);
  Status wait(int64_t step);
  Status follow_step(std::string_view told);
  // Waits for the step in flight, if there is one, and sends its sampled ids.
  Status follow_to_end();
  Status follow_query(std::string_view told);
  // What all ranks answer together; those that aren't asked answer nothing, and rank 0 alone gets
  // the answers, by rank.
  Result<std::vector<std::string>> answer(const std::vector<int32_t>& ranks,
                                          const RankQuery& query);
  Result<std::vector<std::string>> gather_answers(std::string_view own);
  // What the leaders of groups have sampled, by rank: ids, and behind them log probabilities where
  // the group's sampling was extended. Nothing where there is one group.
  Result<std::vector<std::string>> gather_sampled(int64_t step);

  comm::ControlPlane& control_;
  WorkerOptions options_;
  std::vector<std::unique_ptr<comm::GlooGroup>> groups_;
  std::unique_ptr<QueryService> queries_;  // outlives the worker
  std::unique_ptr<Worker> worker_;
  std::array<bool, 2> extended_ = {};  // whether the last even and odd step extended sampling
  int64_t in_flight_ = 0;  // the step that follow() has submitted and not waited for; 0: none
};

// All ranks, as rank 0's process has them. A step that fails ends the process, which tells why:
// a GPU that waits for another rank would not let destructors return.
class ProcessRanks final : public Ranks {
 public:
  static Result<std::unique_ptr<Ranks>> create(const model::ModelConfig& config,
                                               const WorkerOptions& options,
                                               comm::ControlPlane& control);
  ~ProcessRanks() override;  // tells the others that there are no more steps

  bool here(int32_t rank) const override { return rank == 0; }
  Worker& operator[](int32_t rank) override {
    BRAID_CHECK(here(rank), "(rank {} is in another process)", rank);
    return own_->worker();
  }
  Status load(const model::TensorSource& source,
              const std::function<void(int64_t)>& progress) override {
    return own_->load(source, progress);
  }
  Result<std::string> capture() override { return own_->capture(); }
  int64_t weight_bytes() const override {
    return own_->worker_->model().residents().bytes(flow::Lifetime::weight);
  }
  std::span<int32_t> words(int32_t group, int64_t step) override;
  void share_inputs(int64_t step, int32_t group, int64_t words) override;
  Status submit(std::span<const layers::StepShape> shapes, int64_t step, Order order) override;
  Status wait(int64_t step) override;
  std::span<const int32_t> sampled(int32_t group, int64_t step) override;
  std::span<const int32_t> logprobs(int32_t group, int64_t step) override;
  using Ranks::ask;
  Result<std::vector<std::string>> ask(const std::vector<int32_t>& ranks,
                                       const RankQuery& query) override;

 private:
  ProcessRanks(const WorkerOptions& options, std::unique_ptr<RankProcess> own);
  Status tell(char what, std::string_view bytes);

  std::unique_ptr<RankProcess> own_;
  std::vector<std::vector<int32_t>> words_;    // per group: room for a step's inputs
  std::vector<int64_t> shared_;                // per group: how many of them are given
  std::vector<std::vector<int32_t>> sampled_;  // per group, but for that of rank 0; as gathered
  int64_t last_ = 0;                           // the last step that was submitted,
  Order order_ = Order::waits_first;           // and the order it was submitted with
};

}  // namespace braid::ranks
