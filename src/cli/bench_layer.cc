// braid bench layer: one decoder layer, or one projection with its sum over the ranks, on made-up
// weights: how long it takes with and without passes, and whether all of it agrees.
#include "cli/bench_layer.h"

#include "base/json.h"
#include "base/output_file.h"
#include "comm/control/processes.h"
#include "lab/layer_variants.h"
#include "lab/layer_world.h"
#include "model/dummy_source.h"
#include "model/rounded_source.h"
#include "model/safetensors.h"
#include "passes/chunk_collectives.h"
#include "passes/dual_stream.h"
#include "passes/fuse_shared_expert.h"
#include "steps/schedules.h"

namespace braid::cli {
namespace {

using lab::LayerRank;
using lab::LayerRows;
using lab::VariantRole;
using ops::ReduceMethod;

// The most rows for which the CPU computes the same in float32, so that --check ends soon.
constexpr int32_t kMostReferenceRows = 128;
// Of bfloat16 against float32: rounding activations alone makes up to 1.1e-2 on the CPU, and each
// of the two additions to the residual stream rounds all of that by up to 2⁻⁹.
constexpr double kErrorBound = 1.5e-2;
constexpr double kResidualRounding = 0x1p-8;
constexpr int64_t kReplays = 100;
constexpr int64_t kDelayedRuns = 20;

// The ranks of this process, with their backends: all of them on the CPU, one of them on CUDA.
class Bench {
 public:
  Bench(const LayerSetting& setting, comm::ControlPlane& control, Streams& streams)
      : setting_(setting), control_(control), streams_(streams), source_(setting.seed) {}

