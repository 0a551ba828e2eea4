#include "lab/layer_rank.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/float16.h"
#include "engine/block_pool.h"
#include "flow/compile.h"
#include "kernels/hash.h"
#include "layers/step_inputs.h"
#include "model/weight_loader.h"

namespace braid::lab {
namespace {

constexpr int32_t kRowsOfASequence = 2048;
constexpr int32_t kMostSequences = 8;
constexpr int64_t kPoisonBytes = int64_t{16} << 20;  // at a time
// A whole page of a GPU's driver: peers map no less, and other workspaces may lie in it.
constexpr int64_t kLeastWorkspace = int64_t{2} << 20;

// Uniform numbers with standard deviation 1, by index alone.
float random_value(uint64_t seed, uint64_t index) {
  const double unit = kernels::unit_interval(kernels::hash(seed, index));
  return static_cast<float>((unit * 2 - 1) * std::sqrt(3.0));
}

int32_t group_of(const model::ModelOptions& options) {
  return options.layout.attention.coordinates(options.rank)[0];
}

model::ModelOptions sized(model::ModelOptions options, std::span<const LayerRows> steps) {
  int32_t sequences = 0;
  for (const LayerRows& all : steps) {
    const LayerRows step = all.of(group_of(options));
    const layers::RowCounts rows = step.shape().own;
    options.max_rows.decode = std::max(options.max_rows.decode, rows.decode);
    options.max_rows.prefill = std::max(options.max_rows.prefill, rows.prefill);
    options.max_blocks = std::max(
        options.max_blocks, engine::blocks_for(step.tokens_of_a_sequence(), options.page_size));
    sequences = std::max(sequences, step.sequences());
  }
  options.num_blocks = options.max_blocks * sequences;
  return options;
}

}  // namespace

LayerRows LayerRows::of(int32_t group) const {
  if (groups.empty()) return *this;
  return {.rows = groups[static_cast<size_t>(group)], .context = context};
}

int32_t LayerRows::sequences() const {
  if (decode()) return std::max(rows, 1);
  return std::clamp(rows / kRowsOfASequence, 1, kMostSequences);
}

int32_t LayerRows::tokens_of_a_sequence() const {
  return decode() ? context + 1 : std::max((rows + sequences() - 1) / sequences(), 1);
}

layers::StepShape LayerRows::shape(int32_t group) const {
  if (groups.empty()) {
    if (rows == 0) return {layers::kIdleRows, layers::kIdleRows};
    const int32_t bucket = layers::bucket_of(rows);
    const layers::RowCounts counts = decode() ? layers::RowCounts{.decode = bucket, .prefill = 0}
                                              : layers::RowCounts{.decode = 0, .prefill = bucket};
    return {counts, counts};
  }
  layers::StepShape shape{.own = of(group).shape().own, .group = {}};
  for (int32_t other = 0; other < static_cast<int32_t>(groups.size()); ++other) {
    const layers::RowCounts counts = of(other).shape().own;
    shape.group.decode = std::max(shape.group.decode, counts.decode);
    shape.group.prefill = std::max(shape.group.prefill, counts.prefill);
  }
  return shape;
}

std::string LayerRows::to_string() const {
  if (groups.empty()) return fmt::format("{}", rows);
  return fmt::format("{}", fmt::join(groups.begin(), groups.end(), " + "));
}

std::vector<float> to_floats(std::span<const std::byte> bytes, Format format) {
  std::vector<float> values(bytes.size() / static_cast<size_t>(bytes_of(format)));
  if (format == Format::f32) {
    std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(values)).begin());
    return values;
  }
  const auto* narrow = reinterpret_cast<const bf16*>(bytes.data());
  std::transform(narrow, narrow + values.size(), values.begin(),
                 [](bf16 value) { return to_float(value); });
  return values;
}

LayerRank::LayerRank(const model::ModelConfig& config, model::ModelOptions options,
                     std::span<const LayerRows> steps, ranks::Backend& backend, Part part)
    : backend_(backend),
      rows_(steps.front()),
      decodes_(std::any_of(steps.begin(), steps.end(),
                           [](const LayerRows& step) { return step.decode(); })),
      group_(group_of(options)),
      part_(config, sized(std::move(options), steps), part) {}

LayerRank::~LayerRank() {
  for (const auto& variant : variants_) backend_.release(variant->bound);
}

Result<size_t> LayerRank::add(std::string name, const LayerRows& rows, flow::Program program,
                              bool overlap_kernels) {
  auto variant = std::make_unique<LayerVariant>();
  variant->name = std::move(name);
  variant->rows = rows;
  const flow::LauncherTable& table = backend_.table();
  variant->schedule = TRY(flow::compile(std::move(program), table.scratch(),
                                        overlap_kernels ? table.overlaps() : nullptr));
  variant->report = TRY(flow::check_schedule(variant->schedule));
  variants_.push_back(std::move(variant));
  return variants_.size() - 1;
}

