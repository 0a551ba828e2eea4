#include "kernels/gemm/cuda/blas_pins.h"

#include <algorithm>
#include <array>

#include "kernels/gemm/cuda/blas_config.h"

namespace braid::kernels::cuda {
namespace {

// rows, N, K of a part, parts, format of the products; algorithm, tile, stages, cluster, swizzle,
// custom option; µs. CUDA 13.0.
constexpr auto kBf16 = Format::bf16;
constexpr auto kF32 = Format::f32;
constexpr BlasPin kH200[] = {
    {64, 2048, 1024, 4, kF32, 66, 16, 35, 5, 0, 3, 6.8},
};

constexpr DevicePins kDevices[] = {{"H200", kH200}};

}  // namespace

std::span<const DevicePins> blas_pins() { return kDevices; }

const BlasPin* find_blas_pin(std::string_view device_name, const BlasKey& key) {
  if (key.in != Format::bf16 || key.alignment != kBlasAlignment) return nullptr;
  for (const DevicePins& device : kDevices) {
    if (device_name.find(device.device) == std::string_view::npos) continue;
    const auto found = std::ranges::find_if(device.pins, [&](const BlasPin& pin) {
      return pin.rows == key.rows && pin.n == key.n && pin.k == key.k && pin.parts == key.parts &&
             pin.out == key.out;
    });
    if (found != device.pins.end()) return &*found;
  }
  return nullptr;
}

std::string to_string(const BlasPin& pin) {
  return fmt::format("{{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {:.1f}}},", pin.rows, pin.n,
                     pin.k, pin.parts, pin.out == Format::f32 ? "kF32" : "kBf16", pin.algorithm,
                     pin.tile, pin.stages, pin.cluster, pin.swizzle, pin.custom, pin.microseconds);
}

}  // namespace braid::kernels::cuda
