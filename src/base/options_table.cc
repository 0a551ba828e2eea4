#include "base/options_table.h"

#include <charconv>

#include "base/json.h"
#include "base/options_foreign.h"

namespace braid {
namespace {

using Names = std::vector<std::string_view>;

const Names kGenerating = {"generate", "chat"};
const Names kBench = {"bench throughput", "bench latency"};
const Names kVerify = {"verify"};
const Names kLayer = {"bench layer"};
const Names kAll = {"generate",         "chat",          "eval logits", "eval perplexity",
                    "bench throughput", "bench latency", "verify"};
// What has a model and ranks, whether it runs an engine or not.
const Names kModels = {"generate",         "chat",          "eval logits", "eval perplexity",
                       "bench throughput", "bench latency", "verify",      "bench layer"};
constexpr double kMillion = 1e6;

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

// "off", or a number of chunks.
bool is_chunks(std::string_view text) {
  if (text == "off") return true;
  int chunks = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), chunks);
  return code == std::errc() && end == text.data() + text.size() && chunks >= 2 && chunks <= 64;
}

std::vector<CommandSpec> commands() {
  return {
      {"generate", "continue a prompt"},
      {"chat", "talk with a model through its chat template"},
      {"eval logits", "write the logits of given token ids"},
      {"eval perplexity", "perplexity of a text"},
      {"bench throughput", "tokens a second of many requests at once"},
      {"bench latency", "seconds of one batch: median and spread"},
      {"bench layer", "one decoder layer, or a projection and its sum, with and without passes"},
      {"verify", "check schedules for races and deadlocks, and compare with serial execution"},
  };
}

