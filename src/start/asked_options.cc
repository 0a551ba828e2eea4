#include "start/asked_options.h"

#include "base/json.h"
#include "start/rank_setting.h"

namespace braid::start {
namespace {

int32_t small(const ParsedOptions& options, std::string_view name) {
  return static_cast<int32_t>(options.integer(name));
}

// What the options say about the ranks' model.
Result<model::ModelOptions> model_options(const ParsedOptions& options) {
  model::ModelOptions model;
  if (options.has("expert-placement")) {
    model.placement = std::make_shared<const experts::ExpertPlacement>(
        TRY(experts::ExpertPlacement::load(options.text("expert-placement"))));
  }
  model.dtype = TRY(dtype_of(options));
  model.dispatch = TRY(layers::parse_dispatch("--dispatch", options.text("dispatch")));
  if (options.has("routing")) {
    const std::string& routing = options.text("routing");
    const bool balanced = routing == "balanced";
    model.choice = balanced ? kernels::Choice::balanced : kernels::Choice::zipf;
    if (!balanced) model.zipf_exponent = zipf_exponent(routing);
  }
  return model;
}

Result<ranks::WorkerOptions> worker_options(const ParsedOptions& options) {
  ranks::WorkerOptions worker;
  worker.device = device_of(options);
  worker.model = TRY(model_options(options));
  worker.step_timeout = step_timeout_of(options);
  worker.link = TRY(link_of(options));
  // What a fault hits is an op that is launched.
  const bool captures = worker.device == ranks::DeviceKind::cuda &&
                        !options.flag("disable-cuda-graph") && !options.has("inject-fault");
  if (captures) worker.max_captured_rows = small(options, "cuda-graph-max-bs");
  worker.overlap_kernels = options.text("pdl") != "off";
  if (options.has("inject-fault")) {
    const FaultRequest request = TRY(parse_fault(options.text("inject-fault")));
    worker.fault = request.fault;
    worker.fault_rank = request.rank;
  }
  worker.passes = TRY(passes::parse_passes(options));
  worker.passes.cost = TRY(profile_of(
      options,
      worker.device == ranks::DeviceKind::cuda ? cost::h100_profile() : cost::cpu_profile(),
      worker.link));
  return worker;
}

}  // namespace

Result<EngineOptions> asked_options(const ParsedOptions& options) {
  EngineOptions asked;
  asked.worker = TRY(worker_options(options));
  asked.layout = TRY(layout_of(options));
  if (options.has("redundant-experts")) {
    asked.redundant_experts = small(options, "redundant-experts");
  }
  if (options.has("context-length")) asked.context_length = small(options, "context-length");
  if (options.has("kv-blocks")) asked.num_blocks = small(options, "kv-blocks");
  asked.chunked_prefill_size = small(options, "chunked-prefill-size");
  asked.page_size = small(options, "page-size");
  asked.run_ahead = !options.flag("disable-overlap-schedule");
  return asked;
}

Result<model::ModelConfig> asked_model(const ParsedOptions& options) {
  constexpr const char* kOverrides = "json-model-override-args";
  return model::load_config(options.text("model"),
                            options.has(kOverrides) ? options.text(kOverrides) : "");
}

Result<cost::DeviceProfile> profile_of(const ParsedOptions& options, cost::DeviceProfile standard,
                                       const std::optional<LinkSpeed>& link) {
  if (options.has("tuning")) {
    const std::string& file = options.text("tuning");
    standard = TRY(cost::parse_profile(TRY(read_file(file)), file));
  }
  return link ? cost::with_link(std::move(standard), *link) : standard;
}

double zipf_exponent(const std::string& routing) {
  return std::strtod(routing.c_str() + routing.find(':') + 1, nullptr);
}

}  // namespace braid::start
