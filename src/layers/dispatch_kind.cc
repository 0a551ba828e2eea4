#include "layers/dispatch_kind.h"

#include <fmt/format.h>

#include <algorithm>

namespace braid::layers {
namespace {

using ops::DispatchKind;

constexpr int32_t kFewestRanks = 4;

bool differs_along_dp(const DispatchFacts& facts) {
  return facts.top_k > 0 && facts.attention[0] > 1;
}

// Why rows can't be sent to the ranks of their experts alone. Empty where they can.
std::string obstacle(const DispatchFacts& facts) {
  if (!differs_along_dp(facts)) return "no rows are dispatched (dp 1, or no experts)";
  if (facts.attention[1] > 1) {
    return fmt::format("ranks along tp have copies of the same rows (tp is {}, not 1)",
                       facts.attention[1]);
  }
  if (facts.moe[1] > 1) {
    return fmt::format("ranks share experts by their width (moe_tp is {}, not 1)", facts.moe[1]);
  }
  if (facts.placed) return "a table says which slots an expert has, not its number";
  return {};
}

// Bytes into each rank in one layer, on both ways, with ids and weights.
double gathered_bytes(const DispatchFacts& facts) {
  const auto row = static_cast<double>(2 * facts.row_bytes + 8 * facts.top_k);
  return static_cast<double>((facts.attention[0] - 1) * facts.group) * row;
}

int64_t fan_out(const DispatchFacts& facts) { return std::min<int64_t>(facts.top_k, facts.moe[0]); }

double sent_bytes(const DispatchFacts& facts) {
  return gathered_bytes(facts) * static_cast<double>(fan_out(facts)) / facts.moe[0];
}

// Microseconds of a step's dispatches and their ways back, if each layer moves so many bytes.
double link_us(double bytes, const DispatchFacts& facts, const cost::CostModel& model) {
  const double messages = facts.attention[0] - 1;
  const double way = model.collective_us({.link_bytes = bytes / 2, .messages = messages});
  return static_cast<double>(2 * facts.moe_layers) * way;
}

std::string compare(const DispatchFacts& facts) {
  return fmt::format(
      "a row goes to {} of {} ranks at most: {:.1f} kB into each a layer, {:.1f} kB "
      "with a gather",
      fan_out(facts), facts.moe[0], sent_bytes(facts) / 1e3, gathered_bytes(facts) / 1e3);
}

}  // namespace

Result<DispatchChoice> parse_dispatch(std::string_view option, std::string_view text) {
  if (text == "auto") return DispatchChoice::automatic;
  if (text == "gather") return DispatchChoice::gather;
  if (text == "all-to-all") return DispatchChoice::all_to_all;
  return Error(ErrorKind::usage, "not a way of rows to their experts")
      .with(option, text)
      .remedy("Use auto, gather or all-to-all.");
}

Status check_dispatch(const DispatchFacts& facts, DispatchChoice choice) {
  const std::string why = obstacle(facts);
  if (choice != DispatchChoice::all_to_all || why.empty()) return {};
  return Error(ErrorKind::usage, "rows can't be sent to the ranks of their experts alone")
      .with("--dispatch", "all-to-all")
      .with("reason", why)
      .remedy("Use --dispatch auto, or --dp with --tp 1 and as many parts of the experts (--ep).");
}

DispatchKind choose_dispatch(const DispatchFacts& facts, DispatchChoice choice,
                             const cost::CostModel& model, cost::Decisions& why) {
  const double gather_us = link_us(gathered_bytes(facts), facts, model);
  const double send_us = link_us(sent_bytes(facts), facts, model);
  const auto decide = [&](DispatchKind kind, std::string reason) {
    const char* name = kind == DispatchKind::gather ? "gather" : "all-to-all";
    std::vector<cost::Alternative> alternatives;
    if (obstacle(facts).empty()) alternatives = {{"gather", gather_us}, {"all-to-all", send_us}};
    why.push_back({"dispatch", name, std::move(reason), 0, std::move(alternatives)});
    return kind;
  };
  if (!differs_along_dp(facts)) {
    why.push_back({"dispatch", "none", obstacle(facts)});
    return DispatchKind::gather;
  }
  if (choice == DispatchChoice::gather) return decide(DispatchKind::gather, "asked for");
  if (choice == DispatchChoice::all_to_all) {
    return decide(DispatchKind::all_to_all, "asked for; " + compare(facts));
  }
  if (const std::string no = obstacle(facts); !no.empty()) {
    return decide(DispatchKind::gather, "auto: " + no);
  }
  if (facts.moe[0] < kFewestRanks) {
    return decide(DispatchKind::gather,
                  fmt::format("auto: {} ranks; nearly every row is needed on all of them below {}",
                              facts.moe[0], kFewestRanks));
  }
  const bool sooner = send_us < gather_us;
  return decide(sooner ? DispatchKind::all_to_all : DispatchKind::gather,
                "auto: " + compare(facts));
}

}  // namespace braid::layers
