#include "base/options_table.h"

#include <algorithm>

#include "base/options_foreign.h"
#include "base/options_rows.h"

namespace braid {
namespace {

std::vector<CommandSpec> commands() {
  return {
      {"generate", "continue a prompt"},
      {"chat", "talk with a model through its chat template"},
      {"serve", "answer OpenAI's clients over HTTP"},
      {"eval logits", "write the logits of given token ids"},
      {"eval perplexity", "perplexity of a text"},
      {"eval balance", "how often a text's tokens choose which experts, and what ranks have to do"},
      {"bench throughput", "tokens a second of many requests at once"},
      {"bench latency", "seconds of one batch: median and spread"},
      {"bench layer", "one decoder layer, or a projection and its sum, with and without passes"},
      {"bench kernel", "one kernel at given sizes, cold, checked against float32 and timed"},
      {"bench techniques", "each technique against what it replaces, in one table"},
      {"profile", "what ran where: a page with the timeline of all ranks, a trace, a table"},
      {"verify", "check schedules for races and deadlocks, and compare with serial execution"},
  };
}

// What most people use, for the short help.
constexpr std::string_view kEveryday[] = {
    "model",   "dtype",       "load-format", "device",    "tp",         "ep",
    "dp",      "prompt",      "prompt-file", "system",    "max-tokens", "temperature",
    "top-p",   "top-k",       "stop",        "seed",      "json",       "quiet",
    "verbose", "explain",     "config",      "input-ids", "output",     "text",
    "window",  "num-prompts", "batch-size",  "input-len", "output-len", "repeats",
    "quick",   "layer",       "part",        "tokens",    "rounds",     "check",
    "kernel",  "shape",       "list",        "delays",    "heat-window"};

bool is_everyday(std::string_view name) {
  return std::find(std::begin(kEveryday), std::end(kEveryday), name) != std::end(kEveryday);
}

}  // namespace

const OptionTable& braid_options() {
  static const OptionTable table = [] {
    std::vector<OptionSpec> all;
    for (auto group :
         {rows::model_options, rows::engine_options, rows::fusion_options, rows::step_options,
          rows::rank_options, rows::node_options, rows::expert_options, rows::overlap_options,
          rows::prompt_options, rows::sampling_options, rows::eval_options, rows::heat_options,
          rows::bench_options, rows::layer_options, rows::kernel_options, rows::profile_options,
          rows::server_options, rows::report_options}) {
      for (OptionSpec& row : group()) {
        row.everyday = is_everyday(row.name);
        all.push_back(std::move(row));
      }
    }
    return OptionTable(commands(), std::move(all), foreign_options());
  }();
  return table;
}

}  // namespace braid