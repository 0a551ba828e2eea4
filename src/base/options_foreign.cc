#include "base/options_foreign.h"

namespace braid {
namespace {

constexpr bool kValue = true;  // the name is followed by a value
constexpr bool kFlag = false;

constexpr std::string_view kTp =
    "braid spreads a model over ranks with --tp, --ep and --dp so far.";
constexpr std::string_view kOwnRanks =
    "braid starts its ranks itself: see --cpu-ranks and --nnodes.";
constexpr std::string_view kEp = "Give the number of parts: --ep N.";
constexpr std::string_view kNoDispatch =
    "With --dp every rank gathers all rows in their own type; nothing else is dispatched yet.";
constexpr std::string_view kNoTools =
    "braid serve does not read tool calls or reasoning out of answers yet.";
constexpr std::string_view kNoTls =
    "braid serve speaks HTTP alone: put it behind a proxy, as in deploy/nginx.conf.";
constexpr std::string_view kKernels =
    "braid chooses kernels itself; --explain tells which and why.";
constexpr std::string_view kMemory =
    "braid sizes the KV cache from the free memory, or with --kv-blocks N.";
constexpr std::string_view kFolder = "braid reads it from the model's folder: leave it out.";
constexpr std::string_view kNoDownload =
    "braid downloads nothing: give --model the folder that you want to run.";
constexpr std::string_view kNoSpeculation = "braid has no speculative decoding yet: leave it out.";
constexpr std::string_view kNoLora = "braid has no LoRA adapters: merge them into the checkpoint.";
constexpr std::string_view kNoRadix = "braid keeps no prefix cache yet.";
constexpr std::string_view kRandomOnly =
    "braid bench makes its own requests: use --num-prompts, --input-len and --output-len.";
constexpr std::string_view kHeat =
    "braid eval balance counts which experts are chosen; its windows are --heat-window N steps.";
constexpr std::string_view kOverlap =
    "Overlap across batches is not built yet; --dual-stream and --overlap-chunks are.";

// Another name for an option of braid's.
std::vector<ForeignOption> renamed() {
  return {
      {"max-model-len", kValue, "context-length"},
      {"max-num-seqs", kValue, "max-running-requests"},
      {"max-num-batched-tokens", kValue, "chunked-prefill-size"},
      {"block-size", kValue, "page-size"},
      {"num-gpu-blocks-override", kValue, "kv-blocks"},
      {"hf-overrides", kValue, "json-model-override-args"},
      {"random-seed", kValue, "seed"},
      {"ep-num-redundant-experts", kValue, "redundant-experts"},
      {"init-expert-location", kValue, "expert-placement"},
      {"max-new-tokens", kValue, "max-tokens"},
      {"system-prompt", kValue, "system"},
      {"random-input", kValue, "input-len"},
      {"random-input-len", kValue, "input-len"},
      {"random-output", kValue, "output-len"},
      {"random-output-len", kValue, "output-len"},
      {"num-iters", kValue, "repeats"},
      {"allowed-origins", kValue, "allow-origin"},
  };
}

std::vector<ForeignOption> parallelism() {
  const auto ranks = [](std::string_view name) {
    return ForeignOption{name, kValue, {}, kTp, {"1"}};
  };
  return {
      ranks("pp"),
      ranks("pp-size"),
      ranks("pipeline-parallel-size"),
      {"distributed-executor-backend", kValue, {}, kOwnRanks},
      {"disable-custom-all-reduce", kFlag, {}, kKernels},
      {"enable-ep-moe", kFlag, {}, kEp},
      {"enable-expert-parallel", kFlag, {}, kEp},
      {"enable-eplb", kFlag, {}, "Use braid eval balance --rebalance, then --expert-placement."},
      {"moe-a2a-backend", kValue, {}, kNoDispatch, {"none"}},
      {"deepep-mode", kValue, {}, kNoDispatch},
      {"all2all-backend", kValue, {}, kNoDispatch},
      {"disable-flashinfer-cutlass-moe-fp4-allgather", kFlag, {}, kNoDispatch},
      {"enable-two-batch-overlap", kFlag, {}, kOverlap},
      {"enable-single-batch-overlap", kFlag, {}, kOverlap},
      {"enable-dbo", kFlag, {}, kOverlap},
  };
}

std::vector<ForeignOption> kernels_and_memory() {
  return {
      {"enable-flashinfer-cutlass-moe", kFlag, {}, kKernels},
      {"enable-flashinfer-trtllm-moe", kFlag, {}, kKernels},
      {"moe-runner-backend", kValue, {}, kKernels, {"auto"}},
      {"attention-backend", kValue, {}, kKernels, {"auto"}},
      {"sampling-backend", kValue, {}, kKernels, {"auto"}},
      {"enable-torch-compile", kFlag, {}, kKernels},
      {"compilation-config", kValue, {}, kKernels},
      {"gpu-memory-utilization", kValue, {}, kMemory},
      {"mem-fraction-static", kValue, {}, kMemory},
      {"max-total-tokens", kValue, {}, "Give --kv-blocks: tokens divided by --page-size."},
      {"kv-cache-dtype", kValue, {}, "The KV cache has the type of --dtype.", {"auto"}},
      {"swap-space", kValue, {}, "braid keeps the KV cache in one memory.", {"0"}},
      {"cpu-offload-gb", kValue, {}, "braid keeps the weights in one memory.", {"0"}},
      {"disable-radix-cache", kFlag, {}, kNoRadix, {"true"}},
      {"enable-prefix-caching", kFlag, {}, kNoRadix},
      {"no-enable-prefix-caching", kFlag, {}, kNoRadix, {"true"}},
      {"enable-chunked-prefill", kFlag, {}, "See --chunked-prefill-size.", {"true"}},
      {"schedule-policy", kValue, {}, "Requests run in the order of their arrival.", {"fcfs"}},
  };
}

std::vector<ForeignOption> model_files() {
  return {
      {"quantization",
       kValue,
       {},
       "braid reads the format from quantization_config in config.json: leave it out."},
      {"trust-remote-code",
       kFlag,
       {},
       "braid never runs code from a model's folder: leave it out."},
      {"tokenizer", kValue, {}, kFolder},
      {"tokenizer-path", kValue, {}, kFolder},
      {"tokenizer-mode", kValue, {}, kFolder, {"auto"}},
      {"chat-template", kValue, {}, kFolder},
      {"generation-config", kValue, {}, kFolder, {"auto"}},
      {"revision", kValue, {}, kNoDownload},
      {"tokenizer-revision", kValue, {}, kNoDownload},
      {"download-dir", kValue, {}, kNoDownload},
      {"speculative-algorithm", kValue, {}, kNoSpeculation},
      {"speculative-config", kValue, {}, kNoSpeculation},
      {"speculative-num-steps", kValue, {}, kNoSpeculation},
      {"speculative-num-draft-tokens", kValue, {}, kNoSpeculation},
      {"enable-lora", kFlag, {}, kNoLora},
      {"lora-paths", kValue, {}, kNoLora},
      {"lora-modules", kValue, {}, kNoLora},
  };
}

std::vector<ForeignOption> server_and_bench() {
  constexpr std::string_view one_line = "--json prints the result as one line: redirect it.";
  return {
      {"tool-call-parser", kValue, {}, kNoTools},
      {"reasoning-parser", kValue, {}, kNoTools},
      {"enable-auto-tool-choice", kFlag, {}, kNoTools},
      {"ssl-keyfile", kValue, {}, kNoTls},
      {"ssl-certfile", kValue, {}, kNoTls},
      {"ssl-ca-certs", kValue, {}, kNoTls},
      {"enable-metrics", kFlag, {}, "braid serve always has GET /metrics: leave it out."},
      {"enable-expert-distribution-metrics", kFlag, {}, kHeat},
      {"expert-distribution-recorder-mode", kValue, {}, kHeat},
      {"expert-distribution-recorder-buffer-size", kValue, {}, kHeat},
      {"disable-log-requests", kFlag, {}, "--quiet silences messages."},
      {"disable-log-stats", kFlag, {}, "--quiet silences messages."},
      {"log-level", kValue, {}, "--quiet silences messages; warnings always stay."},
      {"dataset-name", kValue, {}, kRandomOnly, {"random"}},
      {"dataset-path", kValue, {}, kRandomOnly},
      {"random-range-ratio", kValue, {}, "All requests of braid bench are equally long."},
      {"num-iters-warmup", kValue, {}, "braid bench warms up with one run.", {"1"}},
      {"output-json", kValue, {}, one_line},
      {"result-filename", kValue, {}, one_line},
      {"profile", kFlag, {}, "Use braid profile, or --trace FILE."},
  };
}

}  // namespace

std::vector<ForeignOption> foreign_options() {
  std::vector<ForeignOption> all;
  for (auto group : {renamed, parallelism, kernels_and_memory, model_files, server_and_bench}) {
    for (ForeignOption& foreign : group()) all.push_back(std::move(foreign));
  }
  return all;
}

}  // namespace braid
