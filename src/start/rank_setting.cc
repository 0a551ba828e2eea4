#include "start/rank_setting.h"

namespace braid::start {
namespace {

constexpr std::chrono::seconds kCpuTimeout{300};
constexpr std::chrono::seconds kGpuTimeout{30};

}  // namespace

ranks::DeviceKind device_of(const ParsedOptions& options) {
  const bool cuda = options.has("device") && options.text("device") == "cuda";
  return cuda ? ranks::DeviceKind::cuda : ranks::DeviceKind::cpu;
}

std::chrono::seconds step_timeout_of(const ParsedOptions& options) {
  if (options.has("step-timeout")) return std::chrono::seconds(options.integer("step-timeout"));
  return device_of(options) == ranks::DeviceKind::cuda ? kGpuTimeout : kCpuTimeout;
}

Result<Format> dtype_of(const ParsedOptions& options) {
  return dtype_of(options, device_of(options));
}

Result<Format> dtype_of(const ParsedOptions& options, ranks::DeviceKind device) {
  const std::string& dtype = options.text("dtype");
  if (dtype != "auto") return parse_dtype(dtype);
  return device == ranks::DeviceKind::cuda ? Format::bf16 : Format::f32;
}

Result<layout::LayoutOptions> layout_of(const ParsedOptions& options) {
  const auto small = [&](std::string_view name) {
    return static_cast<int32_t>(options.integer(name));
  };
  layout::LayoutOptions layout{
      .tp = small("tp"), .ep = options.has("ep") ? small("ep") : 0, .dp = small("dp")};
  if (!options.flag("enable-dp-attention")) return layout;
  if (layout.tp % layout.dp != 0) {
    return Error(ErrorKind::usage, "the ranks can't be dealt out to groups of one size")
        .with("tp", layout.tp)
        .with("dp", layout.dp)
        .remedy("With --enable-dp-attention --tp counts all ranks: --dp must divide it.");
  }
  layout.tp /= layout.dp;
  return layout;
}

Result<std::optional<LinkSpeed>> link_of(const ParsedOptions& options) {
  if (!options.has("emulate-link")) return std::optional<LinkSpeed>();
  const std::string& text = options.text("emulate-link");
  if (device_of(options) == ranks::DeviceKind::cuda) {
    return Error(ErrorKind::usage, "GPUs have links of their own: none is emulated there")
        .with("--emulate-link", text)
        .remedy("Add --device cpu, or leave --emulate-link out.");
  }
  return std::optional<LinkSpeed>(TRY(parse_link_speed("--emulate-link", text)));
}

}  // namespace braid::start
