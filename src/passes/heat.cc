#include "passes/heat.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/moe.h"
#include "ops/rows.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using flow::Value;

constexpr flow::Scope kScope = {.layer = -1, .role = flow::Role::router};

bool routes(const Op& op) { return op.desc.is<kernels::RouteDesc>(); }

// Rows [first, first + count) of a resident, which the Program may name already.
Value rows_of(Program& program, const flow::Residents& residents, int32_t index, int64_t first,
              int64_t count) {
  auto found = std::find_if(program.buffers.begin(), program.buffers.end(),
                            [&](const flow::Buffer& buffer) { return buffer.resident == index; });
  const auto buffer = static_cast<int32_t>(found - program.buffers.begin());
  if (found == program.buffers.end()) program.buffers.push_back(residents.buffer_of(index));
  flow::ValueInfo view = residents.whole(index, buffer);
  view.first_row = first;
  view.offset = first * view.stride;
  view.rows = view.region_rows = count;
  program.values.push_back(view);
  return {static_cast<int32_t>(program.values.size()) - 1};
}

Value all_of(Program& program, const flow::Residents& residents, int32_t index) {
  return rows_of(program, residents, index, 0, residents[index].rows);
}

std::string why_off(const HeatOptions& options, bool has_experts) {
  if (!has_experts) return "the model has no experts";
  return options.mode == Switch::off ? "switched off" : "auto: nothing here reads it";
}

// The layers with routing ops, ascending.
std::vector<int32_t> layers_of(const Program& program) {
  std::vector<int32_t> layers;
  for (const Op& op : program.ops) {
    if (routes(op)) layers.push_back(op.scope.layer);
  }
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  return layers;
}

}  // namespace

bool counts_heat(const HeatOptions& options, bool has_experts) {
  if (!has_experts) return false;
  return options.mode == Switch::automatic ? options.wanted : options.mode == Switch::on;
}

Result<Program> count_heat(Program program, const flow::Residents& residents,
                           const HeatBuffers& heat, const layers::RowCounts& own,
                           const HeatOptions& options, Decisions& why) {
  const std::vector<int32_t> layers = layers_of(program);
  if (!heat.present()) {
    why.push_back({"heat", "off", why_off(options, !layers.empty()), 0});
    return program;
  }
  if (residents[heat.counters].rows != 2 * std::ssize(layers)) {
    return Error(ErrorKind::internal, "not every layer with experts has counters")
        .with("layers", layers.size())
        .with("rows of counters", residents[heat.counters].rows);
  }
  int rewrites = 0;
  for (Op& op : program.ops) {
    if (!routes(op)) continue;
    auto desc = op.desc.as<kernels::RouteDesc>();
    desc.decode_rows = own.decode;
    op.desc = flow::AnyDesc(desc);
    const auto layer = std::lower_bound(layers.begin(), layers.end(), op.scope.layer);
    op.operands[ops::RouteOperand::heat] =
        rows_of(program, residents, heat.counters, 2 * (layer - layers.begin()), 2);
    ++rewrites;
  }
  const Value counters = all_of(program, residents, heat.counters);
  const Value snapshot = all_of(program, residents, heat.snapshot);
  program.ops.push_back({.desc = flow::AnyDesc(kernels::CopyDesc{}),
                         .operands = {counters, snapshot},
                         .scope = kScope,
                         .lane = flow::kind_of<kernels::CopyDesc>().home});
  why.push_back({"heat", "on",
                 fmt::format("{}: {} layers count in routing, a copy of {} bytes a step",
                             options.mode == Switch::on ? "asked for" : "auto: wanted here",
                             layers.size(), residents[heat.counters].bytes()),
                 rewrites + 1});
  return program;
}

Program read_back_heat(Program readback, const flow::Residents& residents,
                       const HeatBuffers& heat) {
  if (!heat.present()) return readback;
  const Value snapshot = all_of(readback, residents, heat.snapshot);
  const Value host = all_of(readback, residents, heat.host);
  readback.ops.push_back({.desc = flow::AnyDesc(kernels::ReadBackDesc{}),
                          .operands = {snapshot, host},
                          .scope = kScope,
                          .lane = flow::kind_of<kernels::ReadBackDesc>().home});
  return readback;
}

}  // namespace braid::passes
