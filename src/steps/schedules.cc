#include "steps/schedules.h"

#include <algorithm>

#include "flow/compile.h"
#include "flow/trace.h"

namespace braid::steps {

passes::Members members_of(const model::ModelOptions& options) {
  const layout::Mesh& mesh = options.layout.attention;
  return {.count = mesh.sizes[1], .index = mesh.coordinates(options.rank)[1]};
}

passes::DispatchFacts dispatch_facts(const model::ModelConfig& config,
                                     const model::ModelOptions& options, int64_t group) {
  return {.attention = options.layout.attention.sizes,
          .moe = options.layout.moe.sizes,
          .top_k = config.moe ? config.moe->top_k : 0,
          .group = group,
          .row_bytes = config.hidden_size * bytes_of(options.dtype),
          .placed = options.placement != nullptr};
}

Result<flow::Program> apply_passes(flow::Program program, const model::DecoderModel& model,
                                   const layers::StepShape& shape, const PassOptions& options,
                                   passes::Decisions& why) {
  program = TRY(passes::quantize_dispatch(
      std::move(program), {model.residents(), model.meshes(), model.state().dispatch_errors},
      options.quantize_dispatch, why));
  program =
      TRY(passes::dual_stream(std::move(program), shape.own.total(), options.dual_stream, why));
  passes::ChunkOptions chunks = options.chunks;
  chunks.members = members_of(model.options());
  program = TRY(passes::chunk_collectives(std::move(program), chunks, why));
  const bool counts = passes::counts_heat(options.heat, model.config().has_moe_layer());
  return passes::count_heat(std::move(program), model.residents(),
                            counts ? model.state().heat : passes::HeatBuffers(), shape.own,
                            options.heat, why);
}

Schedules::Schedules(const model::DecoderModel& model, const flow::LauncherTable& table,
                     PassOptions passes)
    : model_(model), table_(table), passes_(std::move(passes)) {}

Result<int64_t> Schedules::workspace_bytes() const {
  const layers::RowCounts most = model_.options().max_rows;
  int64_t bytes = 0;
  for (const layers::RowCounts rows :
       {most, layers::RowCounts{most.decode, 0}, layers::RowCounts{0, most.prefill},
        layers::RowCounts{most.decode, 1}, layers::RowCounts{1, most.prefill}}) {
    // With ranks that have rows of their own, another one may have the most at the same time.
    for (const layers::RowCounts group : {rows, most}) {
      const auto step = TRY(compile({rows, group}));
      bytes = std::max({bytes, step->schedule.workspace_bytes, step->readback.workspace_bytes});
      if (model_.limits().dp == 1) break;
    }
  }
  return bytes;
}

void Schedules::bind_to(std::byte* arena, int64_t arena_bytes) {
  arena_ = arena;
  arena_bytes_ = arena_bytes;
}

Result<const CompiledStep*> Schedules::get(const layers::StepShape& shape) {
  const auto found = steps_.find(shape);
  if (found != steps_.end()) return static_cast<const CompiledStep*>(found->second.get());
  std::unique_ptr<CompiledStep> step = TRY(compile(shape));
  if (step->schedule.workspace_bytes > arena_bytes_) {
    return Error(ErrorKind::internal, "a step needs more workspace than was planned")
        .with("shape", shape.to_string())
        .with("bytes", step->schedule.workspace_bytes)
        .with("planned", arena_bytes_);
  }
  step->bound = TRY(flow::bind(step->schedule, table_, model_.residents(), arena_));
  if (step->has_readback()) {
    step->bound_readback = TRY(flow::bind(step->readback, table_, model_.residents(), arena_));
  }
  return static_cast<const CompiledStep*>((steps_[shape] = std::move(step)).get());
}

Result<std::unique_ptr<CompiledStep>> Schedules::compile(const layers::StepShape& shape) const {
  auto step = std::make_unique<CompiledStep>();
  const int64_t start = flow::Trace::now_ns();
  const passes::DispatchFacts facts =
      dispatch_facts(model_.config(), model_.options(), shape.group.total());
  flow::Program program =
      TRY(model_.build(shape, passes::choose_dispatch(facts, passes_.dispatch, step->decisions)));
  program = TRY(apply_passes(std::move(program), model_, shape, passes_, step->decisions));
  const flow::ScratchBytes scratch = table_.scratch();
  step->schedule = TRY(flow::compile(std::move(program), scratch));
  const int64_t compiled = flow::Trace::now_ns();
  step->report = TRY(flow::check_schedule(step->schedule));
  step->compile_us = static_cast<double>(compiled - start) / 1e3;
  step->check_us = static_cast<double>(flow::Trace::now_ns() - compiled) / 1e3;
  flow::Program readback = passes::read_back_heat({}, model_.residents(), model_.state().heat);
  if (readback.ops.empty()) return step;
  step->readback = TRY(flow::compile(std::move(readback), scratch));
  TRY(flow::check_schedule(step->readback));
  return step;
}

}  // namespace braid::steps
