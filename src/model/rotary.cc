#include "model/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/json.h"

namespace braid::model {
namespace {

constexpr RealRange kThetaRange{2.0, 1e15};
constexpr RealRange kFactorRange{1.0, 1e6};
constexpr RealRange kBetaRange{1e-3, 1e6};
constexpr RealRange kMscaleRange{0.0, 100.0};
constexpr RealRange kAttentionFactorRange{1e-3, 1e3};

// The objects that hold the rotary keys of newer configs, where there are any.
struct RotarySections {
  std::optional<ConfigReader> used;
  std::optional<ConfigReader> beside;  // rope_parameters, where rope_scaling is used
};

Status refuse_sections_by_layer(const ConfigReader& section) {
  for (const auto& [key, value] : section.object().items()) {
    if (!value.is_object()) continue;
    return section
        .error(ErrorKind::unsupported, "braid has no rotary embedding that differs by layer", key)
        .remedy("Use a checkpoint whose layers all have the same rotary embedding.");
  }
  return {};
}

// transformers 5 takes rope_scaling where both are there and it isn't empty.
Result<RotarySections> rotary_sections(const ConfigReader& config) {
  std::optional<ConfigReader> scaling = TRY(config.object("rope_scaling"));
  std::optional<ConfigReader> parameters = TRY(config.object("rope_parameters"));
  if (scaling && scaling->object().empty()) scaling.reset();
  RotarySections sections;
  sections.used = scaling ? scaling : parameters;
  if (scaling && parameters) sections.beside = parameters;
  if (sections.used) TRY(refuse_sections_by_layer(*sections.used));
  if (sections.beside) {
    sections.beside->read_all();
    config.warn(fmt::format("{} has both rope_scaling and rope_parameters: rope_scaling is used",
                            config.where()));
  }
  return sections;
}

// Where `key` stands: in the section that is used, at the top level, or in the section beside.
const ConfigReader& holder(const ConfigReader& config, const RotarySections& sections,
                           std::string_view key) {
  const bool outside = config.has(key);
  if (sections.used && sections.used->has(key)) {
    if (outside && *config.find(key) != *sections.used->find(key)) {
      config.warn(fmt::format("{} has two values of {}: that of {} is used", config.where(), key,
                              sections.used->where()));
    }
    return *sections.used;
  }
  if (outside || !sections.beside || !sections.beside->has(key)) return config;
  config.warn(fmt::format("rope_scaling has no {}: that of rope_parameters is used", key));
  return *sections.beside;
}

// "rope_type", or in older configs "type"; the former counts where they differ.
Result<std::string> rotary_type(const ConfigReader& section) {
  if (!section.has("rope_type")) return section.text_or("type", "default");
  const std::string type = TRY(section.text("rope_type"));
  const std::string older = section.has("type") ? TRY(section.text("type")) : type;
  if (older != type) {
    section.warn(fmt::format("{} has the rope_type {} and the type {}: rope_type is used",
                             section.where(), type, older));
  }
  return type;
}

Result<YarnConfig> parse_yarn(const ConfigReader& section, int64_t max_positions) {
  YarnConfig yarn;
  yarn.factor = TRY(section.real("factor", kFactorRange));
  yarn.beta_fast = TRY(section.real_or("beta_fast", kBetaRange, yarn.beta_fast));
  yarn.beta_slow = TRY(section.real_or("beta_slow", kBetaRange, yarn.beta_slow));
  yarn.original_max_positions =
      TRY(section.integer_or("original_max_position_embeddings", kPositionRange, max_positions));
  yarn.mscale = TRY(section.real_or("mscale", kMscaleRange, yarn.mscale));
  yarn.mscale_all_dim = TRY(section.real_or("mscale_all_dim", kMscaleRange, yarn.mscale_all_dim));
  if (section.has("attention_factor")) {
    yarn.attention_factor = TRY(section.real("attention_factor", kAttentionFactorRange));
  }
  if (section.has("truncate")) yarn.truncate = TRY(section.boolean("truncate"));
  return yarn;
}

double mscale(double factor, double scale) { return 0.1 * scale * std::log(factor) + 1.0; }

// The dimension whose wave turns `rotations` times over the original context.
double correction_dim(const RotaryConfig& rotary, double rotations) {
  const double positions = static_cast<double>(rotary.yarn->original_max_positions);
  return static_cast<double>(rotary.dim) *
         std::log(positions / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(rotary.theta));
}

// [dim/2], from 0 (keep the original frequency) to 1 (interpolate).
std::vector<float> interpolation_ramp(const RotaryConfig& rotary) {
  double low = correction_dim(rotary, rotary.yarn->beta_fast);
  double high = correction_dim(rotary, rotary.yarn->beta_slow);
  if (rotary.yarn->truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rotary.dim - 1));
  if (low == high) high += 0.001;  // no division by zero
  std::vector<float> ramp(static_cast<size_t>(rotary.dim / 2));
  for (size_t i = 0; i < ramp.size(); ++i) {
    const float position =
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    ramp[i] = std::clamp(position, 0.0f, 1.0f);
  }
  return ramp;
}

}  // namespace

