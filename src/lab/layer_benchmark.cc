#include "lab/layer_benchmark.h"

#include "base/output_file.h"
#include "lab/layer_variants.h"
#include "lab/layer_world.h"
#include "model/dummy_source.h"
#include "model/rounded_source.h"
#include "model/safetensors.h"
#include "passes/chunk_collectives.h"
#include "passes/dual_stream.h"
#include "passes/fuse_shared_expert.h"
#include "steps/schedules.h"

namespace braid::lab {
namespace {

using ops::ReduceMethod;

// The most rows for which the CPU computes the same in float32, so that --check ends soon.
constexpr int32_t kMostReferenceRows = 128;
// The error of bfloat16 against float32: rounding activations makes up to 1.1e-2 on the CPU; each
// of the two additions to the residual stream rounds all of that by up to 2⁻⁹.
constexpr double kErrorBound = 1.5e-2;
constexpr double kResidualRounding = 0x1p-8;
constexpr int64_t kReplays = 100;
constexpr int64_t kDelayedRuns = 20;

class Bench {
 public:
  Bench(const LayerSetting& setting, comm::ControlPlane& control, LayerReport& report)
      : setting_(setting), control_(control), report_(report), source_(setting.seed) {}

  Status run() {
    TRY(open());
    std::vector<std::vector<TimedVariant>> of_steps;
    for (const LayerRows& step : setting_.all_steps()) of_steps.push_back(TRY(add_variants(step)));
    TRY(line(fmt::format("{} pairs of accesses proven ordered, {} meetings of ranks agreed",
                         world_->proven().pairs, world_->proven().collectives)));
    TRY(world_->allocate(source_));
    std::vector<Recorded> recorded;
    if (setting_.check) {
      for (const auto& variants : of_steps) recorded.push_back(TRY(check_eagerly(variants)));
    }
    TRY(world_->capture());
    for (size_t i = 0; i < of_steps.size(); ++i) {
      set_rows(rows_of(of_steps[i]));
      if (setting_.check) TRY(check_captured(of_steps[i], recorded[i]));
      if (i >= setting_.steps.size()) continue;
      set_rows(rows_of(of_steps[i]));  // all of them again
      if (!setting_.dump.empty()) TRY(dump(of_steps[i].front().index));
      TRY(time(of_steps[i]));
      if (!setting_.trace.empty()) TRY(trace(of_steps[i]));
    }
    TRY(write_trace());
    return control_.barrier();
  }

 private:
  bool first() const { return control_.rank() == 0; }
  int32_t num_groups() const { return setting_.layout.attention.sizes[0]; }
  // The one rank of each group that is compared with the reference.
  bool leads(const LayerRank& rank) const {
    const model::ModelOptions& options = rank.model().options();
    return options.layout.attention.coordinates(options.rank)[1] == 0;
  }

  Status line(const std::string& text) { return first() ? report_.line(text) : Status(); }

  model::ModelOptions model_options(Format dtype) const {
    return {.dtype = dtype,
            .probes = {.hidden = keeps_output(), .force_routing = forces()},
            .choice = setting_.choice,
            .zipf_exponent = setting_.zipf_exponent};
  }
  bool keeps_output() const { return setting_.check || !setting_.dump.empty(); }
  bool forces() const {
    return keeps_output() && setting_.part == Part::layer && setting_.config.is_moe(0);
  }

  Status open() {
    world_ = TRY(LayerWorld::open(
        setting_.config,
        {.layout = setting_.layout,
         .model = model_options(setting_.dtype),
         .part = setting_.part,
         .steps = setting_.all_steps(),
         .device = setting_.cuda ? ranks::DeviceKind::cuda : ranks::DeviceKind::cpu,
         .backend = setting_.backend,
         .fault_rank = setting_.fault_rank,
         .link = setting_.link},
        control_));
    for (const LayerRank* rank : locals()) {
      traces_.push_back(std::make_unique<flow::Trace>(rank->model().options().rank));
    }
    return {};
  }

  // Its index is the same on all ranks.
  Status add(const std::string& name, VariantRole role, const LayerRows& rows,
             const LayerWorld::Rewrite& rewrite, std::vector<TimedVariant>& variants,
             bool overlap_kernels = true) {
    variants.push_back({TRY(world_->add(name, rows, rewrite, overlap_kernels)), role});
    return {};
  }

