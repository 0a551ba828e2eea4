#include "experts/placement.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/json.h"
#include "base/output_file.h"

namespace braid::experts {
namespace {

constexpr std::string_view kFormat = "braid.expert_placement.v1";
// Bounds of a file's numbers, far above any model's, so that no product of them overflows.
constexpr int32_t kMost = 1 << 15;
constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

Error corrupt(std::string message) {
  return Error(ErrorKind::corrupt_data, "the expert placement is wrong: " + std::move(message));
}

std::optional<int32_t> small_number(const Json& json, int32_t least, int32_t most) {
  if (!json.is_number_integer()) return std::nullopt;
  const auto value = json.get<int64_t>();
  if (value < least || value > most) return std::nullopt;
  return static_cast<int32_t>(value);
}

Result<int32_t> size_field(const Json& json, const char* key) {
  const auto field = json.find(key);
  const auto value = field == json.end() ? std::nullopt : small_number(*field, 1, kMost);
  if (value) return *value;
  return corrupt("a size is no whole number")
      .with("key", key)
      .with("value", field == json.end() ? "absent" : field->dump())
      .with("at most", kMost);
}

Status add_layer(const Json& row, const PlacementSizes& sizes, std::vector<int32_t>& experts) {
  const auto layer = static_cast<int64_t>(experts.size()) / std::max(sizes.slots, 1);
  if (!row.is_array() || static_cast<int64_t>(row.size()) != sizes.slots) {
    return corrupt("every layer has the same number of slots")
        .with("layer", layer)
        .with("slots", row.is_array() ? static_cast<int64_t>(row.size()) : 0)
        .with("slots of the first layer", sizes.slots);
  }
  for (const Json& slot : row) {
    const auto expert = small_number(slot, 0, sizes.experts - 1);
    if (!expert) {
      return corrupt("a slot holds no expert of the layer")
          .with("layer", layer)
          .with("slot", static_cast<int64_t>(experts.size()) % sizes.slots)
          .with("value", slot.dump())
          .with("experts", sizes.experts);
    }
    experts.push_back(*expert);
  }
  return {};
}

// The rule that these sizes violate. Empty where they are legal.
std::string violation(const PlacementSizes& sizes) {
  if (sizes.redundant() < 0) return "every expert has a slot";
  if (sizes.redundant() > 0 && sizes.ranks == 1) {
    return "replicas need ranks that have different experts";
  }
  if (sizes.slots % sizes.ranks != 0) return "all ranks have the same number of slots";
  if (sizes.slots_of_rank() > sizes.experts) return "a rank holds no expert twice";
  return "";
}

}  // namespace

Result<PlacementSizes> make_sizes(int32_t layers, int32_t experts, int32_t ranks,
                                  int32_t redundant) {
  const PlacementSizes sizes{layers, experts, ranks, experts + redundant};
  const std::string rule = violation(sizes);
  if (rule.empty()) return sizes;
  int32_t nearest = -1;
  for (int32_t slots = (experts + ranks - 1) / ranks * ranks; slots <= experts * ranks;
       slots += ranks) {
    const int32_t candidate = slots - experts;
    if (ranks == 1 && candidate > 0) break;
    if (nearest < 0 || std::abs(candidate - redundant) < std::abs(nearest - redundant)) {
      nearest = candidate;
    }
  }
  return Error(ErrorKind::usage, "the experts' slots can't be dealt out to the ranks like this")
      .with("redundant experts", redundant)
      .with("experts", experts)
      .with("ep", ranks)
      .with("rule", rule)
      .remedy(ranks == 1 ? std::string("Use --ep 2 or more, or leave --redundant-experts out.")
                         : fmt::format("The nearest number is --redundant-experts {}.", nearest));
}

ExpertPlacement::ExpertPlacement(const PlacementSizes& sizes, std::vector<int32_t> experts_of_slots)
    : sizes_(sizes), experts_(std::move(experts_of_slots)) {}

std::span<const int32_t> ExpertPlacement::slots_of(int32_t layer) const {
  const auto slots = static_cast<size_t>(sizes_.slots);
  return std::span(experts_).subspan(static_cast<size_t>(layer) * slots, slots);
}

std::span<const int32_t> ExpertPlacement::slots_of(int32_t layer, int32_t rank) const {
  const auto count = static_cast<size_t>(sizes_.slots_of_rank());
  return slots_of(layer).subspan(static_cast<size_t>(rank) * count, count);
}

Status ExpertPlacement::check() const {
  std::vector<int32_t> last_rank(
      static_cast<size_t>(sizes_.experts));  // the last rank that holds the expert
  for (int32_t layer = 0; layer < sizes_.layers; ++layer) {
    std::fill(last_rank.begin(), last_rank.end(), -1);
    for (int32_t slot = 0; slot < sizes_.slots; ++slot) {
      const int32_t expert = expert_of(layer, slot);
      if (expert < 0 || expert >= sizes_.experts) {
        return corrupt("a slot holds no expert of the layer")
            .with("layer", layer)
            .with("slot", slot)
            .with("value", expert)
            .with("experts", sizes_.experts);
      }
      const int32_t rank = slot / sizes_.slots_of_rank();
      if (std::exchange(last_rank[static_cast<size_t>(expert)], rank) == rank) {
        return corrupt("a rank holds an expert twice")
            .with("layer", layer)
            .with("expert", expert)
            .with("rank", rank)
            .remedy("Put replicas of an expert on different ranks.");
      }
    }
    const auto none = std::find(last_rank.begin(), last_rank.end(), -1);
    if (none != last_rank.end()) {
      return corrupt("an expert has no slot")
          .with("layer", layer)
          .with("expert", none - last_rank.begin())
          .with("slots", sizes_.slots)
          .remedy("Every expert needs at least one slot in every layer.");
    }
  }
  return {};
}

Result<ExpertPlacement> ExpertPlacement::create(const PlacementSizes& sizes,
                                                std::vector<int32_t> experts_of_slots) {
  const std::string rule = violation(sizes);
  const auto expected = static_cast<size_t>(sizes.layers) * static_cast<size_t>(sizes.slots);
  if (!rule.empty() || experts_of_slots.size() != expected) {
    return corrupt("its sizes don't fit together")
        .with("layers", sizes.layers)
        .with("experts", sizes.experts)
        .with("ranks", sizes.ranks)
        .with("slots", sizes.slots)
        .with("rule", rule.empty() ? "an expert for every slot of every layer" : rule);
  }
  ExpertPlacement placement(sizes, std::move(experts_of_slots));
  TRY(placement.check());
  std::vector<int32_t> count(static_cast<size_t>(sizes.experts));
  for (int32_t layer = 0; layer < sizes.layers; ++layer) {
    std::fill(count.begin(), count.end(), 0);
    for (const int32_t expert : placement.slots_of(layer)) ++count[static_cast<size_t>(expert)];
    placement.most_replicas_ =
        std::max(placement.most_replicas_, *std::max_element(count.begin(), count.end()));
  }
  return placement;
}

ExpertPlacement ExpertPlacement::standard(const PlacementSizes& sizes) {
  std::vector<int32_t> experts;
  for (int32_t layer = 0; layer < sizes.layers; ++layer) {
    for (int32_t slot = 0; slot < sizes.slots; ++slot) experts.push_back(slot % sizes.experts);
  }
  return create(sizes, std::move(experts)).value();
}

std::vector<int32_t> ExpertPlacement::table(int32_t layer) const {
  const auto width = static_cast<size_t>(most_replicas_);
  const auto experts = static_cast<size_t>(sizes_.experts);
  std::vector<int32_t> table(experts * width, -1);
  std::vector<size_t> count(experts);
  for (int32_t slot = 0; slot < sizes_.slots; ++slot) {
    const auto expert = static_cast<size_t>(expert_of(layer, slot));
    table[expert * width + count[expert]++] = slot;
  }
  return table;
}

Result<ExpertPlacement> ExpertPlacement::parse(const Json& json) {
  const auto format = json.find("format");  // not found where json is no object
  if (format == json.end() || !format->is_string() ||
      format->get_ref<const std::string&>() != kFormat) {
    return corrupt("not a file of this kind").with("expected format", kFormat);
  }
  PlacementSizes sizes;
  sizes.layers = TRY(size_field(json, "layers"));
  sizes.experts = TRY(size_field(json, "experts"));
  sizes.ranks = TRY(size_field(json, "ranks"));
  const auto rows = json.find("slots");
  if (rows == json.end() || !rows->is_array() ||
      static_cast<int64_t>(rows->size()) != sizes.layers) {
    return corrupt("slots has a row for every layer")
        .with("rows", rows == json.end() ? 0 : static_cast<int64_t>(rows->size()))
        .with("layers", sizes.layers);
  }
  const Json& first = rows->front();
  sizes.slots = first.is_array() && first.size() <= kMost ? static_cast<int32_t>(first.size()) : 0;
  std::vector<int32_t> experts;
  for (const Json& row : *rows) TRY(add_layer(row, sizes, experts));
  return create(sizes, std::move(experts));
}

Result<ExpertPlacement> ExpertPlacement::load(const std::string& path) {
  auto placement = parse(TRY(read_json_file(path, kMaxFileBytes)));
  if (placement.ok()) return placement;
  return Error(placement.error()).with("file", path);
}

Status ExpertPlacement::save(const std::string& path) const {
  std::string text =
      fmt::format("{{\"format\": \"{}\", \"layers\": {}, \"experts\": {}, \"ranks\": {},\n",
                  kFormat, sizes_.layers, sizes_.experts, sizes_.ranks);
  for (int32_t layer = 0; layer < sizes_.layers; ++layer) {
    text += fmt::format("{}{}]", layer == 0 ? " \"slots\": [[" : ",\n           [",
                        fmt::join(slots_of(layer), ", "));
  }
  return write_file(path, text + "]}\n", "the expert placement");
}

}  // namespace braid::experts
