// Rewriter: how a Pass edits a Program. Only edits that keep the order of conflicting ops pass.
#pragma once

#include "flow/program.h"

namespace braid::flow {

class Rewriter {
 public:
  explicit Rewriter(const Program& program);

  // Puts `ops` (ascending) on `lane` and issues them right before op `anchor`, in their order.
  void move(const std::vector<int32_t>& ops, Lane lane, int32_t anchor);

  // How many ops were moved or changed.
  int rewrites() const { return rewrites_; }

  // The rewritten Program; `internal` when an edit swapped two conflicting ops.
  Result<Program> finish() &&;

 private:
  Program program_;
  std::vector<int32_t> order_;  // op indices of program_, in their new order
  int rewrites_ = 0;
};

}  // namespace braid::flow
