#include "passes/quantize_dispatch.h"

#include <fmt/format.h>

#include <optional>

#include "ops/exchange.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using ops::AllGatherVOperand;
using ops::Payload;

constexpr std::string_view kOptions[] = {"dispatch-dtype"};

std::string_view name_of(Payload payload) { return payload == Payload::fp8 ? "fp8" : "nvfp4"; }

bool sends_rows(const Op& op) { return op.desc.is<ops::AllToAllVDesc>(); }

// An AllToAllVOperand is an AllGatherVOperand, or one behind those.
bool dispatches_rows(const Op& op) {
  const bool dispatches = op.desc.is<ops::AllGatherVDesc>() || sends_rows(op);
  return dispatches && !op.operands[AllGatherVOperand::scales].present();
}

// One dispatch's rows.
struct Traffic {
  int64_t ranks;
  int64_t group;   // rows of the largest rank
  double arrived;  // rows from other ranks
  int64_t columns;
  int64_t unquantized;  // bytes a row
};

Traffic traffic_of(const Program& program, const Op& gather) {
  const bool sends = sends_rows(gather);
  const int64_t ranks = sends ? gather.desc.as<ops::AllToAllVDesc>().ranks
                              : gather.desc.as<ops::AllGatherVDesc>().ranks;
  const flow::ValueInfo& all = program.info(gather.operands[AllGatherVOperand::all_rows]);
  const int64_t top_k = program.info(gather.operands[AllGatherVOperand::ids]).cols;
  const int64_t group = all.rows / ranks;
  const auto others = static_cast<double>(group * (ranks - 1));
  const double share =
      sends ? static_cast<double>(std::min(top_k, ranks)) / static_cast<double>(ranks) : 1.0;
  return {ranks, group, others * share, all.cols, all.cols * bytes_of(all.format)};
}

// Predicts the time until all rows of a step's dispatches are there, unquantized and as fp8.
std::vector<cost::Alternative> predict(const Traffic& traffic, size_t dispatches,
                                       const cost::CostModel& cost) {
  const auto times = static_cast<double>(dispatches);
  const auto ranks = static_cast<double>(traffic.ranks);
  const double elements = static_cast<double>(traffic.group * traffic.columns);
  const auto received_us = [&](int64_t row_bytes) {
    return cost.collective_us(
        {.link_bytes = traffic.arrived * static_cast<double>(row_bytes), .messages = ranks - 1});
  };
  std::vector<cost::Alternative> all = {{"unquantized", times * received_us(traffic.unquantized)}};
  if (cost.knows_quantization()) {
    const double fp8 = received_us(kernels::bytes_per_row(Payload::fp8, traffic.columns));
    const double computed = cost.quantize_us(elements) + cost.dequantize_us(ranks * elements);
    all.push_back({"fp8", times * (fp8 + computed)});
  }
  return all;
}

// The payload, or none, and why.
std::optional<Payload> choose(const Traffic& traffic, DispatchDtype dtype,
                              const std::vector<cost::Alternative>& alternatives,
                              std::string& reason) {
  switch (dtype) {
    case DispatchDtype::unquantized: reason = "asked for"; return std::nullopt;
    case DispatchDtype::fp8: reason = "asked for"; return Payload::fp8;
    case DispatchDtype::nvfp4: reason = "asked for"; return Payload::nvfp4;
    case DispatchDtype::automatic: break;
  }
  if (alternatives.size() == 1) {
    reason = "auto: the device profile has no measured time of quantization";
    return std::nullopt;
  }
  reason = fmt::format("auto: rows of {} ranks, {} each at most", traffic.ranks, traffic.group);
  const bool gains = alternatives[1].us < alternatives[0].us;
  return gains ? std::optional(Payload::fp8) : std::nullopt;
}

// The last op before `gather` that writes what it reads.
int32_t last_producer(const Program& program, int32_t gather) {
  const Op& reader = program.ops[static_cast<size_t>(gather)];
  int32_t producer = gather - 1;
  while (producer > 0 &&
         !flow::conflict(program, program.ops[static_cast<size_t>(producer)], reader)) {
    --producer;
  }
  return producer;
}

class Rewrite {
 public:
  Rewrite(Program program, const PassContext& context, Payload payload)
      : ops_(std::move(program.ops)),
        context_(context),
        payload_(payload),
        b_(without_ops(program)) {}

