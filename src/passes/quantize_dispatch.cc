#include "passes/quantize_dispatch.h"

#include <fmt/format.h>

#include <map>

#include "ops/exchange.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using ops::AllGatherVOperand;
using ops::Payload;

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

// Microseconds until all rows are there, as they are and as fp8.
struct Times {
  double unquantized;
  double fp8;
};

Times times_of(const Traffic& traffic, const DispatchPrices& prices) {
  const auto group = static_cast<double>(traffic.group);
  const auto ranks = static_cast<double>(traffic.ranks);
  const double received = traffic.arrived / prices.link_bytes_per_us;
  const double elements = group * static_cast<double>(traffic.columns);
  const double computed = (prices.quantize_ns + ranks * prices.dequantize_ns) * elements / 1e3;
  const auto fp8 = static_cast<double>(kernels::bytes_per_row(Payload::fp8, traffic.columns));
  return {received * static_cast<double>(traffic.unquantized),
          received * fp8 + computed + 2 * prices.op_us};
}

// The payload, or none, and why.
std::optional<Payload> choose(const Traffic& traffic, const QuantizeDispatchOptions& options,
                              std::string& reason) {
  switch (options.dtype) {
    case DispatchDtype::unquantized: reason = "asked for"; return std::nullopt;
    case DispatchDtype::fp8: reason = "asked for"; return Payload::fp8;
    case DispatchDtype::nvfp4: reason = "asked for"; return Payload::nvfp4;
    case DispatchDtype::automatic: break;
  }
  if (!options.prices) {
    reason = "auto: no measured prices of links and quantization on this device";
    return std::nullopt;
  }
  const Times times = times_of(traffic, *options.prices);
  const bool gains = times.fp8 < times.unquantized;
  reason = fmt::format(
      "auto: rows of {} ranks, {} each at most, take {:.0f} µs as they are, "
      "{:.0f} µs as fp8",
      traffic.ranks, traffic.group, times.unquantized, times.fp8);
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
  Rewrite(Program program, const DispatchSite& site, Payload payload)
      : ops_(std::move(program.ops)), site_(site), payload_(payload), b_(without_ops(program)) {}

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
    return {std::move(program), site_.residents, site_.meshes};
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
                    b_.rows(b_.resident(site_.errors), old.scope.layer, 1));
    ops::dequantize_rows(b_, payload, scales, payload_, all_rows);
  }

  std::vector<Op> ops_;
  const DispatchSite& site_;
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

Result<Program> quantize_dispatch(Program program, const DispatchSite& site,
                                  const QuantizeDispatchOptions& options, Decisions& why) {
  std::vector<int32_t> gathers, producers;
  for (int32_t i = 0; i < std::ssize(program.ops); ++i) {
    if (!dispatches_rows(program.ops[static_cast<size_t>(i)])) continue;
    gathers.push_back(i);
    producers.push_back(last_producer(program, i));
  }
  const auto unchanged = [&](std::string reason) {
    why.push_back({"quantize_dispatch", "unquantized", std::move(reason), 0});
    return std::move(program);
  };
  if (gathers.empty()) return unchanged("no rows go to other ranks' experts (dp 1)");
  const Traffic traffic = traffic_of(program, program.ops[static_cast<size_t>(gathers.front())]);
  std::string reason;
  const std::optional<Payload> payload = choose(traffic, options, reason);
  if (!payload) return unchanged(std::move(reason));
  why.push_back(
      {"quantize_dispatch", std::string(name_of(*payload)),
       fmt::format("{}; {} bytes a row for {}, changes results", reason,
                   kernels::bytes_per_row(*payload, traffic.columns), traffic.unquantized),
       static_cast<int>(gathers.size())});
  return Rewrite(std::move(program), site, *payload).run(gathers, producers);
}

}  // namespace braid::passes
