// QueryService: what one rank tells of what it ran, in the process that it runs in.
#pragma once

#include <map>

#include "ranks/rank_query.h"
#include "ranks/worker.h"

namespace braid::ranks {

class QueryService {
 public:
  // Must outlive the worker, which records into it.
  explicit QueryService(Worker& worker);
  QueryService(const QueryService&) = delete;
  QueryService& operator=(const QueryService&) = delete;

  // Between steps. `internal` where there are no such rows, probe or kept state.
  Result<std::string> answer(const RankQuery& query);

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

}  // namespace braid::ranks
