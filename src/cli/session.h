// Session: a model opened and started as the options say, with its stages told on the console.
#pragma once

#include <memory>
#include <optional>

#include "base/output_file.h"
#include "cli/commands.h"
#include "engine/engine.h"
#include "engine/memory_budget.h"
#include "model/tensor_source.h"
#include "text/tokenizer.h"

namespace braid::cli {

// What a command needs of the engine, where that is less than what the options allow.
struct EngineNeeds {
  int64_t context_length = 0;  // tokens of its longest request; 0: the whole context
  int64_t max_running = 1;     // requests in a step
  int64_t prefill_rows = 0;    // in a step; 0: --chunked-prefill-size
  model::Probes probes;
  bool expert_heat = false;  // whether the command reads it
  bool run_ahead = false;    // see engine::EngineOptions; commands that look at ranks between steps
                             // leave it
  bool engine = true;        // whether one is started at all
};

// What predictions are made from: --tuning, or else `standard`, with an emulated link's speed.
Result<cost::DeviceProfile> profile_of(const ParsedOptions& options, cost::DeviceProfile standard,
                                       const std::optional<LinkSpeed>& link);

struct Agreed;

class Session {
 public:
  // Reads configuration and, where wanted, tokenizer. Prints the first part of --explain.
  static Result<Session> open(const Context& context, bool with_tokenizer);

  // Plans and allocates the memory, loads the weights, and prints the rest of --explain. Where
  // ranks are processes this is rank 0's.
  Status start(const EngineNeeds& needs);

  // Instead of start(): there is nothing to run, and the processes of other ranks may end.
  Status start_nothing() const;

  // What the processes of the other ranks do instead, until rank 0's engine has ended.
  static Status follow(const Context& context);

  // Tells the error of quantized rows, and writes --trace. To be called when all steps have run.
  Status finish();

  const model::ModelConfig& config() const { return config_; }
  // Another token that ends a text; before start().
  void add_stop(std::optional<int32_t> token);
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  engine::Engine& engine() { return *engine_; }
  const std::string& folder() const;
  // Tokens that a request can have: --context-length, or the model's own limit.
  int64_t context_length() const { return limits_.context_length; }
  // How long a rank may wait for another one, in a step.
  double step_seconds() const {
    return std::chrono::duration<double>(limits_.worker.step_timeout).count();
  }
  int32_t moe_ep() const { return limits_.worker.model.layout.moe.sizes[0]; }
  // The engine's options for these needs; num_blocks may still be open.
  Result<engine::EngineOptions> engine_options(const EngineNeeds& needs) const;

 private:
  explicit Session(const Context& context) : context_(context) {}
  Status add_tokenizer_stop();
  // Prints what there is to say about the model's files; rank 0 does.
  void tell(const std::vector<model::Note>& notes) const;
  Result<std::unique_ptr<model::TensorSource>> open_weights() const;
  Result<Agreed> agree(const EngineNeeds& needs) const;
  Result<engine::EngineOptions> plan(const Agreed& agreed) const;
  Result<engine::MemoryShare> memory(const ranks::WorkerOptions& options, int32_t here) const;
  Status load(const model::TensorSource& source);
  Status open_trace();
  Status write_trace();

  Context context_;
  model::ModelConfig config_;
  engine::EngineOptions limits_;  // what the options allow
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<OutputFile> trace_file_;  // where --trace is given; rank 0's process writes it
  std::unique_ptr<engine::Engine> engine_;
};

// "ranks of other hosts are aligned to within 40 µs".
std::string describe_clocks(int64_t error_ns);

// Adds "dispatch_relative_error" where rows were quantized on their way to the experts.
Status add_dispatch_error(Json& json, Session& session);

}  // namespace braid::cli