std::vector<OptionSpec> model_options() {
  const auto group = "Model";
  return {
      {.name = "model",
       .type = OptionType::path,
       .group = group,
       .help = "the model's folder, as published",
       .commands = kModels,
       .value_name = "DIR",
       .aliases = {"model-path"},
       .positional = true,
       .required = true},
      {.name = "dtype",
       .type = OptionType::choice,
       .group = group,
       .help = "type of the residual stream and of the weights; auto: float32 on the CPU",
       .commands = kModels,
       .standard = "auto",
       .choices = {"auto", "float32", "bfloat16"}},
      {.name = "load-format",
       .type = OptionType::choice,
       .group = group,
       .help = "auto reads the checkpoint, dummy fills the weights with random numbers",
       .commands = kModels,
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
       .commands = kModels,
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
       .commands = {"bench throughput", "verify"},
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
       .commands = kModels,
       .standard = "0",
       .minimum = 0,
       .maximum = 4294967295.0},
      {.name = "dual-stream",
       .type = OptionType::choice,
       .group = group,
       .help = "run each shared expert beside the routed experts",
       .commands = kAll,
       .standard = "auto",
       .choices = {"auto", "on", "off"}},
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

std::vector<OptionSpec> rank_options() {
  const auto group = "Ranks";
  return {
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
       .commands = kAll,
       .standard = "1",
       .minimum = 1,
       .maximum = 64,
       .aliases = {"dp-size", "data-parallel-size"}},
      {.name = "enable-dp-attention",
       .type = OptionType::flag,
       .group = group,
       .help = "let --tp count all ranks: each group of --dp has tp / dp of them",
       .commands = kAll},
      {.name = "overlap-chunks",
       .group = group,
       .help = "cut each reduction into chunks of rows that run beside what makes the next rows",
       .commands = kAll,
       .value_name = "N",
       .standard = "off",
       .accepts = is_chunks,
       .syntax = "off, or a number of chunks from 2 to 64"},
      {.name = "step-timeout",
       .type = OptionType::integer,
       .group = group,
       .help = "seconds that a rank waits for another one before the step fails",
       .commands = kModels,
       .standard = "300",
       .minimum = 1,
       .maximum = 86400},
  };
}

std::vector<OptionSpec> sampling_options() {
  const auto group = "Prompt and sampling";
  return {
      {.name = "prompt",
       .group = group,
       .help = "the text to continue; standard input if neither it nor --prompt-file is given",
       .commands = {"generate"}},
      {.name = "prompt-file",
       .type = OptionType::path,
       .group = group,
       .help = "file with the text to continue, taken as it is",
       .commands = {"generate"},
       .value_name = "FILE"},
      {.name = "system",
       .group = group,
       .help = "system message at the start of the conversation",
       .commands = {"chat"}},
      {.name = "max-tokens",
       .type = OptionType::integer,
       .group = group,
       .help = "most tokens of an answer, or of the text to score; if not given, as many as the "
               "context holds (generate: at most 256), or the whole text",
       .commands = {"generate", "chat", "eval perplexity"},
       .minimum = 1,
       .maximum = 16 * kMillion},
      {.name = "temperature",
       .type = OptionType::number,
       .group = group,
       .help = "0 takes the likeliest token; generation_config.json's if not given",
       .commands = kGenerating,
       .minimum = 0,
       .maximum = 100},
      {.name = "top-p",
       .type = OptionType::number,
       .group = group,
       .help = "sample from the likeliest tokens of this total probability; "
               "generation_config.json's if not given",
       .commands = kGenerating,
       .minimum = 0.0001,
       .maximum = 1},
      {.name = "top-k",
       .type = OptionType::integer,
       .group = group,
       .help = "sample from this many of the likeliest tokens, 0 from all; "
               "generation_config.json's if not given",
       .commands = kGenerating,
       .minimum = 0,
       .maximum = kMillion},
      {.name = "stop",
       .group = group,
       .help = "end the answer before this text",
       .commands = kGenerating,
       .repeatable = true},
  };
}

std::vector<OptionSpec> eval_options() {
  const auto group = "Evaluation and verification";
  return {
      {.name = "input-ids",
       .type = OptionType::path,
       .group = group,
       .help = "JSON file with an array of token ids",
       .commands = {"eval logits"},
       .value_name = "FILE",
       .required = true},
      {.name = "output",
       .type = OptionType::path,
       .group = group,
       .help = "safetensors file to write",
       .commands = {"eval logits"},
       .value_name = "FILE",
       .required = true},
      {.name = "with-routing",
       .type = OptionType::flag,
       .group = group,
       .help = "write each layer's expert ids and weights too",
       .commands = {"eval logits"}},
      {.name = "force-routing",
       .type = OptionType::path,
       .group = group,
       .help = "take the experts' ids from this safetensors file instead of the routers",
       .commands = {"eval logits"},
       .value_name = "FILE"},
      {.name = "text",
       .type = OptionType::path,
       .group = group,
       .help = "text file to score",
       .commands = {"eval perplexity"},
       .value_name = "FILE",
       .required = true},
      {.name = "window",
       .type = OptionType::integer,
       .group = group,
       .help = "tokens of each independent piece of the text",
       .commands = {"eval perplexity"},
       .standard = "512",
       .minimum = 2,
       .maximum = kMillion},
      {.name = "delays",
       .type = OptionType::integer,
       .group = group,
       .help =
           "runs with random delays before every operation, each compared with serial execution",
       .commands = kVerify,
       .standard = "0",
       .minimum = 0,
       .maximum = kMillion},
  };
}

std::vector<OptionSpec> bench_options() {
  const auto group = "Benchmark";
  return {
      {.name = "num-prompts",
       .type = OptionType::integer,
       .group = group,
       .help = "number of requests",
       .commands = {"bench throughput"},
       .standard = "64",
       .minimum = 1,
       .maximum = kMillion},
      {.name = "batch-size",
       .type = OptionType::integer,
       .group = group,
       .help = "requests of the batch",
       .commands = {"bench latency"},
       .standard = "1",
       .minimum = 1,
       .maximum = 65536},
      {.name = "input-len",
       .type = OptionType::integer,
       .group = group,
       .help = "tokens of each prompt",
       .commands = kBench,
       .standard = "512",
       .minimum = 1,
       .maximum = 16 * kMillion},
      {.name = "output-len",
       .type = OptionType::integer,
       .group = group,
       .help = "tokens of each answer",
       .commands = kBench,
       .standard = "128",
       .minimum = 1,
       .maximum = 16 * kMillion},
      {.name = "repeats",
       .type = OptionType::integer,
       .group = group,
       .help = "measured runs, after one to warm up",
       .commands = {"bench latency"},
       .standard = "10",
       .minimum = 1,
       .maximum = kMillion},
  };
}

std::vector<OptionSpec> layer_options() {
  const auto group = "Benchmark of a layer";
  return {
      {.name = "device",
       .type = OptionType::choice,
       .group = group,
       .help = "what runs it",
       .commands = kLayer,
       .standard = "cpu",
       .choices = {"cpu", "cuda"}},
      {.name = "part",
       .type = OptionType::choice,
       .group = group,
       .help = "the first decoder layer, or one of its projections with the sum over ranks",
       .commands = kLayer,
       .standard = "layer",
       .choices = {"layer", "o_proj", "down"}},
      {.name = "tokens",
       .group = group,
       .help = "rows of the steps to measure",
       .commands = kLayer,
       .value_name = "N,N,...",
       .standard = "1,8,128"},
      {.name = "context",
       .type = OptionType::integer,
       .group = group,
       .help = "tokens in the cache of each decode row; 0: prefill rows",
       .commands = kLayer,
       .standard = "0",
       .minimum = 0,
       .maximum = kMillion},
      {.name = "chunks",
       .group = group,
       .help = "numbers of chunks to compare, where there are several ranks",
       .commands = kLayer,
       .value_name = "N,N,...",
       .standard = "2,4,8,16"},
      {.name = "rounds",
       .type = OptionType::integer,
       .group = group,
       .help = "how often each variant is measured, in a random order",
       .commands = kLayer,
       .standard = "30",
       .minimum = 1,
       .maximum = kMillion},
      {.name = "check",
       .type = OptionType::flag,
       .group = group,
       .help =
           "first compare all variants bitwise, replays with eager runs, and up to 128 rows with "
           "float32 on the CPU; audit what the ops of a small layer touch",
       .commands = kLayer},
      {.name = "dump",
       .type = OptionType::path,
       .group = group,
       .help = "write input, output and experts of each step to DIR/layer_N.safetensors, for "
               "tools/reference_layer.py",
       .commands = kLayer,
       .value_name = "DIR"},
      {.name = "inject-fault",
       .group = group,
       .help = "let a rank die (kill), an op hang or be skipped: how the others end",
       .commands = kLayer,
       .value_name = "KIND:RANK:STEP:OP"},
  };
}

std::vector<OptionSpec> report_options() {
  const auto group = "Reports";
  return {
      {.name = "trace",
       .type = OptionType::path,
       .group = group,
       .help = "write what ran when on which lane, for chrome://tracing or Perfetto",
       .commands = kModels,
       .value_name = "FILE"},
      {.name = "explain",
       .type = OptionType::flag,
       .group = group,
       .help = "print each option's value and origin, and every automatic choice with its reason",
       .commands = kModels},
      {.name = "json",
       .type = OptionType::flag,
       .group = group,
       .help = "print the result as one line of JSON",
       .commands = kModels},
      {.name = "quiet",
       .type = OptionType::flag,
       .group = group,
       .help = "no messages about stages and progress; warnings stay",
       .commands = kModels},
      {.name = "config",
       .type = OptionType::path,
       .group = group,
       .help = "JSON object with values of options",
       .commands = kModels,
       .value_name = "FILE"},
  };
}

}  // namespace

const OptionTable& braid_options() {
  static const OptionTable table = [] {
    std::vector<OptionSpec> rows;
    for (auto group : {model_options, engine_options, rank_options, sampling_options, eval_options,
                       bench_options, layer_options, report_options}) {
      for (OptionSpec& row : group()) rows.push_back(std::move(row));
    }
    return OptionTable(commands(), std::move(rows), foreign_options());
  }();
  return table;
}

}  // namespace braid
