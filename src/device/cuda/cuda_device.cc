#include "device/cuda/cuda_device.h"

#include <cstring>

#include "device/cuda/cuda_error.h"
#include "device/cuda/cuda_uploads.h"

namespace braid::device {

int CudaDevice::count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    (void)cudaGetLastError();  // or a later check would report it
    return 0;
  }
  return count;
}

Result<std::unique_ptr<CudaDevice>> CudaDevice::open(int index) {
  if (index < 0 || index >= count()) {
    return Error(ErrorKind::not_found, "there is no such GPU")
        .with("gpu", index)
        .with("gpus found", count())
        .remedy("Check nvidia-smi and CUDA_VISIBLE_DEVICES, or use fewer ranks.");
  }
  CUDA_TRY(cudaSetDevice(index));
  cudaDeviceProp properties{};
  CUDA_TRY(cudaGetDeviceProperties(&properties, index));
  if (properties.major != 9) {
    return Error(ErrorKind::unsupported, "braid's kernels are built for compute capability 9.0")
        .with("gpu", properties.name)
        .with("capability", fmt::format("{}.{}", properties.major, properties.minor))
        .remedy("Use an H100, H200 or GH200, or --device cpu.");
  }
  return std::unique_ptr<CudaDevice>(
      new CudaDevice(index, properties.name, properties.multiProcessorCount));
}

Result<int64_t> CudaDevice::free_bytes(int index) {
  TRY(open(index));
  size_t free = 0, total = 0;
  CUDA_TRY(cudaMemGetInfo(&free, &total));
  return static_cast<int64_t>(free);
}

Result<Memory> CudaDevice::allocate(int64_t bytes) {
  void* data = nullptr;
  CUDA_TRY(cudaMalloc(&data, static_cast<size_t>(std::max<int64_t>(bytes, 1))));
  return Memory(this, static_cast<std::byte*>(data), bytes);
}

void CudaDevice::release(std::byte* data, int64_t /*bytes*/) { cudaFree(data); }

void CudaDevice::upload(std::byte* to, const void* from, int64_t bytes) {
  CUDA_CHECK(cudaMemcpy(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice));
  // Pageable memory has only been staged by now, and the lanes' streams don't wait for this one.
  CUDA_CHECK(cudaStreamSynchronize(cudaStreamLegacy));
}

void CudaDevice::download(void* to, const std::byte* from, int64_t bytes) {
  CUDA_CHECK(cudaMemcpy(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost));
}

void CudaDevice::fill(std::byte* to, uint8_t value, int64_t bytes) {
  CUDA_CHECK(cudaMemset(to, value, static_cast<size_t>(bytes)));
  CUDA_CHECK(cudaStreamSynchronize(cudaStreamLegacy));  // as in upload()
}

Result<std::unique_ptr<Uploads>> CudaDevice::open_uploads(int64_t piece_bytes) {
  return CudaUploads::open(index_, piece_bytes);
}

Result<Memory> CudaDevice::HostMemory::allocate(int64_t bytes) {
  void* data = nullptr;
  CUDA_TRY(cudaMallocHost(&data, static_cast<size_t>(std::max<int64_t>(bytes, 1))));
  return Memory(this, static_cast<std::byte*>(data), bytes);
}

void CudaDevice::HostMemory::release(std::byte* data, int64_t /*bytes*/) { cudaFreeHost(data); }

void CudaDevice::HostMemory::upload(std::byte* to, const void* from, int64_t bytes) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

void CudaDevice::HostMemory::download(void* to, const std::byte* from, int64_t bytes) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

void CudaDevice::HostMemory::fill(std::byte* to, uint8_t value, int64_t bytes) {
  std::memset(to, value, static_cast<size_t>(bytes));
}

Result<std::unique_ptr<Uploads>> CudaDevice::HostMemory::open_uploads(int64_t /*piece_bytes*/) {
  return std::unique_ptr<Uploads>(std::make_unique<HostUploads>());
}

}  // namespace braid::device