Status LayerRank::allocate(const model::TensorSource& source) {
  flow::Residents& residents = part_.residents();
  memory_ = TRY(flow::allocate(residents, backend_.device(), backend_.host()));
  arena_ = TRY(backend_.device().allocate(std::max(workspace_bytes(), kLeastWorkspace)));
  TRY(backend_.share_workspace(arena_.data(), arena_.bytes()));
  for (const auto& variant : variants_) {
    variant->bound = TRY(flow::bind(variant->schedule, backend_.table(), residents, arena_.data()));
  }
  TRY(model().weights().load(source, residents,
                             {.device = backend_.device(),
                              .kernels = backend_.table(),
                              .threads = model::loader_threads(model().options().layout.world)}));
  set_rows(rows_);
  fill_caches();
  fill_input(1);
  if (model().options().probes.force_routing) force_experts(ExpertPattern::balanced);
  return {};
}

// -1 is the workspace.
device::Device& LayerRank::device_of(int32_t resident) {
  return backend_.memory_of(resident < 0 ? flow::Home::device : residents()[resident].home);
}

Status LayerRank::capture() {
  for (const auto& variant : variants_) variant->captured = TRY(backend_.capture(variant->bound));
  return {};
}

int64_t LayerRank::workspace_bytes() const {
  int64_t bytes = 0;
  for (const auto& variant : variants_) {
    bytes = std::max(bytes, variant->schedule.workspace_bytes);
  }
  return bytes;
}

void LayerRank::set_rows(const LayerRows& rows) {
  rows_ = rows;
  counts_.assign(rows.groups.begin(), rows.groups.end());
  if (rows.groups.empty()) counts_ = {rows.rows};
  fill_words();
}

void LayerRank::set_counts(std::span<const int32_t> counts) {
  BRAID_CHECK(counts.size() == counts_.size(), "(counts of {} groups)", counts.size());
  counts_.assign(counts.begin(), counts.end());
  BRAID_CHECK(count() <= rows_.of(group_).rows, "({} rows)", count());
  fill_words();
}

void LayerRank::submit(size_t variant, flow::Trace* trace) {
  const LayerVariant& run = *variants_[variant];
  if (trace != nullptr) {
    trace->begin_step(step_, run.schedule, run.name + ", " + run.rows.shape(group_).to_string());
  }
  last_ =
      backend_.executor().submit(run.bound, {.step = step_, .after = {&last_, 1}, .trace = trace});
  ++step_;
}

Status LayerRank::wait() { return backend_.executor().wait(last_); }

Result<flow::FillAudit> LayerRank::audit(size_t variant) {
  TRY(wait());
  const LayerVariant& run = *variants_[variant];
  const int64_t step = step_++;
  const flow::FillAuditDevice device{
      .memory_of = [this](int32_t resident) -> device::Device& { return device_of(resident); },
      .run_op = [&](size_t op) { return backend_.run_op(run.bound, op, step); }};
  flow::FillAudit audit = TRY(flow::audit_by_fill(
      run.bound, residents(), {arena_.data(), static_cast<size_t>(workspace_bytes())}, device,
      {.step = step, .mutation = {}}));
  if (audit.findings.empty()) return audit;
  return Error(ErrorKind::internal, "an op touches what it doesn't declare")
      .with("variant", run.name)
      .with("rows", rows_.to_string())
      .with("found", audit.findings.front().text)
      .with("findings", audit.findings.size());
}

int64_t LayerRank::audit_bytes() const {
  const flow::Residents& residents = this->residents();
  int64_t bytes = workspace_bytes();
  for (int32_t i = 0; i < residents.size(); ++i) {
    if (residents[i].lifetime != flow::Lifetime::weight) {
      bytes += residents[i].copies * residents[i].bytes();
    }
  }
  return bytes;
}

// Sequence s has blocks s · max_blocks and on; prefill rows are dealt out in equal runs.
void LayerRank::fill_words() {
  const model::ModelOptions& options = model().options();
  const LayerRows own = rows_.of(group_);
  const layers::InputLayout layout(own.shape().own, model().limits());
  std::vector<int32_t> words(static_cast<size_t>(layout.total), 0);
  const auto at = [&](int64_t field, int64_t index) -> int32_t& {
    return words[static_cast<size_t>(field + index)];
  };
  const int32_t run = own.tokens_of_a_sequence();
  for (int64_t row = 0; row < layout.num_rows; ++row) {
    const bool real = row < count();
    const auto sequence = static_cast<int32_t>(own.decode() ? row : row / run);
    const auto position = static_cast<int32_t>(own.decode() ? own.context : row % run);
    const int32_t block = sequence * options.max_blocks + position / options.page_size;
    at(layout.positions, row) = real ? position : 0;
    at(layout.sequences, row) = real ? sequence : -1;
    at(layout.kv_slots, row) = real ? block * options.page_size + position % options.page_size : -1;
  }
  for (size_t group = 0; group < rows_.groups.size(); ++group) {
    at(layout.rank_rows, static_cast<int64_t>(group)) = counts_[group];
  }
  const int64_t sequences = own.sequences();
  for (int64_t entry = 0; entry < layout.num_sequences * options.max_blocks; ++entry) {
    at(layout.block_table, entry) =
        entry < sequences * options.max_blocks ? static_cast<int32_t>(entry) : 0;
  }
  for (int32_t copy = 0; copy < 2; ++copy) {
    std::memcpy(residents().data(model().state().inputs_host, copy), words.data(),
                words.size() * sizeof(int32_t));
  }
}

