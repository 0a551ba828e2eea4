#include "cli/heat_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/json.h"
#include "experts/heat_balance.h"

namespace braid::cli {
namespace {

using engine::HeatRecord;
using experts::Balance;
using experts::Phase;

// Layers that are listed as the worst.
constexpr size_t kWorst = 3;

// One layer's heat, all groups together.
struct LayerHeat {
  int32_t layer = 0;
  double choices = 0;
  double hottest = 0;  // choices of the most chosen expert, over the mean of all
  Balance balance;
};

template <typename Count>
LayerHeat layer_heat(int32_t layer, std::span<const Count> heat, const HeatLayout& layout) {
  LayerHeat out{.layer = layer,
                .balance = experts::balance_of(heat, {layout.holders}, layout.ranks)};
  for (const Count count : heat) out.choices += static_cast<double>(count);
  const auto most = static_cast<double>(*std::max_element(heat.begin(), heat.end()));
  if (out.choices > 0) out.hottest = most * static_cast<double>(heat.size()) / out.choices;
  return out;
}

std::vector<LayerHeat> layers_of(const HeatRecord& record, const experts::Heat& heat, Phase phase,
                                 const HeatLayout& layout) {
  std::vector<LayerHeat> layers;
  for (int32_t i = 0; i < record.sizes.layers; ++i) {
    layers.push_back(
        layer_heat<uint64_t>(record.layers[static_cast<size_t>(i)], heat.of(phase, i), layout));
  }
  return layers;
}

std::vector<LayerHeat> recent_layers(const HeatRecord& record, Phase phase,
                                     const HeatLayout& layout, double half_life) {
  experts::DecayedHeat heat(record.sizes, half_life);
  for (const HeatRecord::Window& window : record.windows) heat.add(window.heat);
  std::vector<LayerHeat> layers;
  for (int32_t i = 0; i < record.sizes.layers; ++i) {
    layers.push_back(layer_heat(record.layers[static_cast<size_t>(i)], heat.of(phase, i), layout));
  }
  return layers;
}

double balancedness(const std::vector<LayerHeat>& layers) {
  return std::accumulate(
             layers.begin(), layers.end(), Balance{},
             [](const Balance& sum, const LayerHeat& layer) { return sum + layer.balance; })
      .balancedness();
}

// The least balanced first; of equals the lower layer.
std::vector<LayerHeat> worst_of(std::vector<LayerHeat> layers) {
  std::stable_sort(layers.begin(), layers.end(), [](const LayerHeat& a, const LayerHeat& b) {
    return a.balance.balancedness() < b.balance.balancedness();
  });
  layers.resize(std::min(layers.size(), kWorst));
  return layers;
}

std::string steps_text(const HeatRecord::Window& window) {
  return fmt::format("{} to {}", window.first_step, window.last_step);
}

std::string window_line(Phase phase, const std::string& steps, const std::string& rows,
                        const std::vector<LayerHeat>& layers) {
  const LayerHeat worst = worst_of(layers).front();
  return fmt::format("{:<8} {:>14} {:>9} {:>13.4f} {:>10.4f} in layer {}\n", name_of(phase), steps,
                     rows, balancedness(layers), worst.balance.balancedness(), worst.layer);
}

std::string layer_table(Phase phase, const std::vector<LayerHeat>& layers) {
  std::string text = fmt::format("{:<8} {:>5} {:>11} {:>17} {:>12} {:>13}\n", "phase", "layer",
                                 "choices", "hottest / mean", "busiest rank", "balancedness");
  for (const LayerHeat& layer : layers) {
    text += fmt::format("{:<8} {:>5} {:>11.0f} {:>17.2f} {:>12.0f} {:>13.4f}\n", name_of(phase),
                        layer.layer, layer.choices, layer.hottest, layer.balance.max,
                        layer.balance.balancedness());
  }
  text += fmt::format("least balanced layers in {}:", name_of(phase));
  for (const LayerHeat& layer : worst_of(layers)) {
    text += fmt::format(" {} ({:.4f})", layer.layer, layer.balance.balancedness());
  }
  return text + "\n";
}

Json window_json(const HeatRecord& record, const HeatRecord::Window& window, Phase phase,
                 const HeatLayout& layout) {
  return {{"first_step", window.first_step},
          {"last_step", window.last_step},
          {"rows", window.rows[index_of(phase)]},
          {"balancedness", balancedness(layers_of(record, window.heat, phase, layout))}};
}

Json phase_json(const HeatRecord& record, Phase phase, const HeatLayout& layout, double half_life) {
  const HeatRecord::Window all = record.all();
  Json json = window_json(record, all, phase, layout);
  json["recent_balancedness"] = balancedness(recent_layers(record, phase, layout, half_life));
  json["windows"] = Json::array();
  for (const HeatRecord::Window& window : record.windows) {
    json["windows"].push_back(window_json(record, window, phase, layout));
  }
  json["layers"] = Json::array();
  for (const LayerHeat& layer : layers_of(record, all.heat, phase, layout)) {
    json["layers"].push_back({{"layer", layer.layer},
                              {"choices", layer.choices},
                              {"hottest_over_mean", layer.hottest},
                              {"busiest_rank", layer.balance.max},
                              {"balancedness", layer.balance.balancedness()}});
  }
  return json;
}

// [layers, groups, experts]
Json counts_json(const experts::Heat& heat, Phase phase) {
  Json layers = Json::array();
  for (int32_t layer = 0; layer < heat.sizes().layers; ++layer) {
    Json groups = Json::array();
    for (int32_t group = 0; group < heat.sizes().groups; ++group) {
      groups.push_back(heat.of(phase, layer, group));
    }
    layers.push_back(std::move(groups));
  }
  return layers;
}

}  // namespace

std::string heat_table(const HeatRecord& record, const HeatLayout& layout, double half_life) {
  std::string text = fmt::format("{:<8} {:>14} {:>9} {:>13} {:>10}\n", "phase", "steps", "rows",
                                 "balancedness", "worst");
  const HeatRecord::Window all = record.all();
  const auto rows_of = [](const HeatRecord::Window& window, Phase phase) {
    return window.rows[index_of(phase)];
  };
  for (const Phase phase : experts::kPhases) {
    if (rows_of(all, phase) == 0) continue;
    for (const HeatRecord::Window& window : record.windows) {
      const int64_t rows = rows_of(window, phase);
      if (rows == 0) continue;
      text += window_line(phase, steps_text(window), fmt::format("{}", rows),
                          layers_of(record, window.heat, phase, layout));
    }
    text += window_line(phase, "recent", "", recent_layers(record, phase, layout, half_life));
    text += window_line(phase, "all", fmt::format("{}", rows_of(all, phase)),
                        layers_of(record, all.heat, phase, layout));
  }
  for (const Phase phase : experts::kPhases) {
    if (rows_of(all, phase) == 0) continue;
    text += "\n" + layer_table(phase, layers_of(record, all.heat, phase, layout));
  }
  text.pop_back();
  return text;
}

Json heat_summary(const HeatRecord& record, const HeatLayout& layout, double half_life) {
  Json json = {
      {"ranks", layout.ranks}, {"groups", record.sizes.groups}, {"experts", record.sizes.experts}};
  for (const Phase phase : experts::kPhases) {
    json[std::string(name_of(phase))] = phase_json(record, phase, layout, half_life);
  }
  return json;
}

Json heat_export(const HeatRecord& record, const HeatLayout& layout) {
  Json json = {{"format", "braid.expert_heat.v1"},
               {"layers", record.layers},
               {"groups", record.sizes.groups},
               {"experts", record.sizes.experts},
               {"ranks", layout.ranks},
               {"holders", layout.holders},
               {"windows", Json::array()}};
  for (const HeatRecord::Window& window : record.windows) {
    Json written = {{"first_step", window.first_step}, {"last_step", window.last_step}};
    for (const Phase phase : experts::kPhases) {
      written[std::string(name_of(phase))] = {{"rows", window.rows[index_of(phase)]},
                                              {"heat", counts_json(window.heat, phase)}};
    }
    json["windows"].push_back(std::move(written));
  }
  return json;
}

}  // namespace braid::cli
