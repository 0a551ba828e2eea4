// What is run, and on what: model, engine, ranks.
#include <charconv>

#include "base/json.h"
#include "base/link_speed.h"
#include "base/options_rows.h"

namespace braid::rows {
namespace {

bool is_json_object(std::string_view text) {
  const auto json = parse_json(text, "option");
  return json.ok() && json->is_object();
}

// "balanced", or "zipf:S" with a decimal S > 0.
bool is_routing(std::string_view text) {
  if (text == "balanced") return true;
  if (!text.starts_with("zipf:")) return false;
  text.remove_prefix(5);
  double exponent = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), exponent);
  return code == std::errc() && end == text.data() + text.size() && exponent > 0 && exponent <= 100;
}

// "auto", "off", or a number of chunks.
bool is_chunks(std::string_view text) {
  if (text == "auto" || text == "off") return true;
  int chunks = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), chunks);
  return code == std::errc() && end == text.data() + text.size() && chunks >= 2 && chunks <= 64;
}

bool is_secret(std::string_view text) { return text.size() >= 16; }

bool is_link(std::string_view text) { return parse_link_speed("emulate-link", text).ok(); }

}  // namespace

std::vector<OptionSpec> model_options() {
  const auto group = "Model";
  return {
      {.name = "model",
       .type = OptionType::path,
       .group = group,
       .help = "the model's folder, as published",
       .commands = kWeights,
       .value_name = "DIR",
       .aliases = {"model-path"},
       .positional = true,
       .required = true},
      {.name = "dtype",
       .type = OptionType::choice,
       .group = group,
       .help = "type of the residual stream and of the weights; auto: float32 on the CPU, "
               "bfloat16 on GPUs",
       .commands = kReporting,
       .standard = "auto",
       .choices = {"auto", "float32", "bfloat16"}},
      {.name = "load-format",
       .type = OptionType::choice,
       .group = group,
       .help = "auto reads the checkpoint, dummy fills the weights with random numbers",
       .commands = kWeights,
       .standard = "auto",
       .choices = {"auto", "dummy"}},
      {.name = "routing",
       .group = group,
       .help = "how tokens spread over experts",
       .commands = kModels,
       .value_name = "HOW",
       .accepts = is_routing,
       .syntax = "balanced or zipf:S with 0 < S <= 100",
       .only_with = {"load-format", "dummy"}},
      {.name = "json-model-override-args",
       .group = group,
       .help = "keys that replace those of config.json",
       .commands = kWeights,
       .value_name = "JSON",
       .accepts = is_json_object,
       .syntax = "a JSON object"},
      {.name = "check-weights",
       .type = OptionType::flag,
       .group = group,
       .help = "look for NaN and infinity in every weight while loading",
       .commands = kAll},
  };
}

std::vector<OptionSpec> engine_options() {
  const auto group = "Engine";
  return {
      {.name = "context-length",
       .type = OptionType::integer,
       .group = group,
       .help = "most tokens of a request, prompt and answer; the model's own limit if not given",
       .commands = kAll,
       .minimum = 1,
       .maximum = 16 * kMillion},
      {.name = "page-size",
       .type = OptionType::integer,
       .group = group,
       .help = "tokens of a KV block",
       .commands = kAll,
       .standard = "16",
       .minimum = 1,
       .maximum = 1024},
      {.name = "chunked-prefill-size",
       .type = OptionType::integer,
       .group = group,
       .help = "most rows of prompts in one step",
       .commands = kAll,
       .standard = "2048",
       .minimum = 1,
       .maximum = kMillion},
      {.name = "max-running-requests",
       .type = OptionType::integer,
       .group = group,
       .help = "most requests in one step",
       .commands = {"bench throughput", "verify", "eval balance", "serve"},
       .standard = "64",
       .minimum = 1,
       .maximum = 65536},
      {.name = "kv-blocks",
       .type = OptionType::integer,
       .group = group,
       .help = "KV blocks to allocate; from the free memory if not given",
       .commands = kAll,
       .minimum = 1,
       .maximum = 100 * kMillion},
      {.name = "seed",
       .type = OptionType::integer,
       .group = group,
       .help = "seed of sampling and of dummy weights and requests",
       .commands = kReporting,
       .standard = "0",
       .minimum = 0,
       .maximum = 4294967295.0},
      {.name = "dual-stream",
       .type = OptionType::choice,
       .group = group,
       .help = "run each shared expert beside the routed experts, or fused: as one more of them",
       .commands = kAll,
       .standard = "auto",
       .choices = {"auto", "on", "off", "fused"}},
      {.name = "dual-stream-max-tokens",
       .type = OptionType::integer,
       .group = group,
       .help = "no dual stream in steps of more rows",
       .commands = kAll,
       .standard = "256",
       .minimum = 0,
       .maximum = kMillion},
  };
}

