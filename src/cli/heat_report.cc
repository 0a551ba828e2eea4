#include "cli/heat_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/json.h"
#include "experts/balance.h"

namespace braid::cli {
namespace {

using experts::ExpertPlacement;
using experts::Phase;
using lab::HeatRecord;

// Layers that are listed as the worst.
constexpr size_t kWorst = 3;

int64_t rows_of(const HeatRecord::Window& window, Phase phase) {
  return window.rows[index_of(phase)];
}

std::vector<double> recent_heat(const HeatRecord& record, Phase phase, double half_life) {
  experts::DecayedHeat heat(record.sizes, half_life);
  for (const HeatRecord::Window& window : record.windows) heat.add(window.heat);
  return {heat.of(phase).begin(), heat.of(phase).end()};
}

// One layer's heat, all groups together.
struct LayerHeat {
  int32_t layer = 0;  // the model's number
  double choices = 0;
  double hottest = 0;  // choices of the most chosen expert, over the mean of all
  double busiest = 0;  // rows of the busiest rank
  double balancedness = 1;
};

LayerHeat layer_heat(const HeatRecord& record, const ExpertPlacement& placement, int32_t layer,
                     std::span<const double> heat) {
  LayerHeat out{.layer = record.layers[static_cast<size_t>(layer)]};
  out.choices = std::accumulate(heat.begin(), heat.end(), 0.0);
  if (out.choices == 0) return out;
  const std::vector<double> loads = experts::rank_loads(placement, layer, heat);
  out.hottest =
      *std::max_element(heat.begin(), heat.end()) * static_cast<double>(heat.size()) / out.choices;
  out.busiest = *std::max_element(loads.begin(), loads.end());
  out.balancedness = out.choices / static_cast<double>(loads.size()) / out.busiest;
  return out;
}

// heat [layers, experts]
std::vector<LayerHeat> layers_of(const HeatRecord& record, const ExpertPlacement& placement,
                                 std::span<const double> heat) {
  std::vector<LayerHeat> layers;
  const auto experts = static_cast<size_t>(record.sizes.experts);
  for (int32_t layer = 0; layer < record.sizes.layers; ++layer) {
    layers.push_back(layer_heat(record, placement, layer,
                                heat.subspan(static_cast<size_t>(layer) * experts, experts)));
  }
  return layers;
}

std::string heat_line(const HeatRecord& record, const ExpertPlacement& placement, Phase phase,
                      const std::string& steps, const std::string& rows,
                      std::span<const double> heat) {
  const experts::Evenness even = experts::evenness(placement, heat);
  return fmt::format("{:<8} {:>14} {:>9} {:>13.4f} {:>10.4f} in layer {}\n", name_of(phase), steps,
                     rows, even.overall, even.worst,
                     record.layers[static_cast<size_t>(even.worst_layer)]);
}

std::string phase_lines(const HeatRecord& record, const ExpertPlacement& placement, Phase phase,
                        double half_life) {
  std::string text;
  const auto line = [&](const std::string& steps, const std::string& rows,
                        std::span<const double> heat) {
    text += heat_line(record, placement, phase, steps, rows, heat);
  };
  for (const HeatRecord::Window& window : record.windows) {
    const int64_t rows = rows_of(window, phase);
    if (rows == 0) continue;
    line(fmt::format("{} to {}", window.first_step, window.last_step), fmt::format("{}", rows),
         window.heat.of(phase));
  }
  line("recent", "", recent_heat(record, phase, half_life));
  const HeatRecord::Window all = record.all();
  line("all", fmt::format("{}", rows_of(all, phase)), all.heat.of(phase));
  return text;
}

std::string layer_table(Phase phase, std::vector<LayerHeat> layers) {
  std::string text = fmt::format("{:<8} {:>5} {:>11} {:>17} {:>12} {:>13}\n", "phase", "layer",
                                 "choices", "hottest / mean", "busiest rank", "balancedness");
  for (const LayerHeat& layer : layers) {
    text +=
        fmt::format("{:<8} {:>5} {:>11.0f} {:>17.2f} {:>12.0f} {:>13.4f}\n", name_of(phase),
                    layer.layer, layer.choices, layer.hottest, layer.busiest, layer.balancedness);
  }
  text += fmt::format("least balanced layers in {}:", name_of(phase));
  std::stable_sort(layers.begin(), layers.end(), [](const LayerHeat& a, const LayerHeat& b) {
    return a.balancedness < b.balancedness;
  });
  for (size_t i = 0; i < std::min(layers.size(), kWorst); ++i) {
    text += fmt::format(" {} ({:.4f})", layers[i].layer, layers[i].balancedness);
  }
  return text + "\n";
}

Json window_json(const HeatRecord::Window& window, const ExpertPlacement& placement, Phase phase) {
  return {{"first_step", window.first_step},
          {"last_step", window.last_step},
          {"rows", rows_of(window, phase)},
          {"balancedness", experts::evenness(placement, window.heat.of(phase)).overall}};
}

Json phase_json(const HeatRecord& record, const ExpertPlacement& placement, Phase phase,
                double half_life) {
  const HeatRecord::Window all = record.all();
  Json json = window_json(all, placement, phase);
  json["recent_balancedness"] =
      experts::evenness(placement, recent_heat(record, phase, half_life)).overall;
  json["windows"] = Json::array();
  for (const HeatRecord::Window& window : record.windows) {
    json["windows"].push_back(window_json(window, placement, phase));
  }
  json["layers"] = Json::array();
  for (const LayerHeat& layer : layers_of(record, placement, all.heat.of(phase))) {
    json["layers"].push_back({{"layer", layer.layer},
                              {"choices", layer.choices},
                              {"hottest_over_mean", layer.hottest},
                              {"busiest_rank", layer.busiest},
                              {"balancedness", layer.balancedness}});
  }
  return json;
}

// [layers, groups, experts]
Json counts_json(const experts::Heat& heat, Phase phase) {
  Json layers = Json::array();
  for (int32_t layer = 0; layer < heat.sizes().layers; ++layer) {
    Json groups = Json::array();
    for (int32_t group = 0; group < heat.sizes().groups; ++group) {
      const auto counts = heat.of(phase, layer, group);
      groups.push_back(std::vector<uint64_t>(counts.begin(), counts.end()));
    }
    layers.push_back(std::move(groups));
  }
  return layers;
}

}  // namespace

std::string heat_table(const HeatRecord& record, const ExpertPlacement& placement,
                       double half_life) {
  const HeatRecord::Window all = record.all();
  std::string text = fmt::format("{:<8} {:>14} {:>9} {:>13} {:>10}\n", "phase", "steps", "rows",
                                 "balancedness", "worst");
  for (const Phase phase : experts::kPhases) {
    if (rows_of(all, phase) > 0) text += phase_lines(record, placement, phase, half_life);
  }
  for (const Phase phase : experts::kPhases) {
    if (rows_of(all, phase) == 0) continue;
    text += "\n" + layer_table(phase, layers_of(record, placement, all.heat.of(phase)));
  }
  text.pop_back();
  return text;
}

Json heat_summary(const HeatRecord& record, const ExpertPlacement& placement, double half_life) {
  Json json = {{"ranks", placement.sizes().ranks},
               {"groups", record.sizes.groups},
               {"experts", record.sizes.experts}};
  for (const Phase phase : experts::kPhases) {
    json[std::string(name_of(phase))] = phase_json(record, placement, phase, half_life);
  }
  return json;
}

Json heat_export(const HeatRecord& record) {
  Json json = {{"format", "braid.expert_heat.v1"},
               {"layers", record.layers},
               {"groups", record.sizes.groups},
               {"experts", record.sizes.experts},
               {"windows", Json::array()}};
  for (const HeatRecord::Window& window : record.windows) {
    Json written = {{"first_step", window.first_step}, {"last_step", window.last_step}};
    for (const Phase phase : experts::kPhases) {
      written[std::string(name_of(phase))] = {{"rows", rows_of(window, phase)},
                                              {"heat", counts_json(window.heat, phase)}};
    }
    json["windows"].push_back(std::move(written));
  }
  return json;
}

}  // namespace braid::cli
