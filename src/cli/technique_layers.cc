// The techniques in single layers with made-up weights: on GPUs, where a layer is a captured graph
// while whole steps are launched op by op and wait for the host; on the CPU where asked for.
#include <filesystem>

#include "base/json.h"
#include "base/progress.h"
#include "cli/bench_techniques.h"
#include "cli/technique_table.h"
#include "comm/control/processes.h"
#include "model/dummy_source.h"
#include "start/rank_setting.h"

namespace braid::cli {
namespace {

using ranks::DeviceKind;

// In bfloat16 each of the two additions to the residual stream rounds all of it by up to 2⁻⁹.
constexpr double kResidualRounding = 0x1p-8;
constexpr double kGpuTimeout = 30, kCpuTimeout = 300;  // seconds

// What is run: rows of a rank in prefill and decode, tokens behind each of the latter, and rows of
// the layer whose sums are cut.
constexpr LayerFacts kGpuQuick{.prefill = 4096, .decode = 64, .context = 1024, .summed = 8192};
constexpr LayerFacts kGpuFull{.prefill = 4096, .decode = 64, .context = 1024, .summed = 16384};
constexpr LayerFacts kCpuQuick{.prefill = 64, .decode = 4, .context = 32, .summed = 128};
constexpr LayerFacts kCpuFull{.prefill = 512, .decode = 8, .context = 256, .summed = 1024};

struct Setting {
  LayerShapes shapes;
  LayerFacts facts;
  int64_t rounds = 0;
  int64_t inputs = 0;  // that results are compared on
  lab::LayerPairsOptions pairs;
  uint64_t seed = 0;
  bool json = false;
  std::vector<std::string> notes;  // what the user may wonder about
};

// One process's part of the comparison: all ranks on the CPU, one of them on GPUs.
class Comparison {
 public:
  Comparison(const Setting& setting, comm::ControlPlane& control, Streams& streams)
      : setting_(setting),
        list_(layer_pairs(setting.shapes, setting.facts)),
        control_(control),
        streams_(streams) {}

  Status run() {
    TRY(open());
    TRY(compare("results under random delays"));
    if (setting_.facts.device == DeviceKind::cuda) {
      Stage stage("capturing graphs", streams_.console);
      TRY(pairs_->capture());
      stage.done();
      TRY(compare("results of replays"));
    }
    std::vector<TechniqueRow> rows;
    for (size_t i = 0; i < pairs_->size(); ++i) rows.push_back(TRY(time(i)));
    if (control_.rank() == 0) TRY(print(rows));
    TRY(control_.barrier());
    return control_.rank() == 0 ? check_exactness(rows) : Status();
  }

 private:
  Status open() {
    std::vector<lab::LayerPair> pairs;
    for (const LayerTechnique& one : list_.pairs) {
      pairs.push_back({.name = one.pair.technique,
                       .shape = one.shape,
                       .rows = one.rows,
                       .before = one.pair.before,
                       .after = one.pair.after,
                       .hides = one.pair.hides});
    }
    differences_.resize(pairs.size());
    Stage opening("ranks, and Schedules proven", streams_.console);
    pairs_ = TRY(lab::LayerPairs::open(std::move(pairs), setting_.pairs, control_));
    const flow::CheckReport proven = pairs_->proven();
    opening.done(
        fmt::format("{} pairs of accesses, {} meetings", proven.pairs, proven.collectives));
    Stage loading("weights", streams_.console);
    TRY(pairs_->allocate(model::DummySource(setting_.seed)));
    loading.done();
    return {};
  }

  Status compare(const char* what) {
    Stage stage(what, streams_.console);
    for (size_t i = 0; i < pairs_->size(); ++i) {
      differences_[i].worsen(TRY(pairs_->compare(i, setting_.inputs)));
    }
    stage.done();
    return {};
  }