Result<int64_t> parse_rotary_dim(const ConfigReader& config, int64_t head_dim, double fallback) {
  constexpr std::string_view kKey = "partial_rotary_factor";
  const RotarySections sections = TRY(rotary_sections(config));
  const ConfigReader& place = holder(config, sections, kKey);
  const bool given = place.find(kKey) != nullptr;
  const double factor = given ? TRY(place.real(kKey, {0.0, 1.0})) : fallback;
  const auto dim = static_cast<int64_t>(static_cast<double>(head_dim) * factor);
  if (dim < 2 || dim % 2 != 0) {
    return place
        .error(ErrorKind::corrupt_data, "the dimensions that rotate must be even and at least 2",
               kKey)
        .with("head_dim", head_dim)
        .with("rotating dimensions", dim);
  }
  return dim;
}

Result<RotaryConfig> parse_rotary(const ConfigReader& config, int64_t dim, bool interleaved,
                                  int64_t max_positions) {
  const RotarySections sections = TRY(rotary_sections(config));
  RotaryConfig rotary{.dim = dim, .interleaved = interleaved};
  rotary.theta = TRY(holder(config, sections, "rope_theta").real("rope_theta", kThetaRange));
  if (!sections.used) return rotary;
  const ConfigReader& section = *sections.used;
  const std::string type = TRY(rotary_type(section));
  if (type == "yarn") {
    rotary.yarn = TRY(parse_yarn(section, max_positions));
  } else if (type != "default") {
    return section
        .error(ErrorKind::unsupported, "braid has no such rotary scaling",
               section.has("rope_type") ? "rope_type" : "type")
        .remedy("Supported: default, yarn.");
  }
  return rotary;
}

std::vector<float> inverse_frequencies(const RotaryConfig& rotary) {
  // The exponents are rounded to float as in the reference implementations; the power is exact.
  std::vector<float> frequencies(static_cast<size_t>(rotary.dim / 2));
  const std::vector<float> ramp =
      rotary.yarn ? interpolation_ramp(rotary) : std::vector<float>(frequencies.size(), 0.0f);
  const float factor = rotary.yarn ? static_cast<float>(rotary.yarn->factor) : 1.0f;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotary.dim);
    const auto wave = static_cast<float>(std::pow(rotary.theta, static_cast<double>(exponent)));
    const float kept = 1.0f - ramp[i];
    frequencies[i] = 1.0f / (factor * wave) * (1.0f - kept) + 1.0f / wave * kept;
  }
  return frequencies;
}

float cos_sin_multiplier(const RotaryConfig& rotary) {
  if (!rotary.yarn) return 1.0f;
  const YarnConfig& yarn = *rotary.yarn;
  if (yarn.attention_factor) return static_cast<float>(*yarn.attention_factor);
  return static_cast<float>(mscale(yarn.factor, yarn.mscale) /
                            mscale(yarn.factor, yarn.mscale_all_dim));
}

double softmax_scale_multiplier(const RotaryConfig& rotary) {
  if (!rotary.yarn) return 1.0;
  const double scale = mscale(rotary.yarn->factor, rotary.yarn->mscale_all_dim);
  return scale * scale;
}

}  // namespace braid::model
