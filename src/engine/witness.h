// Witness: what one rank tells of what it ran, in the process that it runs in.
#pragma once

#include <map>

#include "engine/inquiry.h"
#include "engine/worker.h"

namespace braid::engine {

class Witness {
 public:
  // Must outlive the worker, which records into it.
  explicit Witness(Worker& worker);
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  // Between steps. `internal` where there are no such rows, probe or kept state.
  Result<std::string> answer(const Inquiry& inquiry);

 private:
  using State = std::vector<std::string>;  // of every carried copy

  Result<std::string> read(const ResidentRows& rows);
  Status write(const ResidentRows& rows, std::string_view bytes);
  Result<std::string> score(std::string_view targets);
  std::string take_trace() const;
  void set_execution(bool serial, flow::Delays delays);
  void clear_state();
  State state();
  Result<std::string> compare_state(int64_t step);

  Worker& worker_;
  flow::Trace trace_;
  std::map<int64_t, State> kept_;  // by step
};

}  // namespace braid::engine