void LayerRank::fill_caches() {
  if (!decodes_) return;
  const int32_t cache = model().state().caches.front();
  const flow::Resident& resident = residents()[cache];
  // One row, over and over, would make all keys alike: a period of 61 rows doesn't.
  constexpr int64_t kPeriod = 61;
  const int64_t period = std::min(kPeriod, resident.rows) * resident.cols;
  std::vector<float> values(static_cast<size_t>(resident.rows * resident.cols));
  for (int64_t i = 0; i < period; ++i) {
    values[static_cast<size_t>(i)] = random_value(7, static_cast<uint64_t>(i));
  }
  for (auto i = static_cast<size_t>(period); i < values.size(); ++i) {
    values[i] = values[i - static_cast<size_t>(period)];
  }
  write(cache, values);
}

// A projection's input is split by columns: each rank fills its own of the whole model's.
void LayerRank::fill_input(uint64_t seed, int32_t group) {
  if (group > 0) seed = kernels::hash(seed, static_cast<uint64_t>(group));
  const int32_t in = part_.in();
  const flow::Resident& resident = residents()[in];
  const PartColumns columns = part_.columns();
  std::vector<float> values(static_cast<size_t>(resident.rows * resident.cols), 0.0f);
  for (int64_t row = 0; row < resident.rows; ++row) {
    for (int64_t col = 0; col < columns.count; ++col) {
      values[static_cast<size_t>(row * resident.cols + col)] =
          random_value(seed, static_cast<uint64_t>(row * columns.total + columns.first + col));
    }
  }
  write(in, values);
}

void LayerRank::force_experts(ExpertPattern pattern) {
  const int32_t forced = model().state().forced_ids.front();
  const flow::Resident& resident = residents()[forced];
  const auto top_k = resident.cols;
  const int64_t all = model().config().moe->num_experts;
  const int64_t experts = pattern == ExpertPattern::one_empty ? all - 1 : all;
  std::vector<int32_t> ids(static_cast<size_t>(resident.rows * top_k));
  for (int64_t row = 0; row < resident.rows; ++row) {
    for (int64_t k = 0; k < top_k; ++k) {
      int64_t expert = (row * top_k + k) % experts;
      if (pattern == ExpertPattern::one_heavy) {
        // Experts 1 … E − 1 in turn, and expert 0 in every other row.
        expert = k == 0 && row % 2 == 0 ? 0 : 1 + (row * top_k + k) % (experts - 1);
      }
      ids[static_cast<size_t>(row * top_k + k)] = static_cast<int32_t>(expert);
    }
  }
  backend_.device().upload(residents().data(forced), ids.data(), resident.bytes());
}

void LayerRank::poison(uint8_t byte) {
  const auto fill = [&](std::byte* to, int64_t bytes) {
    const std::vector<std::byte> pattern(static_cast<size_t>(std::min(bytes, kPoisonBytes)),
                                         std::byte{byte});
    for (int64_t done = 0; done < bytes; done += kPoisonBytes) {
      backend_.device().upload(to + done, pattern.data(), std::min(bytes - done, kPoisonBytes));
    }
  };
  fill(arena_.data(), workspace_bytes());
  const int32_t out = part_.out();
  if (out != model::kAbsent) fill(residents().data(out), residents()[out].bytes());
}

std::vector<std::byte> LayerRank::bytes_of(int32_t resident) const {
  const int64_t bytes = residents()[resident].bytes();
  std::vector<std::byte> out(static_cast<size_t>(bytes));
  backend_.device().download(out.data(), residents().data(resident), bytes);
  return out;
}

std::vector<std::byte> LayerRank::output_bytes() const {
  const int32_t out = part_.out();
  std::vector<std::byte> bytes = bytes_of(out);
  bytes.resize(static_cast<size_t>(count() * residents()[out].row_bytes()));
  return bytes;
}

std::vector<float> LayerRank::read(int32_t resident) const {
  const flow::Resident& from = residents()[resident];
  const std::vector<std::byte> bytes = bytes_of(resident);
  return to_floats(std::span(bytes).first(static_cast<size_t>(count() * from.row_bytes())),
                   from.format);
}

// Values are rounded to bfloat16 in either format, so that ranks of both compute on the same.
void LayerRank::write(int32_t resident, const std::vector<float>& values) {
  const flow::Resident& to = residents()[resident];
  std::vector<bf16> narrow;
  narrow.reserve(values.size());
  for (const float value : values) narrow.push_back(from_float<bf16>(value));
  if (to.format == Format::bf16) {
    backend_.device().upload(residents().data(resident), narrow.data(), to.bytes());
    return;
  }
  std::vector<float> wide;
  wide.reserve(values.size());
  for (const bf16 value : narrow) wide.push_back(to_float(value));
  backend_.device().upload(residents().data(resident), wide.data(), to.bytes());
}

}  // namespace braid::lab