  Result<std::vector<TimedVariant>> add_variants(const LayerRows& rows) {
    using flow::Program;
    std::vector<TimedVariant> variants;
    const auto plain = [](LayerRank&, Program program) -> Result<Program> { return program; };
    TRY(add("serial", VariantRole::serial, rows, plain, variants));
    TRY(add("serial again", VariantRole::again, rows, plain, variants));
    if (setting_.cuda && setting_.backend.overlap_kernels) {
      TRY(add("plain launches", VariantRole::passes, rows, plain, variants, false));
    }
    const flow::Program serial = TRY(world_->rank(0).part().build(rows.shape(0)));
    if (!serial.scopes(flow::Role::shared_expert).empty()) {
      const auto two_lanes = [&](LayerRank& rank, Program program) -> Result<Program> {
        passes::Decisions why;
        const passes::PassOptions options;
        const auto shape = rows.shape(rank.group());
        return passes::dual_stream(std::move(program), {.mode = passes::Switch::on},
                                   steps::pass_context(rank.model(), shape, options, why));
      };
      TRY(add("dual_stream", VariantRole::passes, rows, two_lanes, variants));
      const auto fused = [](LayerRank&, const Program& program) {
        int rewrites = 0;
        return passes::fuse_shared_expert(program, rewrites);
      };
      if (passes::why_not_fused(serial).empty()) {
        TRY(add("fused slot", VariantRole::rounded, rows, fused, variants));
      }
    }
    const auto facts = steps::dispatch_facts(setting_.config, world_->rank(0).model().options(), 0);
    if (layers::check_dispatch(facts, layers::DispatchChoice::all_to_all).ok()) {
      const auto sent = [&](LayerRank& rank, const Program&) {
        return rank.part().build(rows.shape(rank.group()), ops::DispatchKind::all_to_all);
      };
      TRY(add("all-to-all", VariantRole::passes, rows, sent, variants));
    }
    if (setting_.layout.world == 1 && setting_.part == Part::layer) {
      TRY(add_all_passes(rows, variants));
    }
    if (num_collectives(serial) == 0) return variants;
    const auto without = [](LayerRank&, const Program& program) {
      return without_collectives(program);
    };
    // Without the gather of other groups' rows there is nothing to compute on.
    if (num_groups() == 1) TRY(add("compute alone", VariantRole::compute, rows, without, variants));
    for (const ReduceMethod method : methods()) TRY(add_method(rows, method, variants));
    return variants;
  }

  // As an engine's steps run it; what is fused may round otherwise.
  Status add_all_passes(const LayerRows& rows, std::vector<TimedVariant>& variants) {
    const auto all = [&](LayerRank& rank, flow::Program program) -> Result<flow::Program> {
      passes::Decisions why;
      passes::PassOptions options;
      options.cost = setting_.profile;
      const auto shape = rows.shape(rank.group());
      return passes::run_passes(std::move(program),
                                steps::pass_context(rank.model(), shape, options, why));
    };
    TRY(add("all passes", VariantRole::rounded, rows, all, variants));
    if (!setting_.cuda || !setting_.backend.overlap_kernels) return {};
    return add("all passes, plain launches", VariantRole::rounded, rows, all, variants, false);
  }

  std::vector<ReduceMethod> methods() const {
    if (!setting_.cuda) return {ReduceMethod::direct};
    return {ReduceMethod::direct, ReduceMethod::copy_engine};
  }

  Status add_method(const LayerRows& rows, ReduceMethod method,
                    std::vector<TimedVariant>& variants) {
    using flow::Program;
    const auto alone = [&](LayerRank& rank, const Program& program) {
      return collectives_alone(with_method(program, method), rank.model().residents(),
                               rank.part().sums());
    };
    if (num_groups() == 1) {
      TRY(add(fmt::format("sums alone, {}", name_of(method)), VariantRole::collectives, rows, alone,
              variants));
    }
    if (method != ReduceMethod::direct) {
      const auto whole = [&](LayerRank&, Program program) -> Result<Program> {
        return with_method(std::move(program), method);
      };
      TRY(add(fmt::format("one piece, {}", name_of(method)), VariantRole::passes, rows, whole,
              variants));
    }
    std::vector<int32_t> numbers = setting_.chunks;
    numbers.push_back(passes::ChunkOptions::kAutomatic);
    const bool layer = setting_.part == Part::layer;
    for (const int32_t number : numbers) {
      TRY(add_chunks(rows, method, number, false, variants));
      if (layer) TRY(add_chunks(rows, method, number, true, variants));
    }
    return {};
  }

