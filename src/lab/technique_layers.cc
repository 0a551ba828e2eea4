#include "lab/technique_layers.h"

#include "base/progress.h"
#include "model/dummy_source.h"

namespace braid::lab {
namespace {

using ranks::DeviceKind;

// In bfloat16 each of the two additions to the residual stream rounds all of it by up to 2⁻⁹.
constexpr double kResidualRounding = 0x1p-8;

// One process's part of the comparison: all ranks on the CPU, one of them on GPUs.
class Comparison {
 public:
  Comparison(const LayerTechniqueSetting& setting, comm::ControlPlane& control, Console& console)
      : setting_(setting),
        list_(layer_pairs(setting.shapes, setting.facts)),
        control_(control),
        console_(console) {}

  Result<LayerTechniqueRows> run() {
    TRY(open());
    TRY(compare("results under random delays"));
    if (setting_.facts.device == DeviceKind::cuda) {
      Stage stage("capturing graphs", console_);
      TRY(pairs_->capture());
      stage.done();
      TRY(compare("results of replays"));
    }
    LayerTechniqueRows found{
        .device_name = std::string(pairs_->device_name()), .rows = {}, .left_out = list_.left_out};
    for (size_t i = 0; i < pairs_->size(); ++i) found.rows.push_back(TRY(time(i)));
    TRY(control_.barrier());
    return found;
  }

 private:
  Status open() {
    std::vector<LayerPair> pairs;
    for (const LayerTechnique& one : list_.pairs) {
      pairs.push_back({.name = one.pair.technique,
                       .shape = one.shape,
                       .rows = one.rows,
                       .before = one.pair.before,
                       .after = one.pair.after,
                       .hides = one.pair.hides});
    }
    differences_.resize(pairs.size());
    Stage opening("ranks, and Schedules proven", console_);
    pairs_ = TRY(LayerPairs::open(std::move(pairs), setting_.pairs, control_));
    const flow::CheckReport proven = pairs_->proven();
    opening.done(
        fmt::format("{} pairs of accesses, {} meetings", proven.pairs, proven.collectives));
    Stage loading("weights", console_);
    TRY(pairs_->allocate(model::DummySource(setting_.seed)));
    loading.done();
    return {};
  }

  Status compare(const char* what) {
    Stage stage(what, console_);
    for (size_t i = 0; i < pairs_->size(); ++i) {
      differences_[i].worsen(TRY(pairs_->compare(i, setting_.inputs)));
    }
    stage.done();
    return {};
  }

  Result<TechniqueRow> time(size_t index) {
    TechniqueRow row{.pair = list_.pairs[index].pair};
    Stage stage(row.pair.technique, console_);
    const LayerPairTimes times =
        TRY(pairs_->time(index, {.rounds = setting_.rounds, .seed = setting_.seed}));
    row.before = times.before;
    row.after = times.after;
    row.ratio = times.ratio;
    row.again = times.again;
    row.hidden = times.hidden;
    row.equal = differences_[index].equal;
    row.error = differences_[index].error;
    // The larger rows are beside what the layer adds to them, the more rounding them counts.
    if (setting_.facts.dtype == Format::bf16) {
      row.pair.bound += kResidualRounding * differences_[index].residual;
    }
    stage.done(fmt::format("x{:.3f}", row.ratio.median));
    return row;
  }

  const LayerTechniqueSetting& setting_;
  const LayerTechniques list_;
  comm::ControlPlane& control_;
  Console& console_;
  std::unique_ptr<LayerPairs> pairs_;
  std::vector<LayerDifference> differences_;  // of each pair, the worst so far
};

}  // namespace

Result<LayerTechniqueRows> compare_layers(const LayerTechniqueSetting& setting,
                                          comm::ControlPlane& control, Console& console) {
  Comparison comparison(setting, control, console);
  Result<LayerTechniqueRows> found = comparison.run();
  // Before destructors, which wait for GPUs that may wait for this rank.
  if (!found.ok() && control.size() > 1) control.fail(found.error());
  return found;
}

}  // namespace braid::lab
