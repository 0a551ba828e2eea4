// braid bench techniques on single layers.
#include <filesystem>

#include "base/json.h"
#include "cli/bench_techniques.h"
#include "cli/technique_table.h"
#include "comm/control/processes.h"
#include "lab/technique_layers.h"
#include "start/asked_options.h"
#include "start/rank_setting.h"

namespace braid::cli {
namespace {

constexpr double kGpuTimeout = 30, kCpuTimeout = 300;  // seconds

// What is run: rows of a rank in prefill and decode, tokens behind each of the latter, and rows of
// the layer whose sums are cut.
constexpr lab::LayerFacts kGpuQuick{.prefill = 4096, .decode = 64, .context = 1024, .summed = 8192};
constexpr lab::LayerFacts kGpuFull{.prefill = 4096, .decode = 64, .context = 1024, .summed = 16384};
constexpr lab::LayerFacts kCpuQuick{.prefill = 64, .decode = 4, .context = 32, .summed = 128};
constexpr lab::LayerFacts kCpuFull{.prefill = 512, .decode = 8, .context = 256, .summed = 1024};

struct Asked {
  lab::LayerTechniqueSetting setting;
  std::vector<std::string> notes;  // what the user may wonder about
};

// "2 GPUs (NVIDIA H100 80GB HBM3), a process each" or "2 ranks (threads) over links of …".
std::string where(const lab::LayerTechniqueSetting& setting, const std::string& device_name) {
  const int32_t ranks = setting.facts.ranks;
  if (setting.facts.device == ranks::DeviceKind::cuda) {
    return fmt::format("{} GPU{} ({})", ranks, ranks == 1 ? "" : "s, a process each", device_name);
  }
  return fmt::format(
      "{} ranks (threads){}", ranks,
      setting.pairs.link ? " over emulated links of " + setting.pairs.link->to_string() : "");
}

Status print(const Context& context, const Asked& asked, const lab::LayerTechniqueRows& found) {
  const lab::LayerTechniqueSetting& setting = asked.setting;
  Output& out = context.streams.out;
  if (context.options.flag("json")) {
    const bool cuda = setting.facts.device == ranks::DeviceKind::cuda;
    return out.json_line(
        {{"device", cuda ? "cuda" : "cpu"},
         {"device_name", found.device_name},
         {"ranks", setting.facts.ranks},
         {"link", setting.pairs.link ? Json(setting.pairs.link->to_string()) : Json()},
         {"layers_of", setting.shapes.names},
         {"rounds", setting.rounds},
         {"techniques", technique_json(found.rows)},
         {"left_out", technique_json(found.left_out)}});
  }
  TRY(out.line(fmt::format(
      "{}; single layers, random weights, balanced routing; {} rounds in random order, medians "
      "with 95 % intervals",
      where(setting, found.device_name), setting.rounds)));
  for (const std::string& note : asked.notes) TRY(out.line(note));
  return out.write(technique_table(found.rows, found.left_out, out.columns()));
}

Result<lab::LayerShapes> shapes_asked_for(const ParsedOptions& options) {
  if (options.flag("layer")) {
    return lab::shapes_of(
        TRY(start::asked_model(options)),
        std::filesystem::path(options.text("model")).lexically_normal().filename());
  }
  if (options.has("json-model-override-args")) {
    return Error(ErrorKind::usage, "nothing of the model is run on GPUs unless --layer is given")
        .with("--json-model-override-args", options.text("json-model-override-args"))
        .remedy("Add --layer, or --device cpu.");
  }
  return lab::published_shapes();
}

Result<Asked> read_setting(const ParsedOptions& options, const lab::TechniqueDevice& device) {
  const bool cuda = device.kind == ranks::DeviceKind::cuda, quick = options.flag("quick");
  Asked asked;
  lab::LayerTechniqueSetting& setting = asked.setting;
  setting = {.shapes = TRY(shapes_asked_for(options)),
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
  if (!device.note.empty()) asked.notes.push_back(device.note);
  if (!options.flag("layer")) {
    asked.notes.push_back(fmt::format(
        "{} is not run: whole steps are launched op by op on GPUs, and wait for the host",
        options.text("model")));
  }
  return asked;
}

}  // namespace

Status layer_techniques(const Context& context, const lab::TechniqueDevice& device) {
  const Asked asked = TRY(read_setting(context.options, device));
  const auto run = [&](comm::ControlPlane& control) -> Status {
    if (control.rank() > 0) context.console.set_quiet(true);
    const lab::LayerTechniqueRows found =
        TRY(lab::compare_layers(asked.setting, control, context.console));
    if (control.rank() > 0) return {};
    TRY(print(context, asked, found));
    return lab::check_exactness(found.rows);
  };
  if (device.kind == ranks::DeviceKind::cuda) return comm::run_processes(device.ranks, run);
  comm::ControlPlane alone(-1, 0, 1);
  return run(alone);
}

}  // namespace braid::cli