std::vector<OptionSpec> fusion_options() {
  const auto group = "Engine";
  return {
      {.name = "fuse-experts",
       .type = OptionType::choice,
       .group = group,
       .help = "combine the experts' results and add the residual where their product is made",
       .commands = kAll,
       .standard = "auto",
       .choices = {"auto", "on", "off"}},
      {.name = "fuse-norm",
       .type = OptionType::choice,
       .group = group,
       .help = "let norms and sums of rows be parts of the operations beside them",
       .commands = kAll,
       .standard = "auto",
       .choices = {"auto", "on", "off"}},
      {.name = "fuse-route",
       .type = OptionType::choice,
       .group = group,
       .help = "norm, router, routing and the experts' lists of rows in one operation",
       .commands = kAll,
       .standard = "auto",
       .choices = {"auto", "on", "off"}},
      {.name = "fuse-attention",
       .type = OptionType::choice,
       .group = group,
       .help = "one op for attention and all before it behind the product, in decode steps",
       .commands = kAll,
       .standard = "auto",
       .choices = {"auto", "on", "off"}},
  };
}

std::vector<OptionSpec> step_options() {
  const auto group = "Engine";
  return {
      {.name = "disable-cuda-graph",
       .type = OptionType::flag,
       .group = group,
       .help = "run decode steps operation by operation, not as captured graphs",
       .commands = kAll,
       .aliases = {"enforce-eager"}},
      {.name = "cuda-graph-max-bs",
       .type = OptionType::integer,
       .group = group,
       .help = "most rows of a decode step that is captured as a graph",
       .commands = kAll,
       .standard = "256",
       .minimum = 1,
       .maximum = 65536},
      {.name = "pdl",
       .type = OptionType::choice,
       .group = group,
       .help = "launch a kernel of a captured step while the one before it still runs, wherever it "
               "awaits that one's end itself (programmatic dependent launch); auto: on GPUs",
       .commands = kDevices,
       .standard = "auto",
       .choices = {"auto", "off"}},
      {.name = "disable-overlap-schedule",
       .type = OptionType::flag,
       .group = group,
       .help = "plan a step only when all tokens of the one before it are known",
       .commands = {"generate", "chat", "bench throughput", "bench latency"}},
  };
}

std::vector<OptionSpec> rank_options() {
  const auto group = "Ranks";
  return {
      {.name = "device",
       .type = OptionType::choice,
       .group = group,
       .help = "what a rank runs on; auto: the CPU; bench techniques: GPUs where there are two",
       .commands = plus(kDevices, "bench techniques"),
       .standard = "auto",
       .choices = {"auto", "cpu", "cuda"}},
      {.name = "tp",
       .type = OptionType::integer,
       .group = group,
       .help = "ranks that share every layer: attention by heads, MLPs by width",
       .commands = kModels,
       .standard = "1",
       .minimum = 1,
       .maximum = 1024,
       .aliases = {"tp-size", "tensor-parallel-size"}},
      {.name = "ep",
       .type = OptionType::integer,
       .group = group,
       .help = "parts that the experts are dealt out in; if not given 1, with --dp one a rank",
       .commands = kModels,
       .minimum = 1,
       .maximum = 1024,
       .aliases = {"ep-size", "expert-parallel-size"}},
      {.name = "dp",
       .type = OptionType::integer,
       .group = group,
       .help = "groups of --tp ranks that have different requests, and the experts in common",
       .commands = kModels,
       .standard = "1",
       .minimum = 1,
       .maximum = 64,
       .aliases = {"dp-size", "data-parallel-size"}},
      {.name = "enable-dp-attention",
       .type = OptionType::flag,
       .group = group,
       .help = "let --tp count all ranks: each group of --dp has tp / dp of them",
       .commands = kAll},
      {.name = "emulate-link",
       .group = group,
       .help = "let collectives on the CPU last as long as they would over links of this speed",
       .commands = kWeights,
       .value_name = "RATE,LATENCY",
       .accepts = is_link,
       .syntax = "a rate from 1MB/s to 10000GB/s and a latency up to 1000ms, as in 20GB/s,10us"},
      {.name = "step-timeout",
       .type = OptionType::integer,
       .group = group,
       .help = "seconds that a rank waits for another one before the step fails; if not given 300, "
               "on GPUs 30",
       .commands = kModels,
       .minimum = 1,
       .maximum = 86400},
  };
}

