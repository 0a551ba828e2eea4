// Session: a model opened and started as the options say, with its stages told on the console.
// From here on server/ and cli/ have a loaded engine.
#pragma once

#include <memory>
#include <optional>

#include "base/json_fwd.h"
#include "start/engine_options.h"
#include "start/resolve.h"
#include "start/trace_file.h"
#include "start/weight_source.h"
#include "text/tokenizer.h"

namespace braid::start {

struct Agreed;

class Session {
 public:
  // Reads configuration and, where wanted, tokenizer. Prints the first part of --explain.
  // `invocation`'s options and console must outlive the session.
  static Result<Session> open(const Invocation& invocation, bool with_tokenizer);

  // Plans and allocates the memory, loads the weights, and prints the rest of --explain. Where
  // ranks are processes, rank 0's process calls it.
  Status start(const EngineNeeds& needs);

  // Call it instead of start() when nothing is to run: the processes of other ranks end then.
  Status start_nothing() const;

  // What the processes of the other ranks call instead; returns when rank 0's engine has ended.
  static Status follow(const Invocation& invocation);

  // Tells the error of quantized rows, and writes --trace. To be called when all steps have run.
  Status finish();

  const model::ModelConfig& config() const { return config_; }
  // Another token that ends a text; before start().
  void add_stop(std::optional<int32_t> token);
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  engine::Engine& engine() { return *engine_; }
  const std::string& folder() const;
  // What the options allow: a plan without its memory, which start() lowers to what is needed.
  const EnginePlan& limits() const { return *limits_; }
  // Tokens that a request can have: --context-length, or the model's own limit.
  int64_t context_length() const { return limits_->context_length; }

 private:
  explicit Session(const Invocation& invocation) : invocation_(invocation) {}
  Status add_tokenizer_stop();
  // Prints the notes about the model's files, on rank 0.
  void tell(const std::vector<model::Note>& notes) const;
  Result<WeightSource> open_weights() const;
  Result<Agreed> agree(const EngineNeeds& needs) const;
  Result<EnginePlan> plan(const Agreed& agreed) const;
  Status load(const WeightSource& source);

  Invocation invocation_;
  model::ModelConfig config_;
  std::optional<EnginePlan> limits_;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<TraceFile> trace_;
  std::unique_ptr<engine::Engine> engine_;
};

// Adds "dispatch_relative_error" where rows were quantized on their way to the experts.
Status add_dispatch_error(Json& json, Session& session);

}  // namespace braid::start
