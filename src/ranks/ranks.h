// Ranks: all ranks of an engine, as the engine sees them. The ranks along tp have the same
// requests: they are a group, whose first rank leads.
#pragma once

#include <memory>
#include <vector>

#include "ranks/rank_query.h"
#include "ranks/worker.h"

namespace braid::ranks {

class Ranks {
 public:
  // As Worker::create, once a rank of options.model.layout, all of them in this process
  // (thread_ranks.h). A GPU is a rank of its own: `unsupported` for several.
  static Result<std::unique_ptr<Ranks>> create(const model::ModelConfig& config,
                                               const WorkerOptions& options);

  explicit Ranks(layout::Layout layout) : layout_(std::move(layout)) {}
  virtual ~Ranks() = default;

  int32_t size() const { return layout_.world; }
  int32_t num_groups() const { return layout_.attention.sizes[0]; }
  int32_t group_of(int32_t rank) const { return layout_.attention.coordinates(rank)[0]; }
  int32_t leader_of(int32_t group) const { return group * layout_.attention.sizes[1]; }
  std::vector<int32_t> all() const;
  std::vector<int32_t> members_of(int32_t group) const;

  // Whether operator[] has this rank: it is in this process. Rank 0 always is.
  virtual bool here(int32_t rank) const = 0;
  virtual Worker& operator[](int32_t rank) = 0;
  // Its logits and sampled ids are those of all ranks of the group.
  Worker& leader(int32_t group) { return (*this)[leader_of(group)]; }

  // Reads the weights of all ranks; progress, as in WeightPlan::load, of those in this process.
  virtual Status load(const model::TensorSource& source,
                      const std::function<void(int64_t)>& progress) = 0;
  // As Worker::capture, on all ranks after load().
  virtual Result<std::string> capture() = 0;
  // Bytes of the weights of the ranks in this process.
  virtual int64_t weight_bytes() const = 0;

  // The words of a group's step inputs, to be filled before share_inputs(), which gives the first
  // `words` of them to all ranks of the group.
  virtual std::span<int32_t> words(int32_t group, int64_t step) = 0;
  virtual void share_inputs(int64_t step, int32_t group, int64_t words) = 0;
  // Whether the caller waits for a step before it submits the next one.
  enum class Order { waits_first, submits_next };
  // Starts one step on all ranks, with a shape for each group. At most two steps are in flight:
  // step n + 1 may be submitted when step n − 1 has been waited for.
  virtual Status submit(std::span<const layers::StepShape> shapes, int64_t step, Order order) = 0;
  // Waits for the results of a step. An error of one rank ends the step on all; no step runs after
  // that.
  virtual Status wait(int64_t step) = 0;
  // Both.
  Status run(std::span<const layers::StepShape> shapes, int64_t step);
  // Sampled ids of a group in a step that has been waited for, one a logits row.
  virtual std::span<const int32_t> sampled(int32_t group, int64_t step) = 0;
  // As Worker::logprobs, of a group whose sampling was extended in that step.
  virtual std::span<const int32_t> logprobs(int32_t group, int64_t step) = 0;

  // Asks these ranks between steps, wherever they are; their answers in the order of `ranks`.
  virtual Result<std::vector<std::string>> ask(const std::vector<int32_t>& ranks,
                                               const RankQuery& query) = 0;
  // The same of one rank.
  Result<std::string> ask(int32_t rank, const RankQuery& query);

  // How the next steps run; the delays differ from rank to rank.
  Status set_execution(bool serial, flow::Delays delays);

 protected:
  layout::Layout layout_;
};

}  // namespace braid::ranks