  Status add_chunks(const LayerRows& rows, ReduceMethod method, int32_t number, bool continued,
                    std::vector<TimedVariant>& variants) {
    const passes::ChunkOptions chunk_options{
        .chunks = number, .spare_sms = spare_sms(method), .continued = continued};
    passes::PassOptions options;
    options.cost = setting_.profile;
    passes::Decisions why;
    const auto chunked = [&](LayerRank& rank, flow::Program program) -> Result<flow::Program> {
      const auto shape = rows.shape(rank.group());
      return passes::chunk_collectives(with_method(std::move(program), method), chunk_options,
                                       steps::pass_context(rank.model(), shape, options, why));
    };
    const std::string chunks = number == passes::ChunkOptions::kAutomatic
                                   ? std::string("auto")
                                   : fmt::format("{} chunks", number);
    const std::string name =
        fmt::format("{}{}, {}", chunks, continued ? " continued" : "", name_of(method));
    TRY(add(name, VariantRole::passes, rows, chunked, variants));
    const LayerRank& rank = world_->rank(0);
    const auto sums_of = [&](const TimedVariant& variant) -> const flow::Program& {
      return rank.variant(variant.index).schedule.program;
    };
    const int64_t uncut = num_collectives(sums_of(variants.front()));
    const flow::Program& cut = sums_of(variants.back());
    if (num_collectives(cut) > uncut) {
      variants.back().ceiling = hidden_at_most(cut, uncut, continued);
    }
    if (number != passes::ChunkOptions::kAutomatic) return {};
    return line(fmt::format("{}: {} ({})", name, why.front().choice, why.front().why()));
  }

  const LayerRows& rows_of(const std::vector<TimedVariant>& variants) const {
    return locals().front()->variant(variants.front().index).rows;
  }
  void set_rows(const LayerRows& rows) { world_->set_rows(rows); }

  // The variants that compute what serial does.
  static std::vector<size_t> equals(const std::vector<TimedVariant>& variants) {
    std::vector<size_t> indices;
    for (const TimedVariant& variant : variants) {
      const bool same = variant.role == VariantRole::serial || variant.role == VariantRole::passes;
      if (same) indices.push_back(variant.index);
    }
    return indices;
  }

  Result<Recorded> check_eagerly(const std::vector<TimedVariant>& variants) {
    const LayerRows& rows = rows_of(variants);
    set_rows(rows);
    const bool routed = forces();
    const size_t serial = serial_of(rows);
    if (rows.rows <= kMostReferenceRows && routed) {
      TRY(compare(serial, ExpertPattern::one_empty, "one expert empty"));
      TRY(compare(serial, ExpertPattern::one_heavy, "one expert in every other row"));
    }
    if (rows.rows <= kMostReferenceRows) {
      for (const TimedVariant& variant : variants) {
        if (variant.role != VariantRole::rounded) continue;
        const std::string& name = locals().front()->variant(variant.index).name;
        TRY(compare(variant.index, ExpertPattern::balanced, name));
      }
      TRY(compare(serial, ExpertPattern::balanced, routed ? "balanced" : "dense"));
    }
    const std::vector<size_t> same = equals(variants);
    const int64_t runs = TRY(check_variants(locals(), same, kDelayedRuns));
    TRY(line(fmt::format("{} rows: {} runs of {} variants under random delays, bitwise equal",
                         rows.to_string(), runs, same.size())));
    TRY(audit(rows, same));
    return record_inputs(locals(), same.front(), kReplays);
  }

  // Whether ops touch only what they declare.
  Status audit(const LayerRows& rows, std::span<const size_t> variants) {
    const std::string said = TRY(audit_variants(locals(), variants, world_->audit_bytes()));
    return line(fmt::format("{} rows: {}", rows.to_string(), said));
  }

