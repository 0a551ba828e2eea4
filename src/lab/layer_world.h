// LayerWorld: all ranks of a layout, each with the same part of a model alone. Those of this
// process have memory and run; those that are elsewhere are compiled, too, so that every process
// proves the Schedules of all of them jointly.
#pragma once

#include <functional>

#include "lab/layer_rank.h"
#include "ranks/local_world.h"

namespace braid::lab {

struct LayerWorldOptions {
  layout::Layout layout;
  model::ModelOptions model;     // but for layout and rank
  Part part = Part::layer;       // of the first layer
  std::vector<LayerRows> steps;  // that may be run
  ranks::DeviceKind device = ranks::DeviceKind::cpu;
  ranks::BackendOptions backend;  // its fault holds on rank `fault_rank` alone
  int32_t fault_rank = -1;
  std::optional<LinkSpeed> link;  // emulated on the CPU
};

class LayerWorld {
 public:
  // On the CPU all ranks are of this process, on GPUs `control`'s alone. Every process calls it,
  // and what follows, at the same point.
  static Result<std::unique_ptr<LayerWorld>> open(const model::ModelConfig& config,
                                                  const LayerWorldOptions& options,
                                                  comm::ControlPlane& control);

  // What a rank makes of the Program that its model builds.
  using Rewrite = std::function<Result<flow::Program>(LayerRank& rank, flow::Program program)>;
  // Compiles a variant on every rank, and proves it, that of each rank and all together. Its index,
  // which is the same on all of them. Before allocate().
  Result<size_t> add(const std::string& name, const LayerRows& rows, const Rewrite& rewrite,
                     bool overlap_kernels = true);

  // Both are for the ranks of this process.
  Status allocate(const model::TensorSource& source);
  Status capture();
  void set_rows(const LayerRows& rows);

  // All ranks, by number; those of other processes have no memory.
  LayerRank& rank(int32_t index) const { return *ranks_[static_cast<size_t>(index)]; }
  LayerRanks locals() const { return locals_; }
  const layout::Layout& layout() const { return options_.layout; }
  // What was proven of all variants so far.
  const flow::CheckReport& proven() const { return proven_; }
  // The largest audit_bytes() of all ranks.
  int64_t audit_bytes() const;

 private:
  explicit LayerWorld(const LayerWorldOptions& options) : options_(options) {}
  Status connect(comm::ControlPlane& control);
  Status check_jointly(size_t variant);

  LayerWorldOptions options_;
  std::unique_ptr<ranks::LocalWorld> threads_;
  std::vector<std::unique_ptr<ranks::Backend>> backends_;  // of the ranks of this process
  std::vector<std::unique_ptr<LayerRank>> ranks_;
  std::vector<LayerRank*> locals_;
  flow::CheckReport proven_;
};

}  // namespace braid::lab
