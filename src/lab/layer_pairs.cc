#include "lab/layer_pairs.h"

#include <algorithm>

#include "lab/layer_variants.h"

namespace braid::lab {
namespace {

using flow::Program;

// A side's Program. The read-back of heat is in it: in a step of a whole model it is there once for
// all layers, beside the next step.
Result<Program> rewrite(LayerRank& rank, Program program, const LayerRows& rows,
                        const PairSide& side) {
  passes::Decisions why;
  const layers::StepShape shape = rows.shape(rank.group());
  const auto context = steps::pass_context(rank.model(), shape, side.passes, why);
  program = TRY(passes::run_passes(with_method(std::move(program), side.method), context));
  return passes::run_read_back_passes(std::move(program), context);
}

}  // namespace

Result<std::unique_ptr<LayerPairs>> LayerPairs::open(std::vector<LayerPair> pairs,
                                                     const LayerPairsOptions& options,
                                                     comm::ControlPlane& control) {
  std::unique_ptr<LayerPairs> all(new LayerPairs(options, control));
  for (LayerPair& pair : pairs) {
    Opened opened{.pair = std::move(pair)};
    const LayerPair& asked = opened.pair;
    opened.before_site = all->site_of(asked.shape, asked.before.layout, asked.rows);
    opened.after_site = all->site_of(asked.shape, asked.after.layout, asked.rows);
    all->pairs_.push_back(std::move(opened));
  }
  for (Site& site : all->sites_) TRY(all->open_site(site));
  for (Opened& opened : all->pairs_) TRY(all->add_variants(opened));
  return all;
}

size_t LayerPairs::site_of(size_t shape, const layout::LayoutOptions& layout,
                           const LayerRows& rows) {
  const auto found = std::find_if(sites_.begin(), sites_.end(), [&](const Site& site) {
    return site.shape == shape && site.layout == layout;
  });
  const auto index = static_cast<size_t>(found - sites_.begin());
  if (found == sites_.end()) sites_.push_back({.shape = shape, .layout = layout});
  sites_[index].steps.push_back(rows);
  return index;
}

Status LayerPairs::open_site(Site& site) {
  const model::ModelConfig& config = options_.shapes[site.shape];
  site.world = TRY(LayerWorld::open(
      config,
      {.layout = TRY(layout::make_layout(model::layout_sizes(config), site.layout)),
       .model = {.dtype = options_.dtype,
                 .probes = {.hidden = true},
                 .choice = kernels::Choice::balanced,
                 .expert_heat = config.is_moe(0)},
       .steps = site.steps,
       .device = options_.device,
       .backend = options_.backend,
       .link = options_.link},
      control_));
  return {};
}

Result<size_t> LayerPairs::add(size_t site, const std::string& name, const LayerRows& rows,
                               const PairSide& side) {
  return sites_[site].world->add(name, rows, [&](LayerRank& rank, Program program) {
    return rewrite(rank, std::move(program), rows, side);
  });
}

Status LayerPairs::add_variants(Opened& opened) {
  const LayerPair& pair = opened.pair;
  opened.before = TRY(add(opened.before_site, pair.name + ", before", pair.rows, pair.before));
  opened.again = TRY(add(opened.before_site, pair.name + ", again", pair.rows, pair.before));
  opened.after = TRY(add(opened.after_site, pair.name + ", after", pair.rows, pair.after));
  if (!pair.hides) return {};
  LayerWorld& world = *sites_[opened.before_site].world;
  opened.compute = TRY(
      world.add(pair.name + ", compute alone", pair.rows,
                [](LayerRank&, const Program& program) { return without_collectives(program); }));
  std::vector<ops::ReduceMethod> methods = {ops::ReduceMethod::direct};
  if (options_.device == ranks::DeviceKind::cuda) methods.push_back(ops::ReduceMethod::copy_engine);
  for (const ops::ReduceMethod method : methods) {
    opened.sums.push_back(TRY(world.add(
        pair.name + ", sums alone", pair.rows, [&](LayerRank& rank, const Program& program) {
          return collectives_alone(with_method(program, method), rank.model().residents(),
                                   rank.part().sums());
        })));
  }
  return {};
}

Status LayerPairs::allocate(const model::TensorSource& source) {
  for (Site& site : sites_) TRY(site.world->allocate(source));
  return {};
}

Status LayerPairs::capture() {
  for (Site& site : sites_) TRY(site.world->capture());
  captured_ = true;
  return {};
}

LayerRun LayerPairs::run_of(size_t site, size_t variant) const {
  return {sites_[site].world->locals(), variant};
}

LayerRun LayerPairs::before(size_t pair) const {
  return run_of(pairs_[pair].before_site, pairs_[pair].before);
}

LayerRun LayerPairs::after(size_t pair) const {
  return run_of(pairs_[pair].after_site, pairs_[pair].after);
}

std::string_view LayerPairs::device_name() const {
  return sites_.front().world->locals().front()->backend().device().name();
}

void LayerPairs::set_rows(const Opened& opened) {
  for (const size_t site : {opened.before_site, opened.after_site}) {
    sites_[site].world->set_rows(opened.pair.rows);
  }
}

// Prefill leaves its keys in the cache of decode rows. With the same inputs for each pair they are
// the same on both sides of a pair whose sides have memory of their own.
Result<LayerDifference> LayerPairs::compare(size_t pair, int64_t inputs) {
  const Opened& opened = pairs_[pair];
  LayerDifference worst;
  for (int64_t input = 0; input < inputs; ++input) {
    set_rows(opened);
    worst.worsen(TRY(compare_runs(before(pair), after(pair), static_cast<uint64_t>(input),
                                  !captured_, control_)));
  }
  return worst;
}

Result<LayerPairTimes> LayerPairs::time(size_t pair, const LayerBenchOptions& options) {
  const Opened& opened = pairs_[pair];
  set_rows(opened);
  std::vector<LayerRun> runs = {before(pair), run_of(opened.before_site, opened.again),
                                after(pair)};
  if (opened.compute) runs.push_back(run_of(opened.before_site, *opened.compute));
  for (const size_t sums : opened.sums) runs.push_back(run_of(opened.before_site, sums));
  const Samples samples = TRY(sample_in_turn(runs, control_, options));
  LayerPairTimes times{.before = estimate(samples[0]),
                       .after = estimate(samples[2]),
                       .again = paired_ratio(samples[0], samples[1]),
                       .ratio = paired_ratio(samples[0], samples[2])};
  if (opened.compute) {
    const auto sums = std::span(samples).subspan(4);
    times.hidden = hidden_share(samples[3], sums[fastest_of(sums)], samples[2]);
  }
  return times;
}

flow::CheckReport LayerPairs::proven() const {
  flow::CheckReport all;
  for (const Site& site : sites_) {
    all.pairs += site.world->proven().pairs;
    all.collectives += site.world->proven().collectives;
  }
  return all;
}

}  // namespace braid::lab
