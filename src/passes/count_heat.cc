#include "passes/count_heat.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/moe.h"
#include "ops/route_experts.h"
#include "ops/rows.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using flow::Value;

constexpr std::string_view kOptions[] = {"expert-heat"};
constexpr flow::Scope kScope = {.layer = -1, .role = flow::Role::router};

bool routes(const Op& op) {
  return op.desc.is<kernels::RouteDesc>() || op.desc.is<kernels::RouteExpertsDesc>();
}

// Lets a routing op count into `counters`: of its first `decode_rows` rows those of decode.
void count_into(Op& op, Value counters, int32_t decode_rows) {
  if (op.desc.is<kernels::RouteDesc>()) {
    auto desc = op.desc.as<kernels::RouteDesc>();
    desc.decode_rows = decode_rows;
    op.desc = flow::AnyDesc(desc);
    op.operands[ops::RouteOperand::heat] = counters;
  } else {
    auto desc = op.desc.as<kernels::RouteExpertsDesc>();
    desc.route.decode_rows = decode_rows;
    op.desc = flow::AnyDesc(desc);
    op.operands[ops::RouteExpertsOperand::heat] = counters;
  }
}

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

Result<Program> count_heat(Program program, const HeatOptions& options,
                           const PassContext& context) {
  const std::vector<int32_t> layers = layers_of(program);
  const layers::HeatBuffers& heat = context.buffers.heat;
  const flow::Residents& residents = context.residents;
  if (!counts_heat(options, heat.present())) {
    context.decisions.push_back({"count_heat", "off", why_off(options, !layers.empty())});
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
    const auto layer = std::lower_bound(layers.begin(), layers.end(), op.scope.layer);
    count_into(op, rows_of(program, residents, heat.counters, 2 * (layer - layers.begin()), 2),
               context.shape.own.decode);
    ++rewrites;
  }
  const Value counters = all_of(program, residents, heat.counters);
  const Value snapshot = all_of(program, residents, heat.snapshot);
  program.ops.push_back({.desc = flow::AnyDesc(kernels::CopyDesc{}),
                         .operands = {counters, snapshot},
                         .scope = kScope,
                         .lane = flow::kind_of<kernels::CopyDesc>().home});
  const auto bytes = static_cast<double>(residents[heat.counters].bytes());
  context.decisions.push_back(
      {"count_heat",
       "on",
       fmt::format("{}: {} layers count in routing, a copy of {} bytes a step",
                   options.mode == Switch::on ? "asked for" : "auto: wanted here", layers.size(),
                   residents[heat.counters].bytes()),
       rewrites + 1,
       {{"off", 0}, {"on", context.cost().op_us({.bytes = 2 * bytes})}}});
  return program;
}

Program read_back_heat(Program readback, const HeatOptions& options, const PassContext& context) {
  const layers::HeatBuffers& heat = context.buffers.heat;
  if (!counts_heat(options, heat.present())) return readback;
  const Value snapshot = all_of(readback, context.residents, heat.snapshot);
  const Value host = all_of(readback, context.residents, heat.host);
  readback.ops.push_back({.desc = flow::AnyDesc(kernels::ReadBackDesc{}),
                          .operands = {snapshot, host},
                          .scope = kScope,
                          .lane = flow::kind_of<kernels::ReadBackDesc>().home});
  return readback;
}

constinit const Pass kCountHeat = {
    .name = "count_heat",
    .options = kOptions,
    .parse = [](const ParsedOptions& from, PassOptions& to) -> Status {
      to.of<HeatOptions>().mode = TRY(parse_switch("--expert-heat", from.text("expert-heat")));
      return {};
    },
    .run =
        [](Program program, const PassContext& context) {
          return count_heat(std::move(program), context.options.of<HeatOptions>(), context);
        },
    .run_read_back =
        [](Program readback, const PassContext& context) {
          return read_back_heat(std::move(readback), context.options.of<HeatOptions>(), context);
        }};

}  // namespace braid::passes