std::vector<OptionSpec> expert_options() {
  const auto group = "Experts on several ranks";
  return {
      {.name = "dispatch",
       .type = OptionType::choice,
       .group = group,
       .help = "how rows get to other ranks' experts with --dp: all of them to all ranks (gather), "
               "or each to the ranks of its experts (all-to-all); auto: the predicted faster one",
       .commands = kAll,
       .standard = "auto",
       .choices = {"auto", "gather", "all-to-all"}},
      {.name = "dispatch-dtype",
       .type = OptionType::choice,
       .group = group,
       .help = "format of rows on their way to other ranks' experts with --dp; unquantized: as "
               "--dtype; auto: fp8 where it is predicted to be faster",
       .commands = kAll,
       .standard = "auto",
       .choices = {"auto", "unquantized", "fp8", "nvfp4"}},
      {.name = "redundant-experts",
       .type = OptionType::integer,
       .group = group,
       .help = "slots for replicas of experts, on all ranks of --ep together",
       .commands = kAll,
       .minimum = 0,
       .maximum = kMillion},
      {.name = "expert-placement",
       .type = OptionType::path,
       .group = group,
       .help = "which expert lies in which slot; if not given each rank has its share of them",
       .commands = kAll,
       .value_name = "FILE.json"},
  };
}

std::vector<OptionSpec> overlap_options() {
  const auto group = "Overlap";
  return {
      {.name = "overlap-chunks",
       .group = group,
       .help = "cut each reduction into chunks of rows that run beside what makes the next rows",
       .commands = kAll,
       .value_name = "N",
       .standard = "auto",
       .accepts = is_chunks,
       .syntax = "auto, off, or a number of chunks from 2 to 64"},
      {.name = "overlap-continuation",
       .type = OptionType::choice,
       .group = group,
       .help = "cut what follows a reduction into the same chunks; add residuals and normalise "
               "each row on one rank",
       .commands = kAll,
       .standard = "on",
       .choices = {"on", "off"}},
      {.name = "overlap-min-tokens",
       .type = OptionType::integer,
       .group = group,
       .help = "--overlap-chunks auto cuts nothing in steps of fewer rows",
       .commands = kAll,
       .standard = "256",
       .minimum = 0,
       .maximum = kMillion},
      {.name = "tuning",
       .type = OptionType::path,
       .group = group,
       .help = "the device profile that predictions are made from, as in tuning/cpu.json; if not "
               "given a compiled-in one",
       .commands = kDevices,
       .value_name = "FILE"},
  };
}

std::vector<OptionSpec> node_options() {
  const auto group = "Ranks";
  return {
      {.name = "cpu-ranks",
       .type = OptionType::choice,
       .group = group,
       .help = "what the ranks of one host are on the CPU; on GPUs and several hosts processes",
       .commands = kRanked,
       .standard = "thread",
       .choices = {"thread", "process"}},
      {.name = "nnodes",
       .type = OptionType::integer,
       .group = group,
       .help = "hosts that the ranks are dealt out to; braid is started on each, with the same "
               "options",
       .commands = kRanked,
       .standard = "1",
       .minimum = 1,
       .maximum = 1024},
      {.name = "node-rank",
       .type = OptionType::integer,
       .group = group,
       .help = "which of the --nnodes this is; 0 runs the command",
       .commands = kRanked,
       .standard = "0",
       .minimum = 0,
       .maximum = 1023},
      {.name = "dist-init-addr",
       .group = group,
       .help = "where the ranks of several hosts meet, on the host of rank 0",
       .commands = kRanked,
       .value_name = "HOST:PORT"},
      {.name = "job-secret",
       .group = group,
       .help = "what the hosts of a job prove to one another, at least 16 characters; if not given "
               "the first host leaves one in a home folder that they share (others of a host can "
               "see a command's options: the variable and the file are safer)",
       .commands = kRanked,
       .value_name = "TEXT",
       .secret = true,
       .accepts = is_secret,
       .syntax = "at least 16 characters"},
      {.name = "job-secret-file",
       .type = OptionType::path,
       .group = group,
       .help = "a file with --job-secret",
       .commands = kRanked,
       .value_name = "FILE"},
  };
}

}  // namespace braid::rows
