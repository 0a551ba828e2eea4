#include "device/cpu/cpu_device.h"

#include <cstring>
#include <new>

namespace braid::device {
namespace {

constexpr std::align_val_t kAlignment{256};

}  // namespace

Status CpuDevice::check_processor() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    return Error(ErrorKind::unsupported, "this processor has no AVX2 and FMA instructions")
        .remedy("braid's CPU kernels need x86-64-v3 (Intel Haswell, AMD Zen, or newer).");
  }
#endif
  return {};
}

Result<Memory> CpuDevice::allocate(int64_t bytes) {
  void* data = ::operator new(static_cast<size_t>(bytes), kAlignment, std::nothrow);
  if (data == nullptr) {
    return Error(ErrorKind::exhausted, "out of memory").with("bytes", bytes);
  }
  return Memory(this, static_cast<std::byte*>(data), bytes);
}

void CpuDevice::upload(std::byte* to, const void* from, int64_t bytes) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

void CpuDevice::download(void* to, const std::byte* from, int64_t bytes) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

void CpuDevice::fill(std::byte* to, uint8_t value, int64_t bytes) {
  std::memset(to, value, static_cast<size_t>(bytes));
}

Result<std::unique_ptr<Uploads>> CpuDevice::open_uploads(int64_t /*piece_bytes*/) {
  return std::unique_ptr<Uploads>(std::make_unique<HostUploads>());
}

void CpuDevice::release(std::byte* data, int64_t /*bytes*/) { ::operator delete(data, kAlignment); }

}  // namespace braid::device
