#include "lab/layer_world.h"

#include <algorithm>

namespace braid::lab {

Result<std::unique_ptr<LayerWorld>> LayerWorld::open(const model::ModelConfig& config,
                                                     const LayerWorldOptions& options,
                                                     comm::ControlPlane& control) {
  std::unique_ptr<LayerWorld> world(new LayerWorld(options));
  TRY(world->connect(control));
  const bool cuda = options.device == ranks::DeviceKind::cuda;
  for (int32_t rank = 0; rank < options.layout.world; ++rank) {
    model::ModelOptions of_rank = options.model;
    of_rank.layout = options.layout;
    of_rank.rank = rank;
    ranks::Backend& backend = *world->backends_[cuda ? 0 : static_cast<size_t>(rank)];
    world->ranks_.push_back(std::make_unique<LayerRank>(config, std::move(of_rank), options.steps,
                                                        backend, options.part));
    const bool local = !cuda || rank == control.rank();
    if (local) world->locals_.push_back(world->ranks_.back().get());
  }
  return world;
}

Status LayerWorld::connect(comm::ControlPlane& control) {
  const layout::Layout& layout = options_.layout;
  if (options_.device == ranks::DeviceKind::cuda) {
    ranks::BackendOptions options = options_.backend;
    if (options_.fault_rank != control.rank()) options.fault = {};
    backends_.push_back(TRY(ranks::make_cuda_backend(layout, control, options)));
    return {};
  }
  threads_ = std::make_unique<ranks::LocalWorld>(
      layout, std::chrono::milliseconds(static_cast<int64_t>(options_.backend.step_timeout * 1000)),
      options_.link);
  for (int32_t rank = 0; rank < layout.world; ++rank) {
    backends_.push_back(TRY(ranks::make_cpu_backend(threads_->communicators_of(rank))));
  }
  return {};
}

Result<size_t> LayerWorld::add(const std::string& name, const LayerRows& rows,
                               const Rewrite& rewrite, bool overlap_kernels) {
  size_t index = 0;
  for (const auto& rank : ranks_) {
    flow::Program program = TRY(rank->part().build(rows.shape(rank->group())));
    program = TRY(rewrite(*rank, std::move(program)));
    index = TRY(rank->add(name, rows, std::move(program), overlap_kernels));
  }
  TRY(check_jointly(index));
  return index;
}

// The Schedules of all ranks, those of other processes too: compiling is pure.
Status LayerWorld::check_jointly(size_t variant) {
  std::vector<const flow::Schedule*> schedules;
  for (const auto& rank : ranks_) schedules.push_back(&rank->variant(variant).schedule);
  std::vector<flow::CommunicatorGroup> groups;
  for (size_t id = 0; id < options_.layout.communicators.size(); ++id) {
    for (const auto& members : options_.layout.communicators[id].groups) {
      groups.push_back({static_cast<int32_t>(id), members});
    }
  }
  const flow::CheckReport report = TRY(flow::check_joint(schedules, groups));
  proven_.collectives += report.collectives;
  for (const auto& rank : ranks_) proven_.pairs += rank->variant(variant).report.pairs;
  return {};
}

Status LayerWorld::allocate(const model::TensorSource& source) {
  for (LayerRank* rank : locals_) TRY(rank->allocate(source));
  return {};
}

Status LayerWorld::capture() {
  for (LayerRank* rank : locals_) TRY(rank->capture());
  return {};
}

void LayerWorld::set_rows(const LayerRows& rows) {
  for (LayerRank* rank : locals_) rank->set_rows(rows);
}

int64_t LayerWorld::audit_bytes() const {
  int64_t bytes = 0;
  for (const auto& rank : ranks_) bytes = std::max(bytes, rank->audit_bytes());
  return bytes;
}

}  // namespace braid::lab