  Result<Program> run(const std::vector<int32_t>& gathers, const std::vector<int32_t>& producers) {
    size_t quantized = 0, gathered = 0;
    std::vector<ops::QuantizedRows> rows;
    for (int32_t i = 0; i < std::ssize(ops_); ++i) {
      const Op& op = ops_[static_cast<size_t>(i)];
      if (gathered < gathers.size() && gathers[gathered] == i) {
        gather(op, rows[gathered++]);
      } else {
        b_.append(op);
      }
      for (; quantized < producers.size() && producers[quantized] == i; ++quantized) {
        const Op& reader = ops_[static_cast<size_t>(gathers[quantized])];
        b_.set_scope(reader.scope);
        rows.push_back(ops::quantize_rows(b_, reader.operands[AllGatherVOperand::rows], payload_));
      }
    }
    return std::move(b_).finish();
  }

 private:
  ops::Builder without_ops(Program& program) {
    program.ops.clear();
    return {std::move(program), context_.residents, context_.meshes};
  }

  // What reads the rows of all ranks finds them where the old gather put them.
  void gather(const Op& old, const ops::QuantizedRows& rows) {
    const auto operand = [&](size_t index) { return old.operands[index]; };
    const flow::Value all_rows = operand(AllGatherVOperand::all_rows);
    const auto all = [&](std::string_view label, flow::Value own) {
      return b_.step(label, b_.format(own), b_.num_rows(all_rows), b_.num_cols(own),
                     b_.placement(all_rows));
    };
    const flow::Value payload = all("all_payload", rows.payload);
    const flow::Value scales = all("all_scales", rows.scales);
    b_.set_scope(old.scope);
    Op op = old;
    op.operands[AllGatherVOperand::rows] = rows.payload;
    op.operands[AllGatherVOperand::scales] = rows.scales;
    op.operands[AllGatherVOperand::all_rows] = payload;
    op.operands[AllGatherVOperand::all_scales] = scales;
    b_.append(op);
    // Beside the gather, where nothing waits for it.
    ops::sum_errors(b_, rows.errors, operand(AllGatherVOperand::ids),
                    b_.rows(b_.resident(context_.buffers.dispatch_errors), old.scope.layer, 1));
    ops::dequantize_rows(b_, payload, scales, payload_, all_rows);
  }

  std::vector<Op> ops_;
  const PassContext& context_;
  Payload payload_;
  ops::Builder b_;
};

}  // namespace

Result<DispatchDtype> parse_dispatch_dtype(std::string_view option, std::string_view text) {
  if (text == "auto") return DispatchDtype::automatic;
  if (text == "unquantized") return DispatchDtype::unquantized;
  if (text == "fp8") return DispatchDtype::fp8;
  if (text == "nvfp4") return DispatchDtype::nvfp4;
  return Error(ErrorKind::usage, "not a format of rows between ranks")
      .with(option, text)
      .remedy("Use auto, unquantized, fp8 or nvfp4.");
}

Result<Program> quantize_dispatch(Program program, const QuantizeDispatchOptions& options,
                                  const PassContext& context) {
  std::vector<int32_t> gathers, producers;
  for (int32_t i = 0; i < std::ssize(program.ops); ++i) {
    if (!dispatches_rows(program.ops[static_cast<size_t>(i)])) continue;
    gathers.push_back(i);
    producers.push_back(last_producer(program, i));
  }
  Decision decision{.pass = "quantize_dispatch", .choice = "unquantized"};
  if (gathers.empty()) {
    decision.reason = "no rows go to other ranks' experts (dp 1)";
    context.decisions.push_back(std::move(decision));
    return program;
  }
  const Traffic traffic = traffic_of(program, program.ops[static_cast<size_t>(gathers.front())]);
  decision.alternatives = predict(traffic, gathers.size(), context.cost());
  const std::optional<Payload> payload =
      choose(traffic, options.dtype, decision.alternatives, decision.reason);
  if (payload) {
    decision.choice = name_of(*payload);
    decision.rewrites = static_cast<int>(gathers.size());
    decision.reason +=
        fmt::format("; {} bytes a row for {}, changes results",
                    kernels::bytes_per_row(*payload, traffic.columns), traffic.unquantized);
  }
  context.decisions.push_back(std::move(decision));
  if (!payload) return program;
  return Rewrite(std::move(program), context, *payload).run(gathers, producers);
}

constinit const Pass kQuantizeDispatch = {
    .name = "quantize_dispatch",
    .options = kOptions,
    .parse = [](const ParsedOptions& from, PassOptions& to) -> Status {
      to.of<QuantizeDispatchOptions>().dtype =
          TRY(parse_dispatch_dtype("--dispatch-dtype", from.text("dispatch-dtype")));
      return {};
    },
    .run =
        [](Program program, const PassContext& context) {
          return quantize_dispatch(std::move(program),
                                   context.options.of<QuantizeDispatchOptions>(), context);
        }};

}  // namespace braid::passes
