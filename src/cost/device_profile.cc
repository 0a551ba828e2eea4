#include "cost/device_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/json.h"

namespace braid::cost {
namespace {

// A number of a profile, by its key.
struct Field {
  const char* key;
  double* value;
  bool may_be_zero;
};

std::array<Field, 9> fields_of(DeviceProfile& profile) {
  return {{{"flop_per_second", &profile.flop_per_second, false},
           {"bytes_per_second", &profile.bytes_per_second, false},
           {"launch_us", &profile.launch_us, true},
           {"link_bytes_per_second", &profile.link.bytes_per_second, false},
           {"link_latency_us", &profile.link.latency_us, true},
           {"collective_us", &profile.collective_us, true},
           {"collective_takes", &profile.collective_takes, true},
           {"quantize_ns", &profile.quantize_ns, true},
           {"dequantize_ns", &profile.dequantize_ns, true}}};
}

}  // namespace

DeviceProfile cpu_profile() {
  return {.name = "CPU core",
          .flop_per_second = 60e9,
          .bytes_per_second = 8e9,
          .launch_us = 5,
          .link = {.bytes_per_second = 3e9, .latency_us = 0},
          .collective_us = 20,
          .collective_takes = 1,
          .quantize_ns = 4.6,
          .dequantize_ns = 1.6};
}

DeviceProfile h100_profile() {
  return {.name = "H100 SXM, NCCL over NVLink",
          .flop_per_second = 800e12,
          .bytes_per_second = 3.03e12,
          .launch_us = 1.3,
          .link = {.bytes_per_second = 302e9, .latency_us = 0.8},
          .collective_us = 4.7,
          .collective_takes = 0.8};
}

DeviceProfile with_link(DeviceProfile profile, const LinkSpeed& link) {
  const double copying = link.bytes_per_second / profile.link.bytes_per_second;
  profile.collective_takes *= std::min(copying, 1.0);
  profile.link = link;
  profile.name += fmt::format(", link of {}", link.to_string());
  return profile;
}

Result<DeviceProfile> parse_profile(std::string_view json, std::string_view source) {
  const Json object = TRY(parse_json(json, source));
  const auto wrong = [&](std::string_view key) {
    return Error(ErrorKind::corrupt_data, "a tuning file's value is missing, unknown or illegal")
        .with("file", source)
        .with("key", key)
        .remedy("It has name and positive numbers, as tuning/cpu.json does.");
  };
  if (!object.is_object()) return wrong("{}");
  DeviceProfile profile;
  if (!object.contains("name") || !object["name"].is_string()) return wrong("name");
  profile.name = object["name"].get<std::string>();
  const auto fields = fields_of(profile);
  for (const auto& [key, value] : object.items()) {
    const bool known =
        key == "name" || std::any_of(fields.begin(), fields.end(),
                                     [&key = key](const Field& f) { return f.key == key; });
    if (!known) return wrong(key);
  }
  for (const Field& field : fields) {
    if (!object.contains(field.key) || !object[field.key].is_number()) return wrong(field.key);
    *field.value = object[field.key].get<double>();
    const bool legal = std::isfinite(*field.value) &&
                       (*field.value > 0 || (field.may_be_zero && *field.value == 0));
    if (!legal) return wrong(field.key);
  }
  if (profile.collective_takes > 1) return wrong("collective_takes");
  return profile;
}

std::string to_json(const DeviceProfile& profile) {
  DeviceProfile copy = profile;
  Json object = {{"name", profile.name}};
  for (const Field& field : fields_of(copy)) object[field.key] = *field.value;
  return object.dump(2) + "\n";
}

std::string hash_of(const DeviceProfile& profile) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char c : to_json(profile)) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return fmt::format("{:08x}", hash);
}

}  // namespace braid::cost
