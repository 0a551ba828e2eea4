#include "steps/schedules.h"

#include <algorithm>
#include <atomic>

#include "flow/compile.h"
#include "flow/trace.h"

namespace braid::steps {
namespace {

std::atomic<int64_t> g_compiled_steps = 0;

// `unsupported` when the device has no kernel for an op. Collectives are left out: they need the
// rank's communicators, which are not there when steps are only planned.
Status find_kernels(const flow::Program& program, const flow::LauncherTable& table) {
  for (const flow::Op& op : program.ops) {
    if (!program.collective_of(op)) TRY(table.find(program, op));
  }
  return {};
}

}  // namespace

int64_t compiled_steps() { return g_compiled_steps.load(); }

double compile_bound_us(int64_t num_layers) {
  return 5000.0 * std::max(1.0, static_cast<double>(num_layers) / 64);
}

layers::DispatchFacts dispatch_facts(const model::ModelConfig& config,
                                     const model::ModelOptions& options, int64_t group) {
  return {.attention = options.layout.attention.sizes,
          .moe = options.layout.moe.sizes,
          .moe_layers = std::count(config.moe_layers.begin(), config.moe_layers.end(), true),
          .top_k = config.moe ? config.moe->top_k : 0,
          .group = group,
          .row_bytes = config.hidden_size * bytes_of(options.dtype),
          .placed = options.placement != nullptr};
}

passes::PassContext pass_context(const model::DecoderModel& model, const layers::StepShape& shape,
                                 const PassOptions& options, passes::Decisions& decisions) {
  const model::ModelOptions& of_model = model.options();
  const layout::Mesh& mesh = of_model.layout.attention;
  return {
      .options = options,
      .residents = model.residents(),
      .decisions = decisions,
      .shape = shape,
      .meshes = model.meshes(),
      .tp = {.ranks = mesh.sizes[1], .rank = mesh.coordinates(of_model.rank)[1]},
      .buffers = {.dispatch_errors = model.state().dispatch_errors, .heat = model.state().heat}};
}

Schedules::Schedules(const model::DecoderModel& model, const flow::LauncherTable& table,
                     PassOptions passes)
    : model_(model), table_(table), passes_(std::move(passes)) {}

std::set<layers::StepShape> largest_shapes(const layers::RowCounts& most, int32_t dp) {
  std::set<layers::StepShape> shapes;
  for (const layers::RowCounts rows :
       {most, layers::RowCounts{most.decode, 0}, layers::RowCounts{0, most.prefill},
        layers::RowCounts{most.decode, 1}, layers::RowCounts{1, most.prefill}}) {
    for (const auto sampling : {layers::Sampling::plain, layers::Sampling::extended}) {
      shapes.insert({.own = rows, .group = rows, .sampling = sampling});
      // With ranks that have rows of their own, another one may have the most at the same time.
      if (dp > 1) shapes.insert({.own = rows, .group = most, .sampling = sampling});
    }
  }
  return shapes;
}

Result<int64_t> Schedules::workspace_bytes() const {
  int64_t bytes = 0;
  for (const layers::StepShape& shape :
       largest_shapes(model_.options().max_rows, model_.limits().dp)) {
    const auto step = TRY(compile(shape));
    TRY(find_kernels(step->schedule.program, table_));
    bytes = std::max({bytes, step->schedule.workspace_bytes, step->readback.workspace_bytes});
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
  g_compiled_steps.fetch_add(1);
  const int64_t start = flow::Trace::now_ns();
  const layers::DispatchFacts facts =
      dispatch_facts(model_.config(), model_.options(), shape.group.total());
  const ops::DispatchKind dispatch =
      layers::choose_dispatch(facts, model_.options().dispatch, passes_.cost, step->decisions);
  const passes::PassContext context = pass_context(model_, shape, passes_, step->decisions);
  flow::Program program = TRY(passes::run_passes(TRY(model_.build(shape, dispatch)), context));
  const flow::ScratchBytes scratch = table_.scratch();
  step->schedule = TRY(flow::compile(std::move(program), scratch, table_.overlaps()));
  const int64_t compiled = flow::Trace::now_ns();
  step->report = TRY(flow::check_schedule(step->schedule));
  step->compile_us = static_cast<double>(compiled - start) / 1e3;
  step->check_us = static_cast<double>(flow::Trace::now_ns() - compiled) / 1e3;
  flow::Program readback = passes::run_read_back_passes({}, context);
  if (readback.ops.empty()) return step;
  step->readback = TRY(flow::compile(std::move(readback), scratch));
  TRY(flow::check_schedule(step->readback));
  return step;
}

}  // namespace braid::steps
