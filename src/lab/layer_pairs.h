// Pairs of runs of one layer: with a technique and without it, on the same rows, compared and timed
// in turn. Weights are made up.
#pragma once

#include "lab/layer_check.h"
#include "lab/layer_timing.h"
#include "lab/layer_world.h"
#include "ops/collectives.h"
#include "steps/schedules.h"

namespace braid::lab {

// What one side of a pair runs with; all else is alike on both.
struct PairSide {
  layout::LayoutOptions layout;
  steps::PassOptions passes;
  ops::ReduceMethod method = ops::ReduceMethod::direct;  // of all-reduces
};

struct LayerPair {
  std::string name;  // in errors
  size_t shape = 0;  // whose first layer it is
  LayerRows rows;
  PairSide before;
  PairSide after;
  bool hides = false;  // what it gains is sums that run beside computation
};

struct LayerPairTimes {
  Estimate before;  // seconds
  Estimate after;
  Estimate again;                  // before / the same once more: what is noise
  Estimate ratio;                  // before / after
  std::optional<Estimate> hidden;  // hidden_share(), where the pair hides sums
};

struct LayerPairsOptions {
  std::vector<model::ModelConfig> shapes;
  ranks::DeviceKind device = ranks::DeviceKind::cpu;
  Format dtype = Format::f32;
  ranks::BackendOptions backend;
  std::optional<LinkSpeed> link;  // emulated on the CPU
};

// Steps in this order, each by all processes: open(), allocate(), compare(), capture(), compare()
// again, which then compares replays where the device has them, and time().
class LayerPairs {
 public:
  // Compiles and proves both sides of all pairs on one LayerWorld a shape and layout. All stay in
  // memory: a workspace that peers write into is not given back while they may.
  static Result<std::unique_ptr<LayerPairs>> open(std::vector<LayerPair> pairs,
                                                  const LayerPairsOptions& options,
                                                  comm::ControlPlane& control);
  Status allocate(const model::TensorSource& source);
  Status capture();

  // How far `after` is from `before`, the worst of so many inputs; the same inputs for each pair.
  Result<LayerDifference> compare(size_t pair, int64_t inputs);
  Result<LayerPairTimes> time(size_t pair, const LayerBenchOptions& options);

  size_t size() const { return pairs_.size(); }
  // What was proven of all Schedules.
  flow::CheckReport proven() const;
  // What compare() runs: ranks of this process.
  LayerRun before(size_t pair) const;
  LayerRun after(size_t pair) const;
  std::string_view device_name() const;

 private:
  // The ranks of a shape in a layout.
  struct Site {
    size_t shape = 0;
    layout::LayoutOptions layout;
    std::vector<LayerRows> steps;
    std::unique_ptr<LayerWorld> world;
  };
  struct Opened {
    LayerPair pair;
    size_t before_site = 0, after_site = 0;
    size_t before = 0, again = 0, after = 0;  // variants
    std::optional<size_t> compute;            // before without its sums,
    std::vector<size_t> sums;                 // and these alone, by each method
  };

  LayerPairs(const LayerPairsOptions& options, comm::ControlPlane& control)
      : options_(options), control_(control) {}
  size_t site_of(size_t shape, const layout::LayoutOptions& layout, const LayerRows& rows);
  Status open_site(Site& site);
  Status add_variants(Opened& opened);
  Result<size_t> add(size_t site, const std::string& name, const LayerRows& rows,
                     const PairSide& side);
  LayerRun run_of(size_t site, size_t variant) const;
  void set_rows(const Opened& opened);

  const LayerPairsOptions options_;
  comm::ControlPlane& control_;
  std::vector<Site> sites_;
  std::vector<Opened> pairs_;
  bool captured_ = false;
};

}  // namespace braid::lab
