#include "lab/layer_variants.h"

#include <algorithm>

#include "ops/row_parts.h"

namespace braid::lab {

using flow::Op;
using flow::Program;
using flow::Value;
using ops::AllReduceDesc;
using ops::AllReduceOperand;

namespace {

bool is_collective(const Op& op) { return op.desc.is<AllReduceDesc>(); }

}  // namespace

Program with_method(Program program, ops::ReduceMethod method) {
  for (Op& op : program.ops) {
    if (!is_collective(op)) continue;
    auto desc = op.desc.as<AllReduceDesc>();
    desc.method = method;
    op.desc = flow::AnyDesc(desc);
  }
  return program;
}

Result<Program> without_collectives(const Program& program) {
  Program out = program;
  out.ops.clear();
  // Views of a result (other rows or columns of its buffer) become views of what went in.
  std::vector<int32_t> instead(program.buffers.size(), -1);
  for (const Op& op : program.ops) {
    if (!is_collective(op)) {
      out.ops.push_back(op);
      continue;
    }
    const flow::ValueInfo& in = program.info(op.operands[AllReduceOperand::in]);
    const flow::ValueInfo& result = program.info(op.operands[AllReduceOperand::out]);
    const bool whole = in.offset == 0 && result.offset == 0 && in.stride == result.stride;
    if (!whole ||
        program.buffers[static_cast<size_t>(result.buffer)].lifetime != flow::Lifetime::step) {
      return Error(ErrorKind::internal, "only sums of whole step buffers can be left out")
          .with("op", program.describe(op));
    }
    instead[static_cast<size_t>(result.buffer)] = in.buffer;
  }
  for (flow::ValueInfo& value : out.values) {
    const int32_t other = value.buffer < 0 ? -1 : instead[static_cast<size_t>(value.buffer)];
    if (other >= 0) value.buffer = other;
  }
  return out;
}

Result<Program> collectives_alone(const Program& program, const flow::Residents& residents,
                                  int32_t source) {
  Program out = program;
  out.ops.clear();
  const flow::Resident& from = residents[source];
  const auto buffer = static_cast<int32_t>(out.buffers.size());
  out.buffers.push_back({.label = from.name,
                         .lifetime = from.lifetime,
                         .resident = source,
                         .rows = from.rows,
                         .row_bytes = from.row_bytes()});
  for (const Op& op : program.ops) {
    if (!is_collective(op)) continue;
    flow::ValueInfo in = program.info(op.operands[AllReduceOperand::in]);
    if (in.rows > from.rows || in.cols != from.cols || in.format != from.format) {
      return Error(ErrorKind::internal, "the source has other rows than this sum")
          .with("op", program.describe(op))
          .with("source", from.name);
    }
    in.buffer = buffer;
    in.first_row = in.first_col = in.offset = 0;
    in.region_rows = in.rows;
    out.values.push_back(in);
    Op alone = op;
    alone.operands[AllReduceOperand::in] = Value{static_cast<int32_t>(out.values.size()) - 1};
    out.ops.push_back(alone);
  }
  return out;
}

int64_t num_collectives(const Program& program) {
  return std::count_if(program.ops.begin(), program.ops.end(), [](const Op& op) {
    return is_collective(op) || op.desc.is<ops::ReduceScatterDesc>();
  });
}

double hidden_at_most(const Program& chunked, int64_t uncut, bool continued) {
  const auto pieces = static_cast<double>(num_collectives(chunked));
  return continued ? 1 - 1 / pieces : 1 - static_cast<double>(uncut) / pieces;
}

}  // namespace braid::lab