  Status check_captured(const std::vector<TimedVariant>& variants, const Recorded& recorded) {
    const int64_t runs = TRY(check_replays(locals(), equals(variants), recorded));
    return line(fmt::format("{} rows: {} replays on fresh inputs, bitwise equal to eager runs",
                            rows_of(variants).to_string(), runs));
  }

  // Each group's rows with a single rank on the CPU in float32.
  Status compare(size_t variant, ExpertPattern pattern, std::string_view what) {
    const bool leader = std::any_of(locals().begin(), locals().end(),
                                    [this](const LayerRank* rank) { return leads(*rank); });
    if (leader && reference_ == nullptr) TRY(open_reference());
    for (LayerRank* rank : locals()) fill(*rank, pattern);
    TRY(run_poisoned(locals(), variant));
    for (LayerRank* rank : locals()) {
      if (leads(*rank) && rank->count() > 0) TRY(compare(*rank, pattern, what));
    }
    return {};
  }

  Status compare(const LayerRank& rank, ExpertPattern pattern, std::string_view what) {
    const LayerRows rows = rank.rows().of(rank.group());
    reference_->set_rows(rows);
    fill(*reference_, pattern, rank.group());
    const LayerError found = TRY(compare_with(rank, *reference_, reference_variant(rows)));
    const RelativeError& error = found.error;
    const std::string of_group =
        num_groups() == 1 ? "" : fmt::format(" of {}", rank.rows().to_string());
    TRY(line(fmt::format("{}{} rows, {}: relative error {:.2e}, worst row {:.2e}, against float32",
                         rows.rows, of_group, what, error.all, error.worst_row)));
    const double bound = kErrorBound + kResidualRounding * found.residual;
    const bool close = error.all <= bound && error.worst_row <= 3 * bound;
    if (close) return {};
    return Error(ErrorKind::internal, "the layer is not what the CPU computes in float32")
        .with("group", rank.group())
        .with("rows", rank.rows().to_string())
        .with("experts", what)
        .with("relative error", error.all)
        .with("worst row", error.worst_row)
        .with("bound", bound);
  }

  // It runs the rows of any group.
  Status open_reference() {
    std::vector<LayerRows> steps;
    for (const LayerRows& all : setting_.all_steps()) {
      if (all.rows > kMostReferenceRows) continue;
      for (int32_t group = 0; group < num_groups(); ++group) {
        const LayerRows rows = all.of(group);
        const auto same = [&](const LayerRows& step) { return step.rows == rows.rows; };
        if (rows.rows > 0 && std::none_of(steps.begin(), steps.end(), same)) steps.push_back(rows);
      }
    }
    reference_backend_ = TRY(ranks::make_cpu_backend());
    reference_ = std::make_unique<LayerRank>(setting_.config, model_options(Format::f32), steps,
                                             *reference_backend_, setting_.part);
    for (const LayerRows& rows : steps) {
      TRY(reference_->add("reference", rows, TRY(reference_->part().build(rows.shape()))));
    }
    const model::RoundedSource rounded(source_);
    return reference_->allocate(setting_.dtype == Format::bf16
                                    ? static_cast<const model::TensorSource&>(rounded)
                                    : source_);
  }

  // The first variant of these rows.
  static size_t find_rows(const LayerRank& rank, const LayerRows& rows) {
    for (size_t i = 0;; ++i) {
      const LayerRows& of_variant = rank.variant(i).rows;
      if (of_variant.rows == rows.rows && of_variant.groups == rows.groups) return i;
    }
  }
  size_t serial_of(const LayerRows& rows) const { return find_rows(*locals().front(), rows); }
  size_t reference_variant(const LayerRows& rows) const { return find_rows(*reference_, rows); }

  Status time(const std::vector<TimedVariant>& variants) {
    const LayerRows& rows = rows_of(variants);
    const auto timings = TRY(time_layer(locals(), variants, control_,
                                        {.rounds = setting_.rounds, .seed = setting_.seed}));
    return first() ? report_.timed(rows, timings) : Status();
  }

  // The input and the experts that comparisons are made with.
  void fill(LayerRank& rank, ExpertPattern pattern = ExpertPattern::balanced,
            int32_t group = -1) const {
    rank.fill_input(1, group < 0 ? rank.group() : group);
    if (forces()) rank.force_experts(pattern);
  }

