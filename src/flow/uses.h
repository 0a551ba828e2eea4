// Which ops of a Program touch a Value's memory: what a pass asks before it makes one op of
// several.
#pragma once

#include <vector>

#include "flow/program.h"

namespace braid::flow {

// Whether two Values are the same rows and columns of one buffer.
bool same_memory(const Program& program, Value a, Value b);

// A Program's, which must outlive it and stay as it is.
class Uses {
 public:
  explicit Uses(const Program& program);

  // The ops that read or write some of what `value` is, ascending.
  std::vector<int32_t> touching(Value value) const;
  // The last op before `op` that writes some of it; −1: none does.
  int32_t last_writer(int32_t op, Value value) const;
  // The op that alone reads what op `maker` writes for it to a step buffer; −1 where other ops have
  // to do with that, or it outlives the step.
  int32_t only_reader(int32_t maker, Value value) const;
  // Whether `op` may stand where op `to` stands, before or behind it: no op in between depends on
  // it, or it on that; `op` and `to` themselves become one.
  bool may_move(int32_t op, int32_t to) const;

 private:
  const Program& program_;
  std::vector<std::vector<int32_t>> ops_;  // by buffer, ascending
};

}  // namespace braid::flow
