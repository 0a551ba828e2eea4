// Ranks: all ranks of an engine. In this process each is a Worker with its own memory, Schedules
// and lanes, driven by a thread of its own. The ranks along tp have the same requests: they are a
// group, whose first rank leads.
#pragma once

#include <memory>
#include <vector>

#include "device/cpu/lane_thread.h"
#include "engine/local_world.h"
#include "engine/worker.h"

namespace braid::engine {

class Ranks {
 public:
  // As Worker::create, once a rank of options.model.layout.
  static Result<std::unique_ptr<Ranks>> create(const model::ModelConfig& config,
                                               const WorkerOptions& options);

  int32_t size() const { return static_cast<int32_t>(workers_.size()); }
  Worker& operator[](int32_t rank) { return *workers_[static_cast<size_t>(rank)]; }

  int32_t num_groups() const { return layout_.attention.sizes[0]; }
  int32_t group_of(int32_t rank) const { return layout_.attention.coordinates(rank)[0]; }
  // Its logits and sampled ids are those of all ranks of the group.
  Worker& leader(int32_t group) { return (*this)[group * layout_.attention.sizes[1]]; }

  // Reads the weights of all ranks, one after the other; progress as in WeightPlan::load.
  Status load(const model::TensorSource& source, const std::function<void(int64_t)>& progress);
  // Bytes of the weights of all ranks.
  int64_t weight_bytes() const;

  // Copies the first `words` step inputs of a group's leader to its other ranks.
  void share_inputs(int64_t step, int32_t group, int64_t words);
  // Runs one step on all ranks, with a shape for each group, and waits for all of them. An error of
  // one rank ends the step on all; no step runs after that.
  Status run(std::span<const layers::StepShape> shapes, int64_t step);

  // How the next steps run; the delays differ from rank to rank.
  void set_execution(bool serial, flow::Delays delays);

 private:
  explicit Ranks(const WorkerOptions& options);
  Status run_rank(int32_t rank, const layers::StepShape& shape, int64_t step);

  layout::Layout layout_;
  LocalWorld world_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<device::LaneThread>> threads_;  // of ranks 1, 2, …
};

}  // namespace braid::engine