  Status run() {
    TRY(open());
    std::vector<std::vector<lab::TimedVariant>> of_steps;
    for (const LayerRows& step : setting_.all_steps()) of_steps.push_back(TRY(add_variants(step)));
    TRY(line(fmt::format("{} pairs of accesses proven ordered, {} meetings of ranks agreed",
                         world_->proven().pairs, world_->proven().collectives)));
    TRY(world_->allocate(source_));
    std::vector<lab::Recorded> recorded;
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

  Status line(const std::string& text) {
    return first() && !setting_.json ? streams_.out.line(text) : Status();
  }

  model::ModelOptions model_options(Format dtype) const {
    return {.part = setting_.part,
            .dtype = dtype,
            .probes = {.hidden = keeps_output(), .force_routing = forces()},
            .choice = setting_.choice,
            .zipf_exponent = setting_.zipf_exponent};
  }
  bool keeps_output() const { return setting_.check || !setting_.dump.empty(); }
  bool forces() const {
    return keeps_output() && setting_.part == model::Part::layer && setting_.config.is_moe(0);
  }

  Status open() {
    world_ = TRY(lab::LayerWorld::open(
        setting_.config,
        {.layout = setting_.layout,
         .model = model_options(setting_.dtype),
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
             const lab::LayerWorld::Rewrite& rewrite, std::vector<lab::TimedVariant>& variants,
             bool overlap_kernels = true) {
    variants.push_back({TRY(world_->add(name, rows, rewrite, overlap_kernels)), role});
    return {};
  }

  Result<std::vector<lab::TimedVariant>> add_variants(const LayerRows& rows) {
    using flow::Program;
    std::vector<lab::TimedVariant> variants;
    const auto plain = [](LayerRank&, Program program) -> Result<Program> { return program; };
    TRY(add("serial", VariantRole::serial, rows, plain, variants));
    TRY(add("serial again", VariantRole::again, rows, plain, variants));
    if (setting_.cuda && setting_.backend.overlap_kernels) {
      TRY(add("plain launches", VariantRole::passes, rows, plain, variants, false));
    }
    const flow::Program serial = TRY(world_->rank(0).model().build(rows.shape(0)));
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
        return rank.model().build(rows.shape(rank.group()), ops::DispatchKind::all_to_all);
      };
      TRY(add("all-to-all", VariantRole::passes, rows, sent, variants));
    }
    if (lab::num_collectives(serial) == 0) return variants;
    const auto without = [](LayerRank&, const Program& program) {
      return lab::without_collectives(program);
    };
    // Without the gather of other groups' rows there is nothing to compute on.
    if (num_groups() == 1) TRY(add("compute alone", VariantRole::compute, rows, without, variants));
    for (const ReduceMethod method : methods()) TRY(add_method(rows, method, variants));
    return variants;
  }

  std::vector<ReduceMethod> methods() const {
    if (!setting_.cuda) return {ReduceMethod::direct};
    return {ReduceMethod::direct, ReduceMethod::copy_engine};
  }

  Status add_method(const LayerRows& rows, ReduceMethod method,
                    std::vector<lab::TimedVariant>& variants) {
    using flow::Program;
    const auto alone = [&](LayerRank& rank, const Program& program) {
      return lab::collectives_alone(lab::with_method(program, method), rank.model().residents(),
                                    rank.model().state().part_sums);
    };
    if (num_groups() == 1) {
      TRY(add(fmt::format("sums alone, {}", name_of(method)), VariantRole::collectives, rows, alone,
              variants));
    }
    if (method != ReduceMethod::direct) {
      const auto whole = [&](LayerRank&, Program program) -> Result<Program> {
        return lab::with_method(std::move(program), method);
      };
      TRY(add(fmt::format("one piece, {}", name_of(method)), VariantRole::passes, rows, whole,
              variants));
    }
    std::vector<int32_t> numbers = setting_.chunks;
    numbers.push_back(passes::ChunkOptions::kAutomatic);
    const bool layer = setting_.part == model::Part::layer;
    for (const int32_t number : numbers) {
      TRY(add_chunks(rows, method, number, false, variants));
      if (layer) TRY(add_chunks(rows, method, number, true, variants));
    }
    return {};
  }

  Status add_chunks(const LayerRows& rows, ReduceMethod method, int32_t number, bool continued,
                    std::vector<lab::TimedVariant>& variants) {
    const passes::ChunkOptions chunk_options{
        .chunks = number, .spare_sms = spare_sms(method), .continued = continued};
    passes::PassOptions options;
    options.cost = setting_.profile;
    passes::Decisions why;
    const auto chunked = [&](LayerRank& rank, flow::Program program) -> Result<flow::Program> {
      const auto shape = rows.shape(rank.group());
      return passes::chunk_collectives(lab::with_method(std::move(program), method), chunk_options,
                                       steps::pass_context(rank.model(), shape, options, why));
    };
    const std::string chunks = number == passes::ChunkOptions::kAutomatic
                                   ? std::string("auto")
                                   : fmt::format("{} chunks", number);
    const std::string name =
        fmt::format("{}{}, {}", chunks, continued ? " continued" : "", name_of(method));
    TRY(add(name, VariantRole::passes, rows, chunked, variants));
    const LayerRank& rank = world_->rank(0);
    const auto sums_of = [&](const lab::TimedVariant& variant) -> const flow::Program& {
      return rank.variant(variant.index).schedule.program;
    };
    const int64_t uncut = lab::num_collectives(sums_of(variants.front()));
    const flow::Program& cut = sums_of(variants.back());
    if (lab::num_collectives(cut) > uncut) {
      variants.back().ceiling = lab::hidden_at_most(cut, uncut, continued);
    }
    if (number != passes::ChunkOptions::kAutomatic) return {};
    return line(fmt::format("{}: {} ({})", name, why.front().choice, why.front().why()));
  }

  const LayerRows& rows_of(const std::vector<lab::TimedVariant>& variants) const {
    return locals().front()->variant(variants.front().index).rows;
  }
  void set_rows(const LayerRows& rows) { world_->set_rows(rows); }

  // The variants that compute what serial does.
  static std::vector<size_t> equals(const std::vector<lab::TimedVariant>& variants) {
    std::vector<size_t> indices;
    for (const lab::TimedVariant& variant : variants) {
      const bool same = variant.role == VariantRole::serial || variant.role == VariantRole::passes;
      if (same) indices.push_back(variant.index);
    }
    return indices;
  }

  Result<lab::Recorded> check_eagerly(const std::vector<lab::TimedVariant>& variants) {
    const LayerRows& rows = rows_of(variants);
    set_rows(rows);
    const bool routed = forces();
    const size_t serial = serial_of(rows);
    if (rows.rows <= kMostReferenceRows && routed) {
      TRY(compare(serial, lab::ExpertPattern::one_empty, "one expert empty"));
      TRY(compare(serial, lab::ExpertPattern::one_heavy, "one expert in every other row"));
    }
    if (rows.rows <= kMostReferenceRows) {
      for (const lab::TimedVariant& variant : variants) {
        if (variant.role != VariantRole::rounded) continue;
        TRY(compare(variant.index, lab::ExpertPattern::balanced, "fused slot"));
      }
      TRY(compare(serial, lab::ExpertPattern::balanced, routed ? "balanced" : "dense"));
    }
    const std::vector<size_t> same = equals(variants);
    const int64_t runs = TRY(lab::check_variants(locals(), same, kDelayedRuns));
    TRY(line(fmt::format("{} rows: {} runs of {} variants under random delays, bitwise equal",
                         rows.to_string(), runs, same.size())));
    TRY(audit(rows, same));
    return lab::record_inputs(locals(), same.front(), kReplays);
  }

  // Whether ops touch only what they declare.
  Status audit(const LayerRows& rows, std::span<const size_t> variants) {
    const std::string said = TRY(lab::audit_variants(locals(), variants, world_->audit_bytes()));
    return line(fmt::format("{} rows: {}", rows.to_string(), said));
  }

  Status check_captured(const std::vector<lab::TimedVariant>& variants,
                        const lab::Recorded& recorded) {
    const int64_t runs = TRY(lab::check_replays(locals(), equals(variants), recorded));
    return line(fmt::format("{} rows: {} replays on fresh inputs, bitwise equal to eager runs",
                            rows_of(variants).to_string(), runs));
  }

  // Each group's rows with a single rank on the CPU in float32.
  Status compare(size_t variant, lab::ExpertPattern pattern, std::string_view what) {
    const bool leader = std::any_of(locals().begin(), locals().end(),
                                    [this](const LayerRank* rank) { return leads(*rank); });
    if (leader && reference_ == nullptr) TRY(open_reference());
    for (LayerRank* rank : locals()) fill(*rank, pattern);
    TRY(lab::run_poisoned(locals(), variant));
    for (LayerRank* rank : locals()) {
      if (leads(*rank) && rank->count() > 0) TRY(compare(*rank, pattern, what));
    }
    return {};
  }

  Status compare(const LayerRank& rank, lab::ExpertPattern pattern, std::string_view what) {
    const LayerRows rows = rank.rows().of(rank.group());
    reference_->set_rows(rows);
    fill(*reference_, pattern, rank.group());
    const lab::LayerError found =
        TRY(lab::compare_with(rank, *reference_, reference_variant(rows)));
    const lab::RelativeError& error = found.error;
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
                                             *reference_backend_);
    for (const LayerRows& rows : steps) {
      TRY(reference_->add("reference", rows, TRY(reference_->model().build(rows.shape()))));
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

  Status time(const std::vector<lab::TimedVariant>& variants) {
    const LayerRows& rows = rows_of(variants);
    const auto timings = TRY(lab::time_layer(locals(), variants, control_,
                                             {.rounds = setting_.rounds, .seed = setting_.seed}));
    if (!first()) return {};
    if (setting_.json) {
      return streams_.out.json_line(
          {{"part", setting_.config.moe ? "moe" : "dense"},
           {"rows", rows.rows},
           {"groups", Json(std::vector<int32_t>(rows.groups.begin(), rows.groups.end()))},
           {"context", rows.context},
           {"ranks", setting_.layout.world},
           {"rounds", setting_.rounds},
           {"variants", layer_json(timings)}});
    }
    TRY(line(fmt::format("\n{} {} rows, {} rounds", rows.to_string(),
                         rows.decode() ? "decode" : "prefill", setting_.rounds)));
    return streams_.out.write(layer_table(timings));
  }

  // The input and the experts that comparisons are made with.
  void fill(LayerRank& rank, lab::ExpertPattern pattern = lab::ExpertPattern::balanced,
            int32_t group = -1) const {
    rank.fill_input(1, group < 0 ? rank.group() : group);
    if (forces()) rank.force_experts(pattern);
  }

  // Input, output and experts of one run, for a reference elsewhere.
  Status dump(size_t variant) {
    for (LayerRank* rank : locals()) fill(*rank);
    TRY(lab::run_poisoned(locals(), variant));
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
      TRY(lab::run_poisoned(alone, reference_variant(rank.rows().of(0))));
      reference = reference_->output();
      tensors.push_back({"cpu_out", model::StorageType::f32, {rows, width}, bytes_of(reference)});
    }
    const std::string file = fmt::format("{}/layer_{}.safetensors", setting_.dump, rows);
    return model::write_safetensors(file, tensors);
  }

  // One traced run of each variant, behind the timed ones; says how long lanes were busy at once.
  Status trace(const std::vector<lab::TimedVariant>& variants) {
    for (const lab::TimedVariant& variant : variants) {
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

  lab::LayerRanks locals() const { return world_->locals(); }

  const LayerSetting& setting_;
  comm::ControlPlane& control_;
  Streams& streams_;
  model::DummySource source_;
  std::unique_ptr<lab::LayerWorld> world_;
  std::vector<std::unique_ptr<flow::Trace>> traces_;  // of each rank of this process
  std::unique_ptr<ranks::Backend> reference_backend_;
  std::unique_ptr<LayerRank> reference_;  // where rows are few enough, on the first rank
};

}  // namespace

Result<Outcome> bench_layer(const Context& context) {
  const LayerSetting setting = TRY(read_layer_setting(context));
  const auto run = [&](comm::ControlPlane& control) -> Status {
    Bench bench(setting, control, context.streams);
    Status status = bench.run();
    // Before destructors, which wait for GPUs that may wait for this rank.
    if (!status.ok() && control.size() > 1) control.fail(status.error());
    return status;
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