  // Input, output and experts of one run, for a reference elsewhere.
  Status dump(size_t variant) {
    for (LayerRank* rank : locals()) fill(*rank);
    TRY(run_poisoned(locals(), variant));
    if (!first()) return {};
    const LayerRank& rank = *locals().front();
    const std::vector<float> in = rank.input(), out = rank.output();
    const int64_t rows = rank.count(), width = setting_.config.hidden_size;
    const auto bytes_of = [](const auto& values) { return std::as_bytes(std::span(values)); };
    std::vector<model::TensorView> tensors = {
        {"in", model::StorageType::f32, {rows, width}, bytes_of(in)},
        {"out", model::StorageType::f32, {rows, width}, bytes_of(out)}};
    std::vector<std::byte> ids;
    if (forces()) {
      ids = rank.bytes_of(rank.model().state().forced_ids.front());
      const int64_t top_k = setting_.config.moe->top_k;
      ids.resize(static_cast<size_t>(rows * top_k) * sizeof(int32_t));
      tensors.push_back({"expert_ids", model::StorageType::i32, {rows, top_k}, ids});
    }
    std::vector<float> reference;
    if (reference_ != nullptr && rank.rows().rows <= kMostReferenceRows) {
      LayerRank* const alone[] = {reference_.get()};
      reference_->set_rows(rank.rows().of(0));
      fill(*reference_);
      TRY(run_poisoned(alone, reference_variant(rank.rows().of(0))));
      reference = reference_->output();
      tensors.push_back({"cpu_out", model::StorageType::f32, {rows, width}, bytes_of(reference)});
    }
    const std::string file = fmt::format("{}/layer_{}.safetensors", setting_.dump, rows);
    return model::write_safetensors(file, tensors);
  }

  // One traced run of each variant, behind the timed ones; says how long lanes were busy at once.
  Status trace(const std::vector<TimedVariant>& variants) {
    for (const TimedVariant& variant : variants) {
      if (variant.role != VariantRole::passes) continue;
      const int64_t step = locals().front()->next_step();
      for (size_t i = 0; i < locals().size(); ++i)
        locals()[i]->submit(variant.index, traces_[i].get());
      for (LayerRank* rank : locals()) TRY(rank->wait());
      std::string text = locals().front()->variant(variant.index).name + ":";
      for (const flow::Lane lane : {flow::Lane::aux, flow::Lane::comm}) {
        const int64_t ns = traces_.front()->overlap_ns(step, flow::Lane::compute, lane);
        if (ns > 0)
          text += fmt::format(" {:.1f} us of {} beside compute", 1e-3 * static_cast<double>(ns),
                              name_of(lane));
      }
      TRY(line(text));
    }
    return {};
  }

  Status write_trace() {
    if (!first() || setting_.trace.empty()) return {};
    std::vector<flow::Timeline> timelines;
    for (const auto& trace : traces_) timelines.push_back(trace->timeline());
    return write_file(setting_.trace, flow::to_perfetto(timelines), "the trace");
  }

  LayerRanks locals() const { return world_->locals(); }

  const LayerSetting& setting_;
  comm::ControlPlane& control_;
  LayerReport& report_;
  model::DummySource source_;
  std::unique_ptr<LayerWorld> world_;
  std::vector<std::unique_ptr<flow::Trace>> traces_;  // of each rank of this process
  std::unique_ptr<ranks::Backend> reference_backend_;
  std::unique_ptr<LayerRank> reference_;  // where rows are few enough, on the first rank
};

}  // namespace

std::vector<LayerRows> LayerSetting::all_steps() const {
  std::vector<LayerRows> all = steps;
  all.insert(all.end(), checked_steps.begin(), checked_steps.end());
  return all;
}

std::string_view name_of(ReduceMethod method) {
  return method == ReduceMethod::copy_engine ? "copy engines" : "direct";
}

int32_t spare_sms(ReduceMethod method) { return method == ReduceMethod::copy_engine ? 4 : 0; }

Status run_layer_bench(const LayerSetting& setting, comm::ControlPlane& control,
                       LayerReport& report) {
  Bench bench(setting, control, report);
  Status status = bench.run();
  // Before destructors, which wait for GPUs that may wait for this rank.
  if (!status.ok() && control.size() > 1) control.fail(status.error());
  return status;
}

}  // namespace braid::lab
