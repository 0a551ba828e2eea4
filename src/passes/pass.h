// Pass: a rewrite of a step's Program. One overlap technique is one pass; all of them stand in
// passes/pass_list.cc.
#pragma once

#include <any>
#include <span>
#include <string_view>
#include <vector>

#include "base/options.h"
#include "cost/cost_model.h"
#include "cost/decisions.h"
#include "flow/program.h"
#include "flow/residents.h"
#include "layers/heat_buffers.h"
#include "layers/step_shape.h"
#include "ops/builder.h"

namespace braid::passes {

using cost::Decision;
using cost::Decisions;

// The options of all passes, each found by its type, so that no code must know all passes. An
// Options type is a struct whose defaults stand for "not said".
class PassOptions {
 public:
  cost::CostModel cost;  // what every pass predicts with

  template <typename Options>
  Options& of() {
    for (std::any& one : all_) {
      if (auto* found = std::any_cast<Options>(&one)) return *found;
    }
    return *std::any_cast<Options>(&all_.emplace_back(Options()));
  }
  template <typename Options>
  const Options& of() const {
    for (const std::any& one : all_) {
      if (const auto* found = std::any_cast<Options>(&one)) return *found;
    }
    static const Options defaults;
    return defaults;
  }

 private:
  std::vector<std::any> all_;  // one of each type at most
};

// Which of the ranks along tp this one is. They hold the same rows.
struct TensorParallel {
  int32_t ranks = 1;
  int32_t rank = 0;
};

// Buffers of the model that passes write to, beside the Program's own. Indices of residents; −1
// where the model has none.
struct PassBuffers {
  int32_t dispatch_errors = -1;  // f64 [L, 2]: Σ (x̂ − x)² and Σ x² of rows that were quantized
  layers::HeatBuffers heat;
};

// All that a pass may look at beside the Program. It decides by what is the same on all ranks, so
// that all of them issue the same collectives.
struct PassContext {
  const PassOptions& options;
  const flow::Residents& residents;
  Decisions& decisions;  // a pass adds what it chose, why, and the predicted times
  layers::StepShape shape;
  ops::MeshSizes meshes;
  TensorParallel tp;
  PassBuffers buffers;

  const cost::CostModel& cost() const { return options.cost; }
};

struct Pass {
  std::string_view name;                      // "dual_stream"
  std::span<const std::string_view> options;  // the rows of the options table that parse() reads
  // Puts the pass's own Options into PassOptions. `usage` where a value is none of the option's.
  Status (*parse)(const ParsedOptions& from, PassOptions& to);
  // Rewrites a step's Program. It never writes a wait: compile() derives them.
  Result<flow::Program> (*run)(flow::Program program, const PassContext& context);
  // Adds to the Program that runs behind a step, beside the next one, and brings to the host what
  // passes counted in it; nullptr: adds nothing.
  flow::Program (*run_read_back)(flow::Program program, const PassContext& context) = nullptr;
};

}  // namespace braid::passes
