// braid bench layer: one decoder layer, or one projection with its sum over the ranks, on made-up
// weights: how long it takes with and without passes, and whether all of it agrees.
#include "cli/bench_layer.h"

#include "base/json.h"
#include "comm/control/processes.h"

namespace braid::cli {
namespace {

// Prints to standard output; with --json one line a table, and nothing else.
class Printed final : public lab::LayerReport {
 public:
  Printed(const lab::LayerSetting& setting, const Context& context)
      : setting_(setting), out_(context.streams.out), json_(context.options.flag("json")) {}

  Status line(const std::string& text) override { return json_ ? Status() : out_.line(text); }

  Status timed(const lab::LayerRows& rows, const std::vector<lab::LayerTiming>& timings) override {
    if (json_) return out_.json_line(to_json(rows, timings));
    TRY(out_.line(fmt::format("\n{} {} rows, {} rounds", rows.to_string(),
                              rows.decode() ? "decode" : "prefill", setting_.rounds)));
    return out_.write(layer_table(timings, out_.columns()));
  }

 private:
  Json to_json(const lab::LayerRows& rows, const std::vector<lab::LayerTiming>& timings) const {
    return {{"part", setting_.config.moe ? "moe" : "dense"},
            {"rows", rows.rows},
            {"groups", Json(std::vector<int32_t>(rows.groups.begin(), rows.groups.end()))},
            {"context", rows.context},
            {"ranks", setting_.layout.world},
            {"rounds", setting_.rounds},
            {"variants", layer_json(timings)}};
  }

  const lab::LayerSetting& setting_;
  Output& out_;
  bool json_;
};

}  // namespace

Result<Outcome> bench_layer(const Context& context) {
  const lab::LayerSetting setting = TRY(read_layer_setting(context));
  Printed report(setting, context);
  const auto run = [&](comm::ControlPlane& control) {
    return lab::run_layer_bench(setting, control, report);
  };
  if (setting.cuda && setting.layout.world > 1) {
    TRY(comm::run_processes(setting.layout.world, run));
  } else {
    comm::ControlPlane alone(-1, 0, 1);
    TRY(run(alone));
  }
  return Outcome::success;
}

}  // namespace braid::cli
