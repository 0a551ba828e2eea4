#include "cli/rank_setting.h"

namespace braid::cli {
namespace {

constexpr std::chrono::seconds kCpuTimeout{300};
constexpr std::chrono::seconds kGpuTimeout{30};

}  // namespace

engine::DeviceKind device_of(const ParsedOptions& options) {
  const bool cuda = options.has("device") && options.text("device") == "cuda";
  return cuda ? engine::DeviceKind::cuda : engine::DeviceKind::cpu;
}

std::chrono::seconds step_timeout_of(const ParsedOptions& options) {
  if (options.has("step-timeout")) return std::chrono::seconds(options.integer("step-timeout"));
  return device_of(options) == engine::DeviceKind::cuda ? kGpuTimeout : kCpuTimeout;
}

Result<Format> dtype_of(const ParsedOptions& options) {
  const std::string& dtype = options.text("dtype");
  if (dtype != "auto") return parse_dtype(dtype);
  return device_of(options) == engine::DeviceKind::cuda ? Format::bf16 : Format::f32;
}

}  // namespace braid::cli
