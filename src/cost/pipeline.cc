#include "cost/pipeline.h"

#include <algorithm>

namespace braid::cost {
namespace {

double total_us(const std::vector<RowWork>& ops, int64_t rows, const CostModel& model) {
  double us = 0;
  for (const RowWork& op : ops) us += us_of(op, rows, model);
  return us;
}

// The two lanes of a rank in virtual time.
class Lanes {
 public:
  explicit Lanes(double takes) : takes_(takes) {}

  double compute(double ready, double us) {
    const double idle = std::max(ready - compute_free_, 0.0);
    const double delay = std::max(owed_ - idle, 0.0);
    owed_ = 0;
    compute_free_ += idle + us + delay;
    return compute_free_;
  }
  double comm(double ready, double us) {
    comm_free_ = std::max(comm_free_, ready) + us;
    owed_ += takes_ * us;
    return comm_free_;
  }
  double end() const { return std::max(compute_free_, comm_free_); }

 private:
  const double takes_;
  double compute_free_ = 0;
  double comm_free_ = 0;
  double owed_ = 0;  // by how much collectives delay the next computation
};

}  // namespace

double us_of(const RowWork& work, int64_t rows, const CostModel& model) {
  const auto count = static_cast<double>(rows);
  const auto sum = [count](double each_chunk, double each_row) {
    return each_chunk + count * each_row;
  };
  const flow::Work total = {.flop = sum(work.each_chunk.flop, work.each_row.flop),
                            .bytes = sum(work.each_chunk.bytes, work.each_row.bytes),
                            .link_bytes = sum(work.each_chunk.link_bytes, work.each_row.link_bytes),
                            .messages = sum(work.each_chunk.messages, work.each_row.messages)};
  return work.collective ? model.collective_us(total) : model.op_us(total);
}

double pipeline_us(std::span<const Stage> stages, std::span<const int64_t> chunk_rows,
                   const CostModel& model) {
  Lanes lanes(model.profile().collective_takes);
  std::vector<double> done(chunk_rows.size(), 0.0);
  for (const Stage& stage : stages) {
    // Chunks are of two sizes at most: all equal but the last.
    const auto both = [&](const std::vector<RowWork>& ops) {
      return std::pair(total_us(ops, chunk_rows.front(), model),
                       total_us(ops, chunk_rows.back(), model));
    };
    const auto compute = both(stage.compute), comm = both(stage.comm);
    const double all = *std::max_element(done.begin(), done.end());
    for (size_t i = 0; i < chunk_rows.size(); ++i) {
      const bool last = i + 1 == chunk_rows.size();
      const double made =
          lanes.compute(stage.continues ? done[i] : all, last ? compute.second : compute.first);
      done[i] = stage.comm.empty() ? made : lanes.comm(made, last ? comm.second : comm.first);
    }
  }
  return lanes.end();
}

}  // namespace braid::cost
