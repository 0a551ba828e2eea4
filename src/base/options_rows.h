// The rows of braid_options(), a heading each.
#pragma once

#include <string_view>
#include <vector>

#include "base/options.h"

namespace braid::rows {

using Names = std::vector<std::string_view>;

// Commands that take the same options.
inline const Names kGenerating = {"generate", "chat"};
inline const Names kBench = {"bench throughput", "bench latency"};
inline const Names kPenalized = {"generate", "chat", "bench throughput", "bench latency"};
inline const Names kLogprobs = {"generate", "bench throughput", "bench latency"};
inline const Names kBalance = {"eval balance"};
inline const Names kVerify = {"verify"};
inline const Names kLayer = {"bench layer"};
inline const Names kProfile = {"profile"};
inline const Names kKernel = {"bench kernel"};

// The same names, and one more.
inline Names plus(Names names, std::string_view more) {
  names.push_back(more);
  return names;
}

// What runs an engine, and writes a trace where it is asked for; profile always writes one.
inline const Names kEngines = {"generate",        "chat",         "eval logits",
                               "eval perplexity", "eval balance", "bench throughput",
                               "bench latency",   "verify"};
inline const Names kServe = {"serve"};
inline const Names kEnding = plus(kEngines, "profile");  // those that end by themselves
inline const Names kAll = plus(kEnding, "serve");
inline const Names kTraced = plus(kEngines, "bench layer");
// What has a model and ranks, whether it runs an engine or not.
inline const Names kModels = plus(kAll, "bench layer");
// What runs on any device.
inline const Names kDevices = plus(kModels, "bench kernel");
// What has an engine on any device: its ranks may be processes.
inline const Names kRanked = kAll;
// What reads weights: these and the comparison of techniques, which chooses layouts and passes
// itself.
inline const Names kWeights = plus(kModels, "bench techniques");
// What reports something, with or without a model,
inline const Names kReporting = plus(kWeights, "bench kernel");
// and what prints a result.
inline const Names kResults =
    plus(plus(plus(kEnding, "bench layer"), "bench techniques"), "bench kernel");
inline constexpr double kMillion = 1e6;

std::vector<OptionSpec> model_options();
std::vector<OptionSpec> engine_options();
std::vector<OptionSpec> fusion_options();
std::vector<OptionSpec> step_options();  // how the engine runs its steps
std::vector<OptionSpec> rank_options();
std::vector<OptionSpec> node_options();
std::vector<OptionSpec> expert_options();
std::vector<OptionSpec> overlap_options();
std::vector<OptionSpec> prompt_options();
std::vector<OptionSpec> sampling_options();
std::vector<OptionSpec> eval_options();
std::vector<OptionSpec> heat_options();
std::vector<OptionSpec> bench_options();
std::vector<OptionSpec> layer_options();
std::vector<OptionSpec> kernel_options();
std::vector<OptionSpec> profile_options();
std::vector<OptionSpec> server_options();
std::vector<OptionSpec> report_options();

}  // namespace braid::rows
