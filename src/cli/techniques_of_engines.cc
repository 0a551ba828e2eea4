// braid bench techniques on whole steps of a model.
#include "base/json.h"
#include "cli/bench_techniques.h"
#include "cli/interrupt.h"
#include "cli/technique_table.h"
#include "lab/technique_engines.h"
#include "start/asked_options.h"
#include "start/rank_setting.h"
#include "start/weight_source.h"

namespace braid::cli {
namespace {

Status print(const Context& context, const lab::TechniqueEffort& effort,
             const lab::TechniqueDevice& device, const lab::EngineTechniqueRows& found) {
  Output& out = context.streams.out;
  if (context.options.flag("json")) {
    return out.json_line({{"device", "cpu"},
                          {"link", found.link.to_string()},
                          {"input_len", effort.input_len},
                          {"output_len", effort.output_len},
                          {"rounds", effort.rounds},
                          {"techniques", technique_json(found.rows)},
                          {"left_out", technique_json(found.left_out)}});
  }
  TRY(out.line(fmt::format(
      "{} ranks (threads) over emulated links of {}; {} requests of {} + {} tokens, {} rounds in "
      "random order, medians with 95 % intervals",
      lab::kTechniqueRanks, found.link.to_string(), lab::kTechniqueRequests, effort.input_len,
      effort.output_len, effort.rounds)));
  if (!device.note.empty()) TRY(out.line(device.note));
  return out.write(technique_table(found.rows, found.left_out, out.columns()));
}

}  // namespace

Result<Outcome> engine_techniques(const Context& context, const lab::TechniqueDevice& device) {
  const ParsedOptions& options = context.options;
  const auto config = TRY(start::asked_model(options));
  const auto source = TRY(start::open_weights(options, config, context.console));
  lab::EngineTechniqueSetting setting{
      .config = config,
      .source = *source.tensors,
      .effort = options.flag("quick") ? lab::kQuickEffort : lab::kFullEffort,
      .dtype = TRY(start::dtype_of(options, device.kind)),
      .link = {},
      .seed = static_cast<uint64_t>(options.integer("seed"))};
  if (options.has("emulate-link")) {
    setting.link = TRY(parse_link_speed("--emulate-link", options.text("emulate-link")));
  }
  const InterruptGuard interrupt;
  setting.ends_early = [&interrupt] { return interrupt.interrupted(); };
  const lab::EngineTechniqueRows found = TRY(lab::compare_engines(setting, context.console));
  TRY(print(context, setting.effort, device, found));
  TRY(lab::check_exactness(found.rows));
  if (!interrupt.interrupted()) return Outcome::success;
  context.console.report(fmt::format("interrupted after {} techniques", found.rows.size()));
  return Outcome::interrupted;
}

}  // namespace braid::cli
