#include "passes/row_segments.h"

#include <algorithm>

#include "flow/rewrite.h"
#include "ops/collectives.h"
#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/rows.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using flow::Value;

bool makes_rows(const Op& op) {
  return op.desc.is<kernels::GemmDesc>() || op.desc.is<kernels::CombineDesc>();
}

bool contains(const std::vector<int32_t>& list, int32_t item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

class Finder {
 public:
  Finder(const Program& program, int64_t rows, const SegmentOptions& options)
      : program_(program),
        rows_(rows),
        options_(options),
        writers_(program.buffers.size()),
        readers_(program.buffers.size()),
        part_(program.ops.size()),
        taken_(program.ops.size()) {
    for (size_t i = 0; i < program.ops.size(); ++i) {
      flow::for_each_region(program, program.ops[i], [&](const flow::Region& region) {
        const auto buffer = static_cast<size_t>(region.buffer);
        if (flow::writes(region.access)) writers_[buffer].push_back(static_cast<int32_t>(i));
        if (flow::reads(region.access)) readers_[buffer].push_back(static_cast<int32_t>(i));
      });
    }
  }

  std::vector<RowSegment> run() && {
    for (size_t i = 0; i < program_.ops.size(); ++i) visit(static_cast<int32_t>(i));
    end_run();
    for (RowSegment& segment : segments_) gather(segment);
    return std::move(segments_);
  }

 private:
  const Op& at(int32_t op) const { return program_.ops[static_cast<size_t>(op)]; }
  int32_t buffer_of(Value value) const { return program_.info(value).buffer; }
  bool cuttable(int32_t op) const { return flow::splittable_rows(program_, at(op)) == rows_; }

  void visit(int32_t op) {
    if (at(op).desc.is<ops::AllReduceDesc>() && cuttable(op)) return visit_reduction(op);
    if (continuing_ && is_part(op)) {
      part_[static_cast<size_t>(op)] = true;
      segments_.back().parts.push_back(op);
    } else if (continuing_ && follows(op)) {
      run_.push_back(op);
    } else {
      end_run();
      continuing_ = false;
    }
  }

  void visit_reduction(int32_t reduce) {
    RowSegment segment{.reduce = reduce, .continues = continuing_ && !run_.empty()};
    segment.ops = segment.continues ? std::exchange(run_, {}) : producers_of(reduce);
    continuing_ = options_.continued && !segment.ops.empty();
    if (segment.ops.empty()) return;
    add(std::move(segment));
  }

  // Ops behind a reduction that no other one follows.
  void end_run() {
    if (!run_.empty()) add({.ops = std::exchange(run_, {}), .continues = true});
  }

  void add(RowSegment segment) {
    for (const int32_t op : segment.ops) taken_[static_cast<size_t>(op)] = true;
    segments_.push_back(std::move(segment));
  }

  // The op that makes `value` for `reader` alone, if it can be cut as the reader is; else −1.
  int32_t private_producer(Value value, int32_t reader) const {
    const auto buffer = static_cast<size_t>(buffer_of(value));
    const bool ours = program_.buffers[buffer].lifetime == flow::Lifetime::step &&
                      writers_[buffer].size() == 1 &&
                      readers_[buffer] == std::vector<int32_t>{reader};
    if (!ours) return -1;
    const int32_t producer = writers_[buffer].front();
    const bool alike = at(producer).kind().collective == nullptr && cuttable(producer) &&
                       !taken_[static_cast<size_t>(producer)];
    return alike ? producer : -1;
  }

  // What makes the input of an all-reduce, ascending; empty when nothing can run beside it. Terms
  // of a sum that are made on another lane stay whole: they overlap already.
  std::vector<int32_t> producers_of(int32_t reduce) const {
    const int32_t producer =
        private_producer(at(reduce).operands[ops::AllReduceOperand::in], reduce);
    if (producer < 0) return {};
    if (makes_rows(at(producer))) return {producer};
    if (!at(producer).desc.is<kernels::AddDesc>()) return {};
    std::vector<int32_t> ops;
    for (const size_t term : {ops::AddOperand::a, ops::AddOperand::b}) {
      const int32_t maker = private_producer(at(producer).operands[term], producer);
      if (maker >= 0 && makes_rows(at(maker)) && at(maker).lane == at(producer).lane) {
        ops.push_back(maker);
      }
    }
    // The sum alone hides nothing, but what continues behind it can.
    if (ops.empty() && !options_.continued) return {};
    std::sort(ops.begin(), ops.end());
    ops.push_back(producer);
    return ops;
  }

  // Whether an op behind a reduction can be cut with it: rows of all that it reads of the run are
  // those that it makes.
  bool follows(int32_t op) const {
    if (!cuttable(op) || at(op).lane != flow::Lane::compute) return false;
    for (size_t i = 0; i < at(op).operands.size(); ++i) {
      const bool whole = at(op).kind().operands[i].slicing == flow::Slicing::whole;
      if (whole && at(op).operands[i].present() && made_in_run(at(op).operands[i])) return false;
    }
    return true;
  }

  // Written by an op of the run, or of the segment that it follows.
  bool made_in_run(Value value) const {
    const RowSegment& before = segments_.back();
    for (const int32_t writer : writers_[static_cast<size_t>(buffer_of(value))]) {
      if (contains(run_, writer) || contains(before.ops, writer) ||
          contains(before.parts, writer) || writer == before.reduce) {
        return true;
      }
    }
    return false;
  }

  // Whether an op adds to the last reduction's result, or normalises such a sum.
  bool is_part(int32_t op) const {
    const bool kind =
        at(op).desc.is<kernels::AddDesc>() || (at(op).desc.is<kernels::RmsNormDesc>() &&
                                               at(op).desc.as<kernels::RmsNormDesc>().group == 0);
    const auto ranks = at(segments_.back().reduce).desc.as<ops::AllReduceDesc>();
    if (!kind || options_.ranks == 1 || ranks.ranks != options_.ranks) return false;
    if (ranks.method != ops::ReduceMethod::direct || !cuttable(op)) return false;
    if (at(op).lane != flow::Lane::compute || !whole_step_buffer(output_of(at(op)))) {
      return false;
    }
    bool reads_part = false;
    for (size_t i = 0; i + 1 < at(op).operands.size(); ++i) {
      const Value value = at(op).operands[i];
      if (!value.present()) continue;
      reads_part = reads_part || is_of_parts(value);
      for (const int32_t writer : writers_[static_cast<size_t>(buffer_of(value))]) {
        if (contains(run_, writer)) return false;  // which is computed behind the parts
      }
    }
    return reads_part;
  }

  // Made by the last reduction or a part behind it.
  bool is_of_parts(Value value) const {
    const RowSegment& segment = segments_.back();
    const auto& writers = writers_[static_cast<size_t>(buffer_of(value))];
    return writers.size() == 1 &&
           (writers[0] == segment.reduce || contains(segment.parts, writers[0]));
  }

  bool whole_step_buffer(Value value) const {
    const flow::ValueInfo& info = program_.info(value);
    const flow::Buffer& buffer = program_.buffers[static_cast<size_t>(info.buffer)];
    return buffer.lifetime == flow::Lifetime::step && info.rows == buffer.rows &&
           info.stride == buffer.row_bytes && info.offset == 0 &&
           writers_[static_cast<size_t>(info.buffer)].size() == 1;
  }

  // What others than parts read.
  void gather(RowSegment& segment) const {
    if (segment.parts.empty()) return;
    std::vector<int32_t> makers = segment.parts;
    makers.insert(makers.begin(), segment.reduce);
    for (const int32_t maker : makers) {
      const Value value = output_of(at(maker));
      const auto& readers = readers_[static_cast<size_t>(buffer_of(value))];
      const bool elsewhere = std::any_of(readers.begin(), readers.end(), [&](int32_t reader) {
        return !part_[static_cast<size_t>(reader)];
      });
      if (elsewhere) segment.gathered.push_back(maker);
    }
  }

  const Program& program_;
  const int64_t rows_;
  const SegmentOptions& options_;
  std::vector<std::vector<int32_t>> writers_;  // by buffer: ops
  std::vector<std::vector<int32_t>> readers_;
  std::vector<bool> part_;   // by op
  std::vector<bool> taken_;  // by op
  std::vector<RowSegment> segments_;
  bool continuing_ = false;   // all ops since the last reduction can be cut
  std::vector<int32_t> run_;  // these ops, parts aside
};

}  // namespace

std::vector<RowSegment> find_row_segments(const Program& program, int64_t rows,
                                          const SegmentOptions& options) {
  return Finder(program, rows, options).run();
}

}  // namespace braid::passes
