#include "ranks/dispatch_error.h"

#include <algorithm>
#include <cmath>

#include "ranks/serialization.h"

namespace braid::ranks {

double DispatchError::relative() const {
  return squares == 0 ? 0.0 : std::sqrt(squared_error / squares);  // NaN stays visible
}

// Ranks along tp have copies of their group's rows: the leader's are counted.
Result<std::vector<DispatchError>> dispatch_errors(Ranks& ranks) {
  std::vector<DispatchError> layers;
  const model::DecoderModel& model = ranks[0].model();
  const int32_t index = model.state().dispatch_errors;
  if (index == model::kAbsent) return layers;
  layers.resize(static_cast<size_t>(model.config().num_layers));
  const RankQuery query =
      RankQuery::read({.resident = index, .count = model.residents()[index].rows});
  for (int32_t group = 0; group < ranks.num_groups(); ++group) {
    const std::string bytes = TRY(ranks.ask(ranks.leader_of(group), query));
    const std::vector<double> sums = TRY(values_of_bytes<double>(bytes));
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

}  // namespace braid::ranks