  Result<TechniqueRow> time(size_t index) {
    TechniqueRow row{.pair = list_.pairs[index].pair};
    Stage stage(row.pair.technique, streams_.console);
    const lab::LayerPairTimes times =
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

  // "2 GPUs (NVIDIA H100 80GB HBM3), a process each" or "2 ranks (threads) over links of …".
  std::string where() const {
    const int32_t ranks = setting_.facts.ranks;
    if (setting_.facts.device == DeviceKind::cuda) {
      return fmt::format("{} GPU{} ({})", ranks, ranks == 1 ? "" : "s, a process each",
                         pairs_->device_name());
    }
    return fmt::format(
        "{} ranks (threads){}", ranks,
        setting_.pairs.link ? " over emulated links of " + setting_.pairs.link->to_string() : "");
  }

  Status print(std::span<const TechniqueRow> rows) {
    Output& out = streams_.out;
    if (setting_.json) {
      const bool cuda = setting_.facts.device == DeviceKind::cuda;
      return out.json_line(
          {{"device", cuda ? "cuda" : "cpu"},
           {"device_name", pairs_->device_name()},
           {"ranks", setting_.facts.ranks},
           {"link", setting_.pairs.link ? Json(setting_.pairs.link->to_string()) : Json()},
           {"layers_of", setting_.shapes.names},
           {"rounds", setting_.rounds},
           {"techniques", technique_json(rows)},
           {"left_out", technique_json(list_.left_out)}});
    }
    TRY(out.line(fmt::format(
        "{}; single layers, random weights, balanced routing; {} rounds in random order, medians "
        "with 95 % intervals",
        where(), setting_.rounds)));
    for (const std::string& note : setting_.notes) TRY(out.line(note));
    return out.write(technique_table(rows, list_.left_out));
  }

  const Setting& setting_;
  const LayerTechniques list_;
  comm::ControlPlane& control_;
  Streams& streams_;
  std::unique_ptr<lab::LayerPairs> pairs_;
  std::vector<lab::LayerDifference> differences_;  // of each pair, the worst so far
};

Result<LayerShapes> shapes_asked_for(const ParsedOptions& options) {
  const bool overridden = options.has("json-model-override-args");
  if (options.flag("layer")) {
    const std::string& folder = options.text("model");
    return shapes_of(
        TRY(model::load_config(folder, overridden ? options.text("json-model-override-args") : "")),
        std::filesystem::path(folder).lexically_normal().filename());
  }
  if (overridden) {
    return Error(ErrorKind::usage, "nothing of the model is run on GPUs unless --layer is given")
        .with("--json-model-override-args", options.text("json-model-override-args"))
        .remedy("Add --layer, or --device cpu.");
  }
  return published_shapes();
}

Result<Setting> read_setting(const ParsedOptions& options, const TechniqueDevice& device) {
  const bool cuda = device.kind == DeviceKind::cuda, quick = options.flag("quick");
  Setting setting{.shapes = TRY(shapes_asked_for(options)),
                  .facts = cuda ? (quick ? kGpuQuick : kGpuFull) : (quick ? kCpuQuick : kCpuFull)};
  setting.facts.device = device.kind;
  setting.facts.ranks = device.ranks;
  setting.facts.dtype = TRY(start::dtype_of(options, device.kind));
  setting.rounds = cuda ? (quick ? 30 : 100) : (quick ? 5 : 15);
  setting.inputs = quick ? 1 : 2;
  setting.pairs = {.shapes = setting.shapes.shapes,
                   .device = device.kind,
                   .dtype = setting.facts.dtype,
                   .backend = {.step_timeout = cuda ? kGpuTimeout : kCpuTimeout}};
  if (options.has("emulate-link")) {
    setting.pairs.link = TRY(parse_link_speed("--emulate-link", options.text("emulate-link")));
  }
  setting.seed = static_cast<uint64_t>(options.integer("seed"));
  setting.json = options.flag("json");
  if (!device.note.empty()) setting.notes.push_back(device.note);
  if (!options.flag("layer")) {
    setting.notes.push_back(fmt::format(
        "{} is not run: whole steps are launched op by op on GPUs, and wait for the host",
        options.text("model")));
  }
  return setting;
}

}  // namespace

Status layer_techniques(const Context& context, const TechniqueDevice& device) {
  const Setting setting = TRY(read_setting(context.options, device));
  const auto run = [&](comm::ControlPlane& control) -> Status {
    if (control.rank() > 0) context.streams.console.set_quiet(true);
    Comparison comparison(setting, control, context.streams);
    Status status = comparison.run();
    // Before destructors, which wait for GPUs that may wait for this rank.
    if (!status.ok() && control.size() > 1) control.fail(status.error());
    return status;
  };
  if (device.kind == DeviceKind::cuda) return comm::run_processes(device.ranks, run);
  comm::ControlPlane alone(-1, 0, 1);
  return run(alone);
}

}  // namespace braid::cli
