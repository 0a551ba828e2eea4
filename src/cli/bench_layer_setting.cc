#include <algorithm>

#include "base/text_parts.h"
#include "cli/bench_layer.h"
#include "model/model_weights.h"
#include "start/asked_options.h"
#include "start/explain.h"
#include "start/rank_setting.h"

namespace braid::cli {
namespace {

lab::Part part_of(const std::string& name) {
  if (name == "o_proj") return lab::Part::o_proj;
  return name == "down" ? lab::Part::down : lab::Part::layer;
}

// Groups of ranks have the more rows the earlier they come, down to a part of the first one's; in
// another step, which is checked alone, the last one has none.
void add_steps(lab::LayerRows rows, lab::LayerSetting& setting) {
  const int32_t dp = setting.layout.attention.sizes[0];
  for (int32_t group = 0; dp > 1 && group < dp; ++group) {
    const auto part = static_cast<int32_t>(int64_t{rows.rows} * (dp - group) / dp);
    rows.groups.push_back(std::max(part, 1));
  }
  setting.steps.push_back(rows);
  if (dp == 1 || !setting.check) return;
  rows.groups[static_cast<size_t>(dp - 1)] = 0;
  setting.checked_steps.push_back(rows);
}

}  // namespace

Result<std::vector<int32_t>> parse_counts(std::string_view option, std::string_view text) {
  std::vector<int32_t> counts;
  for (const std::string_view part : split(text, ',')) {
    const auto number = parse_number(part);
    if (!number.ok() || *number < 1 || *number > (1 << 20)) {
      return Error(ErrorKind::usage, "a list of numbers from 1 to 1048576 is expected")
          .with(option, text)
          .remedy("Write them with commas between, as in 1,8,128.");
    }
    counts.push_back(static_cast<int32_t>(*number));
  }
  return counts;
}

Result<lab::LayerSetting> read_layer_setting(const Context& context) {
  const ParsedOptions& options = context.options;
  if (options.text("load-format") != "dummy") {
    return Error(ErrorKind::usage, "bench layer makes up its weights")
        .with("load-format", options.text("load-format"))
        .remedy("Add --load-format dummy: config.json is all that it reads.");
  }
  lab::LayerSetting setting;
  setting.config = TRY(start::asked_model(options));
  setting.layout = TRY(layout::make_layout(
      model::layout_sizes(setting.config),
      {.tp = static_cast<int32_t>(options.integer("tp")),
       .ep = options.has("ep") ? static_cast<int32_t>(options.integer("ep")) : 0,
       .dp = static_cast<int32_t>(options.integer("dp"))}));
  setting.cuda = start::device_of(options) == ranks::DeviceKind::cuda;
  setting.dtype = TRY(start::dtype_of(options));
  setting.part = part_of(options.text("part"));
  if (options.has("routing") && options.text("routing") != "balanced") {
    setting.choice = kernels::Choice::zipf;
    setting.zipf_exponent = start::zipf_exponent(options.text("routing"));
  }
  if (options.has("dump")) setting.dump = options.text("dump");
  if (options.has("trace")) setting.trace = options.text("trace");
  setting.check = options.flag("check");
  const auto context_tokens = static_cast<int32_t>(options.integer("context"));
  for (const int32_t rows : TRY(parse_counts("--tokens", options.text("tokens")))) {
    add_steps({.rows = rows, .context = context_tokens}, setting);
  }
  setting.chunks = TRY(parse_counts("--chunks", options.text("chunks")));
  setting.rounds = options.integer("rounds");
  setting.seed = static_cast<uint64_t>(options.integer("seed"));
  setting.backend.step_timeout = static_cast<double>(start::step_timeout_of(options).count());
  setting.backend.overlap_kernels = options.text("pdl") != "off";
  setting.link = TRY(start::link_of(options));
  setting.profile = TRY(start::profile_of(
      options, setting.cuda ? cost::h100_profile() : cost::cpu_profile(), setting.link));
  if (options.has("inject-fault")) {
    const start::FaultRequest request = TRY(start::parse_fault(options.text("inject-fault")));
    setting.backend.fault = request.fault;
    setting.fault_rank = request.rank;
  }
  if (setting.part == lab::Part::down && setting.config.is_moe(0)) {
    return Error(ErrorKind::usage, "the first layer has experts, no dense MLP")
        .with("part", "down")
        .remedy("Give a dense model, or --part layer.");
  }
  if (setting.layout.attention.sizes[0] > 1 && setting.part != lab::Part::layer) {
    return Error(ErrorKind::usage, "only a whole layer has rows of several groups")
        .with("dp", setting.layout.attention.sizes[0])
        .with("part", options.text("part"))
        .remedy("Add --part layer, or leave --dp out.");
  }
  if (!setting.dump.empty() && setting.part != lab::Part::layer) {
    return Error(ErrorKind::usage, "only a whole layer has rows to dump")
        .with("part", options.text("part"))
        .remedy("Add --part layer, or leave --dump out.");
  }
  return setting;
}

}  // namespace braid::cli
