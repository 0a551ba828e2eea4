#include "start/explain_layout.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/log.h"
#include "layout/expert_reads.h"
#include "model/weight_bytes.h"
#include "start/rank_setting.h"

namespace braid::start {
namespace {

using flow::Role;
using layout::Layout;
using layout::Share;
using Row = std::vector<std::string>;

// The first column to the left, the others to the right, each as wide as its widest cell.
std::string table(const std::vector<Row>& rows, std::string_view indent) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line(indent);
    for (size_t i = 0; i < row.size(); ++i) {
      line += i == 0 ? fmt::format("{:<{}}", row[i], widths[i])
                     : fmt::format("  {:>{}}", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

// "0-3", "5" or "none"
std::string range(const Share& share) {
  if (share.count == 0) return "none";
  if (share.count == 1) return fmt::format("{}", share.first);
  return fmt::format("{}-{}", share.first, share.first + share.count - 1);
}

// Every rank's coordinates on both meshes, and its part of everything.
std::string rank_table(const model::ModelConfig& config, const Layout& layout,
                       const experts::ExpertPlacement* placement) {
  const layout::ModelSizes sizes = model::layout_sizes(config);
  Row heading = {"rank", "dp", "tp", "query heads"};
  if (sizes.num_kv_heads > 0) heading.emplace_back("KV heads");
  heading.emplace_back("vocabulary");
  if (config.moe) {
    for (const char* title : {"ep", "moe tp", "experts", "columns of each"}) {
      heading.emplace_back(title);
    }
  }
  std::vector<Row> rows = {heading};
  for (int32_t rank = 0; rank < layout.world; ++rank) {
    const layout::Shards shards(sizes, layout, rank);
    const auto [dp, tp] = layout.attention.coordinates(rank);
    Row row = {fmt::format("{}", rank), fmt::format("{}", dp), fmt::format("{}", tp),
               range(shards.heads())};
    if (sizes.num_kv_heads > 0) row.push_back(range(shards.kv_heads()));
    row.push_back(range(shards.vocabulary(config.vocab_size)));
    if (config.moe) {
      const auto [ep, moe_tp] = layout.moe.coordinates(rank);
      row.push_back(fmt::format("{}", ep));
      row.push_back(fmt::format("{}", moe_tp));
      row.push_back(placement == nullptr
                        ? range(shards.experts())
                        : fmt::format("{} slots", placement->sizes().slots_of_rank()));
      row.push_back(range(shards.expert_width(config.moe->expert_width)));
    }
    rows.push_back(std::move(row));
  }
  return table(rows, "    ");
}

// Which widths are stored with pads: "a rank's 101 of 202 tokens of the vocabulary as 112".
std::string describe_pads(const model::ModelConfig& config, const layout::Shards& shards) {
  std::vector<std::string> padded;
  const auto add = [&](const Share& share, std::string_view what) {
    if (share.padded == share.count) return;
    padded.push_back(fmt::format("{} {} as {}", share.count, what, share.padded));
  };
  add(shards.vocabulary(config.vocab_size), "tokens of the vocabulary");
  if (config.moe) add(shards.expert_width(config.moe->expert_width), "columns of an expert");
  const auto dense = std::count(config.moe_layers.begin(), config.moe_layers.end(), true);
  if (dense < config.num_layers) {
    add(shards.mlp_width(config.intermediate_size), "columns of a dense MLP");
  }
  if (padded.empty()) return "";
  return fmt::format("  widths are rounded up to {} with zeros: {}\n", layout::kWidthMultiple,
                     fmt::join(padded, ", "));
}

std::string weight_table(const model::ModelConfig& config, Format dtype,
                         const layout::Shards& shards, const experts::ExpertPlacement* placement) {
  const model::WeightBytes bytes = model::weight_bytes(config, dtype, shards, placement);
  std::vector<Row> rows;
  const auto add = [&](std::string what, int64_t size) {
    if (size > 0) rows.push_back({std::move(what), format_bytes(static_cast<double>(size))});
  };
  add("attention", bytes.attention);
  add("dense MLPs, shared experts", bytes.dense);
  add("routed experts", bytes.experts);
  add("routers", bytes.router);
  add("embedding and head", bytes.vocabulary);
  add("in all", bytes.total());
  return "  weights of each rank, alike on all, pads included\n" + table(rows, "    ");
}

std::string cache_line(const model::ModelConfig& config, Format dtype, const Layout& layout) {
  std::string text = fmt::format(
      "  KV cache of a token: {} on each rank of its group",
      format_bytes(
          static_cast<double>(model::DecoderModel::cache_bytes_per_token(config, dtype, layout))));
  const int32_t tp = layout.attention.sizes[1];
  const int64_t kv_heads = model::layout_sizes(config).num_kv_heads;
  if (tp > 1 && kv_heads == 0) {
    text += "; the latent and its cache are on every rank";
  } else if (kv_heads > 0 && kv_heads < tp) {
    text += fmt::format("; each KV head on {} ranks", tp / kv_heads);
  }
  return text + "\n";
}

// What the ranks of a communicator do together.
std::string purpose(const Layout& layout, int32_t id) {
  std::vector<std::string> uses;
  if (layout.attention_sums[0] == id) {
    uses.emplace_back("along dp: rows get to the experts, and their sums back");
  }
  if (layout.attention_sums[1] == id) {
    uses.emplace_back("along tp: sums of attention, MLPs and embedding; gathered logits");
  }
  const auto& moe = layout.moe_sums;
  if (std::find(moe.begin(), moe.end(), id) != moe.end()) {
    uses.emplace_back("along moe ep and moe tp: sums of the experts");
  }
  return fmt::format("{}", fmt::join(uses, "; "));
}

std::string communicator_lines(const Layout& layout) {
  std::string text = "  communicators\n";
  for (size_t id = 0; id < layout.communicators.size(); ++id) {
    std::vector<std::string> groups;
    for (const std::vector<int32_t>& group : layout.communicators[id].groups) {
      groups.push_back(fmt::format("{{{}}}", fmt::join(group, " ")));
    }
    text += fmt::format("    {}: ranks {}, {}\n", id, fmt::join(groups, " "),
                        purpose(layout, static_cast<int32_t>(id)));
  }
  return text;
}

std::string_view moved_by(const flow::Op& op) {
  const std::string_view kind = op.kind().name;
  switch (op.scope.role) {
    case Role::embedding: return "embedded rows";
    case Role::attention: return "attention";
    case Role::mlp: return "dense MLP";
    case Role::experts: return "rows to the experts";
    case Role::head: return "logits, for a token that gets some";
    default: return kind == "reduce_scatter_v" ? "rows from the experts" : "MoE layer";
  }
}

// Equal collectives of a step.
struct Traffic {
  std::string_view what;
  std::string_view kind;
  int32_t communicator = 0;
  double bytes = 0;  // that a rank sends for a token, each time
  int64_t times = 0;
};

std::vector<Traffic> traffic_of(const flow::Program& program, int64_t tokens) {
  std::vector<Traffic> all;
  for (const flow::Op& op : program.ops) {
    if (op.kind().collective == nullptr) continue;
    const flow::OpTypes types = program.types_of(op);
    const double bytes = op.kind().work(op.desc.data(), types).link_bytes;
    const Traffic found{moved_by(op), op.kind().name,
                        op.kind().collective(op.desc.data(), types)->communicator,
                        bytes / static_cast<double>(tokens), 1};
    const auto same = std::find_if(all.begin(), all.end(), [&](const Traffic& other) {
      return other.what == found.what && other.kind == found.kind && other.bytes == found.bytes;
    });
    if (same == all.end()) {
      all.push_back(found);
    } else {
      ++same->times;
    }
  }
  return all;
}

// What a decode step moves, from its Program: every group has as many tokens.
std::string traffic_table(const model::ModelConfig& config, const model::ModelOptions& model) {
  constexpr int32_t kTokens = 8;
  const layers::RowCounts rows{.decode = kTokens};
  const model::DecoderModel decoder(config, {.dtype = model.dtype,
                                             .max_rows = rows,
                                             .num_blocks = 1,
                                             .max_blocks = 1,
                                             .layout = model.layout});
  const auto program = decoder.build({.own = rows, .group = rows});
  BRAID_CHECK(program.ok(), "{}", program.status().to_string());
  std::vector<Row> lines = {{"", "collective", "ranks", "communicator", "bytes", "times"}};
  double total = 0;
  for (const Traffic& traffic : traffic_of(*program, kTokens)) {
    const auto id = static_cast<size_t>(traffic.communicator);
    lines.push_back({std::string(traffic.what), std::string(traffic.kind),
                     fmt::format("{}", model.layout.communicators[id].groups[0].size()),
                     fmt::format("{}", id), fmt::format("{:.0f}", traffic.bytes),
                     fmt::format("{}", traffic.times)});
    total += traffic.bytes * static_cast<double>(traffic.times);
  }
  return fmt::format("  a rank sends for each token of its group: {} in a step\n",
                     format_bytes(total)) +
         table(lines, "    ");
}

// Why expert parallelism can be slower than tensor parallelism.
std::string balance_lines(const model::MoeConfig& moe, int32_t ep) {
  std::vector<std::string> factors;
  for (const int64_t tokens : {1, 4, 16, 64}) {
    factors.push_back(fmt::format("{:.2f}x at {}",
                                  layout::slowest_over_even(moe.num_experts, moe.top_k, ep, tokens),
                                  tokens));
  }
  return fmt::format(
      "  why is EP slower than TP in decode?\n"
      "    A step reads the experts that its tokens chose, and the rank with most of them sets "
      "its\n"
      "    time. With random routing the slowest of {} groups reads, relative to --ep 1, of the\n"
      "    routed experts' weights {} tokens.\n"
      "    No code makes up for that. Whole experts pay in prefill: they make larger products.\n",
      ep, fmt::join(factors, ", "));
}

}  // namespace

std::string explain_layout(const model::ModelConfig& config, const model::ModelOptions& model,
                           const ParsedOptions& options, const std::string& ranks) {
  const Layout& layout = model.layout;
  if (layout.world == 1) {
    const bool cuda = device_of(options) == ranks::DeviceKind::cuda;
    return fmt::format("  one rank on {}: every tensor whole, no collectives\n",
                       cuda ? "a GPU" : "the CPU");
  }
  const layout::Shards shards(model::layout_sizes(config), layout, 0);
  const auto [dp, tp] = layout.attention.sizes;
  std::string text = fmt::format("  {}, {}\n", layout.to_string(), ranks);
  if (options.flag("enable-dp-attention")) {
    text += fmt::format(
        "  --enable-dp-attention: --tp {} counts the ranks of all {} groups; without it the same "
        "is "
        "--tp {} --dp {}\n",
        options.integer("tp"), dp, tp, dp);
  }
  if (dp > 1) {
    text += fmt::format(
        "  {} groups with requests of their own; before the experts the rows of all are gathered, "
        "their sums scattered behind them\n",
        dp);
  }
  const experts::ExpertPlacement* const placement = model.placement.get();
  if (dp > 1 && tp == 1 && layout.moe.sizes[1] == 1 && placement == nullptr) {
    text += "  or each row is sent to the ranks of its experts alone, as the steps below say\n";
  }
  text += rank_table(config, layout, placement) + describe_pads(config, shards) +
          weight_table(config, model.dtype, shards, placement) +
          cache_line(config, model.dtype, layout) + communicator_lines(layout) +
          traffic_table(config, model);
  text +=
      "  summed in the order of the ranks: the same bits in every run, other roundings than on one "
      "rank\n";
  if (config.moe && layout.moe.sizes[0] > 1) {
    text += balance_lines(*config.moe, layout.moe.sizes[0]);
  }
  return text;
}

}  // namespace braid::start
