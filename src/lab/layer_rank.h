// LayerRank: one rank of a part of a model that runs alone, with made-up inputs: what `bench layer`
// measures and checks.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/inline_vector.h"
#include "flow/audit/fill.h"
#include "flow/check/check.h"
#include "flow/trace.h"
#include "lab/layer_part.h"
#include "model/tensor_source.h"
#include "ranks/backend.h"

namespace braid::lab {

// The rows of a step, all in one phase.
struct LayerRows {
  int32_t rows = 1;     // tokens; of the group that has the most, where there are several
  int32_t context = 0;  // > 0: decode rows, one a sequence, with so many tokens in the cache
  // Tokens of each group of ranks along dp; empty: there is one group.
  InlineVector<int32_t, 64> groups = {};

  bool decode() const { return context > 0; }
  // What one group has of them, as if it were alone.
  LayerRows of(int32_t group) const;
  layers::StepShape shape(int32_t group = 0) const;
  // "300", or "300 + 150" of groups.
  std::string to_string() const;

  // The sequences of one group:
  // prefill rows make up sequences of 2048 where they can, but at most 8.
  int32_t sequences() const;
  // The tokens of the longest one.
  int32_t tokens_of_a_sequence() const;
};

// Which experts rows choose, by force.
enum class ExpertPattern {
  balanced,   // row t, place k: expert (t · K + k) mod E
  one_empty,  // balanced over all experts but the last
  one_heavy,  // every other row chooses expert 0
};

// One way to run the part: its Program, compiled, checked, and bound to the rank's memory.
struct LayerVariant {
  std::string name;
  LayerRows rows;
  flow::Schedule schedule;
  flow::CheckReport report;
  flow::BoundSchedule bound;
  std::string captured;  // what a replay consists of; empty: it runs eagerly
};

// Numbers of either format in float32.
std::vector<float> to_floats(std::span<const std::byte> bytes, Format format);

class LayerRank {
 public:
  // Declares the part's memory. options.max_rows, num_blocks and max_blocks follow from the `steps`
  // that may be run, which may be of both phases.
  LayerRank(const model::ModelConfig& config, model::ModelOptions options,
            std::span<const LayerRows> steps, ranks::Backend& backend, Part part = Part::layer);
  ~LayerRank();

  const LayerPart& part() const { return part_; }
  const model::DecoderModel& model() const { return part_.model(); }
  ranks::Backend& backend() { return backend_; }

  // Compiles and checks `program` for steps of `rows`; before allocate(). Its index. Kernels that
  // are neighbours on a lane overlap only if they may.
  Result<size_t> add(std::string name, const LayerRows& rows, flow::Program program,
                     bool overlap_kernels = true);
  // Allocates and fills everything: weights from `source`, random inputs, and binds the variants.
  Status allocate(const model::TensorSource& source);
  // Makes replays of all variants; every rank at the same point.
  Status capture();

  // What the next runs are steps of.
  void set_rows(const LayerRows& rows);
  const LayerRows& rows() const { return rows_; }
  // Real rows of each group from now on, at most those of the step; alike on all ranks.
  void set_counts(std::span<const int32_t> counts);
  // The group of ranks that this one is in, and its real rows.
  int32_t group() const { return group_; }
  int32_t count() const { return counts_[static_cast<size_t>(group_)]; }

  const LayerVariant& variant(size_t index) const { return *variants_[index]; }

  // The step that the next run is.
  int64_t next_step() const { return step_; }
  // Starts a run behind all runs before it.
  void submit(size_t variant, flow::Trace* trace = nullptr);
  // Waits for all runs.
  Status wait();

  // Audits a variant's declarations as the next step, op by op, by fill; not_compared names weights
  // too large for it. `internal` with the first op that touches what it doesn't declare. Ranks with
  // collectives among them audit at the same time, each in a process or thread of its own.
  Result<flow::FillAudit> audit(size_t variant);
  // Bytes that an audit fills for every op: the workspace and all carried memory. Known before
  // allocate(), and on ranks that are elsewhere.
  int64_t audit_bytes() const;

  // What every row chooses from now on; needs probes.force_routing.
  void force_experts(ExpertPattern pattern);
  // Fresh random input rows, other ones in each group; `group`: those of another one.
  void fill_input(uint64_t seed) { fill_input(seed, group_); }
  void fill_input(uint64_t seed, int32_t group);
  // Bytes of any pattern over the output and the workspace, so that nothing is left from a run.
  void poison(uint8_t byte);
  // The input or the output in float32, real rows only; needs probes.hidden for the output.
  std::vector<float> input() const { return read(part_.in()); }
  std::vector<float> output() const { return read(part_.out()); }
  // The same, as it lies in memory.
  std::vector<std::byte> output_bytes() const;
  // All bytes of a resident.
  std::vector<std::byte> bytes_of(int32_t resident) const;

 private:
  const flow::Residents& residents() const { return model().residents(); }
  device::Device& device_of(int32_t resident);
  void fill_words();
  void fill_caches();
  std::vector<float> read(int32_t resident) const;
  void write(int32_t resident, const std::vector<float>& values);

  int64_t workspace_bytes() const;

  ranks::Backend& backend_;
  LayerRows rows_;  // of the next runs
  bool decodes_;    // some steps do
  int32_t group_;
  std::vector<int32_t> counts_;  // real rows of each group
  LayerPart part_;
  std::vector<std::unique_ptr<LayerVariant>> variants_;
  std::vector<device::Memory> memory_;
  device::Memory arena_;
  flow::Ticket last_ = 0;
  int64_t step_ = 0;
};

// The ranks of this process, of a layout whose other ranks are elsewhere.
using LayerRanks = std::span<LayerRank* const>;

// A variant on all of them.
struct LayerRun {
  LayerRanks ranks;
  size_t variant = 0;
};

}  // namespace braid::lab
