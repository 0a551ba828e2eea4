#include "engine/dispatch_error.h"

#include <algorithm>
#include <cmath>

namespace braid::engine {

double DispatchError::relative() const {
  return squares == 0 ? 0.0 : std::sqrt(squared_error / squares);  // NaN stays visible
}

// Ranks along tp have copies of their group's rows: the leader's are counted.
std::vector<DispatchError> dispatch_errors(Ranks& ranks) {
  std::vector<DispatchError> layers;
  for (int32_t group = 0; group < ranks.num_groups(); ++group) {
    if (!ranks.here(ranks.leader_of(group))) continue;
    Worker& worker = ranks.leader(group);
    const int32_t index = worker.model().state().dispatch_errors;
    if (index == model::kAbsent) return {};
    layers.resize(static_cast<size_t>(worker.model().config().num_layers));
    std::vector<double> sums(2 * layers.size());
    worker.device().download(sums.data(), worker.data(index),
                             worker.model().residents()[index].bytes());
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      layers[layer].squared_error += sums[2 * layer];
      layers[layer].squares += sums[2 * layer + 1];
    }
  }
  return layers;
}

DispatchError total_of(const std::vector<DispatchError>& layers) {
  DispatchError total;
  for (const DispatchError& layer : layers) {
    total.squared_error += layer.squared_error;
    total.squares += layer.squares;
  }
  return total;
}

std::string describe(const std::vector<DispatchError>& layers) {
  const DispatchError total = total_of(layers);
  if (total.squares == 0) return {};
  const auto worst =
      std::max_element(layers.begin(), layers.end(),
                       [](const auto& a, const auto& b) { return a.relative() < b.relative(); });
  return fmt::format("relative error of dispatched rows {:.2f} %, the largest {:.2f} % in layer {}",
                     100 * total.relative(), 100 * worst->relative(), worst - layers.begin());
}

}  // namespace braid::engine
