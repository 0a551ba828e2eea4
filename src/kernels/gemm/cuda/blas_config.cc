#include "kernels/gemm/cuda/blas_config.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>

namespace braid::kernels::cuda {
namespace {

constexpr int kCandidates = 16;

cudaDataType_t data_type(Format format) {
  BRAID_CHECK(format == Format::bf16 || format == Format::f32, "format {}", name_of(format));
  return format == Format::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

template <typename T>
void set(BlasProduct& product, cublasLtMatmulDescAttributes_t attribute, T value) {
  check_blas(cublasLtMatmulDescSetAttribute(&product.operation, attribute, &value, sizeof(value)),
             "cublasLtMatmulDescSetAttribute");
}

template <typename T>
void set(cublasLtMatmulPreferenceOpaque_t& preference, cublasLtMatmulPreferenceAttributes_t what,
         T value) {
  check_blas(cublasLtMatmulPreferenceSetAttribute(&preference, what, &value, sizeof(value)),
             "cublasLtMatmulPreferenceSetAttribute");
}

// `parts` matrices, `step` elements from one to the next.
void set_parts(cublasLtMatrixLayoutOpaque_t& layout, int32_t parts, int64_t step) {
  check_blas(cublasLtMatrixLayoutSetAttribute(&layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &parts,
                                              sizeof(parts)),
             "number of parts");
  check_blas(cublasLtMatrixLayoutSetAttribute(&layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                              &step, sizeof(step)),
             "step between parts");
}

template <typename T>
T get(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t what) {
  T value{};
  size_t written = 0;
  check_blas(
      cublasLtMatmulAlgoConfigGetAttribute(&algorithm, what, &value, sizeof(value), &written),
      "cublasLtMatmulAlgoConfigGetAttribute");
  return value;
}

// One block sums each element of d, over all of K.
bool sums_in_one_block(const cublasLtMatmulAlgo_t& algorithm) {
  return get<int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) <= 1 &&
         get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) ==
             CUBLASLT_REDUCTION_SCHEME_NONE;
}

Error blas_error(ErrorKind kind, const char* sentence, const BlasKey& key, cublasStatus_t code) {
  return Error(kind, sentence)
      .with("status", cublasLtGetStatusString(code))
      .with("rows", key.rows)
      .with("N", key.n)
      .with("K", key.k)
      .with("parts of K", key.parts)
      .with("in", name_of(key.in))
      .with("out", name_of(key.out))
      .with("alignment", key.alignment);
}

cublasLtMatmulPreferenceOpaque_t preference_of(const BlasKey& key) {
  cublasLtMatmulPreferenceOpaque_t preference;
  check_blas(cublasLtMatmulPreferenceInit(&preference), "cublasLtMatmulPreferenceInit");
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kBlasWorkspaceBytes});
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
  for (const auto operand :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    set(preference, operand, static_cast<uint32_t>(key.alignment));
  }
  return preference;
}

// Strides of whole, dense operands, rounded up so that they keep the key's alignment.
BlasStrides dense_strides(const BlasKey& key) {
  const auto rounded = [&](int64_t cols, Format format) {
    const int64_t step = std::max<int64_t>(1, key.alignment / bytes_of(format));
    return (cols + step - 1) / step * step;
  };
  const int64_t k = rounded(key.k * key.parts, key.in);
  return {k, k, rounded(key.n, key.out)};
}

Status check_rows(cublasLtHandle_t handle, const BlasKey& key, const BlasConfig& config,
                  int64_t rows) {
  BlasProduct product = describe_product(key, rows, dense_strides(key));
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t code =
      cublasLtMatmulAlgoCheck(handle, &product.operation, &product.w, &product.x, &product.d,
                              &product.d, &config.algorithm, &result);
  if (code == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= kBlasWorkspaceBytes) return {};
  return blas_error(ErrorKind::unsupported, "the algorithm of the whole op can't run a part of it",
                    key, code)
      .with("rows of the part", rows);
}

// What the heuristic names for so many rows, best first; `status` is its own.
std::vector<BlasConfig> ask_heuristic(cublasLtHandle_t handle, const BlasKey& key, int64_t rows,
                                      cublasStatus_t& status) {
  BlasProduct product = describe_product(key, rows, dense_strides(key));
  cublasLtMatmulPreferenceOpaque_t preference = preference_of(key);
  std::array<cublasLtMatmulHeuristicResult_t, kCandidates> found{};
  int count = 0;
  status =
      cublasLtMatmulAlgoGetHeuristic(handle, &product.operation, &product.w, &product.x, &product.d,
                                     &product.d, &preference, kCandidates, found.data(), &count);
  std::vector<BlasConfig> configs;
  for (const cublasLtMatmulHeuristicResult_t& candidate : std::span(found).first(count)) {
    if (candidate.state != CUBLAS_STATUS_SUCCESS) continue;
    if (!sums_in_one_block(candidate.algo)) continue;
    configs.push_back({candidate.algo, candidate.workspaceSize, candidate.wavesCount});
  }
  return configs;
}

std::string current_device_name() {
  int device = 0;
  cudaDeviceProp properties{};
  cudaGetDevice(&device);
  cudaGetDeviceProperties(&properties, device);
  return properties.name;
}

// The pinned algorithm for `key`, if there is one and this cuBLASLt can run it.
std::optional<BlasConfig> find_pinned(cublasLtHandle_t handle, const BlasKey& key) {
  const BlasPin* pin = find_blas_pin(current_device_name(), key);
  if (pin == nullptr) return std::nullopt;
  BlasConfig config{.pinned = true};
  const cudaDataType_t in = data_type(key.in), out = data_type(key.out);
  if (cublasLtMatmulAlgoInit(handle, CUBLAS_COMPUTE_32F, CUDA_R_32F, in, in, out, out,
                             pin->algorithm, &config.algorithm) != CUBLAS_STATUS_SUCCESS) {
    return std::nullopt;
  }
  const auto set = [&](cublasLtMatmulAlgoConfigAttributes_t what, auto value) {
    return cublasLtMatmulAlgoConfigSetAttribute(&config.algorithm, what, &value, sizeof(value)) ==
           CUBLAS_STATUS_SUCCESS;
  };
  const bool known = set(CUBLASLT_ALGO_CONFIG_TILE_ID, pin->tile) &&
                     set(CUBLASLT_ALGO_CONFIG_STAGES_ID, pin->stages) &&
                     set(CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, pin->cluster) &&
                     set(CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, pin->swizzle) &&
                     set(CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, pin->custom);
  if (!known || !check_rows(handle, key, config, key.rows).ok()) return std::nullopt;
  return config;
}

Result<BlasConfig> choose(cublasLtHandle_t handle, const BlasKey& key) {
  if (const auto pinned = find_pinned(handle, key)) return *pinned;
  cublasStatus_t status;
  const std::vector<BlasConfig> configs = ask_heuristic(handle, key, key.rows, status);
  if (!configs.empty()) return configs.front();
  return blas_error(ErrorKind::unsupported, "cuBLASLt has no algorithm for this product", key,
                    status);
}

// The configurations of one device, and the handle that they are chosen with.
class DeviceConfigs {
 public:
  Result<const BlasConfig*> find(const BlasKey& key) {
    const auto known = configs_.find(key);
    if (known != configs_.end()) return &known->second;
    const cublasLtHandle_t handle = TRY(this->handle(key));
    return &configs_.emplace(key, TRY(choose(handle, key))).first->second;
  }
  Result<std::vector<BlasConfig>> candidates(const BlasKey& key) {
    const cublasLtHandle_t handle = TRY(this->handle(key));
    std::vector<BlasConfig> out;
    std::set<std::string> known;
    for (const int64_t rows :
         {key.rows, key.rows / 2, key.rows * 3 / 4, key.rows * 2, key.rows * 4}) {
      cublasStatus_t status;
      for (const BlasConfig& config : ask_heuristic(handle, key, rows, status)) {
        if (!known.insert(to_string(pin_of(key, config, 0))).second) continue;
        if (check_rows(handle, key, config, key.rows).ok()) out.push_back(config);
      }
    }
    return out;
  }
  // Ok if the configuration of `key` also runs `rows` rows.
  Status check(const BlasKey& key, int64_t rows) {
    const BlasConfig& config = *TRY(find(key));
    if (rows == key.rows || checked_.contains({key, rows})) return {};
    TRY(check_rows(handle_, key, config, rows));
    checked_.insert({key, rows});
    return {};
  }

 private:
  Result<cublasLtHandle_t> handle(const BlasKey& key) {
    if (handle_ == nullptr) {
      const cublasStatus_t code = cublasLtCreate(&handle_);
      if (code != CUBLAS_STATUS_SUCCESS) {
        return blas_error(ErrorKind::fault, "cuBLASLt can't be used", key, code);
      }
    }
    return handle_;
  }

  cublasLtHandle_t handle_ = nullptr;  // lives as long as the process
  std::map<BlasKey, BlasConfig> configs_;
  std::set<std::pair<BlasKey, int64_t>> checked_;
};

std::mutex& mutex() {
  static std::mutex instance;
  return instance;
}

// Of the current device; needs the mutex.
DeviceConfigs& device_configs() {
  static auto& devices = *new std::map<int, DeviceConfigs>;
  int device = 0;
  cudaGetDevice(&device);
  return devices[device];
}

#define SHAPE(kind, shape) \
  { CUBLASLT_##kind##_##shape, #shape }
const std::map<uint32_t, const char*> kTiles = {
    SHAPE(MATMUL_TILE, 32x32),   SHAPE(MATMUL_TILE, 32x64),   SHAPE(MATMUL_TILE, 64x32),
    SHAPE(MATMUL_TILE, 32x128),  SHAPE(MATMUL_TILE, 64x64),   SHAPE(MATMUL_TILE, 128x32),
    SHAPE(MATMUL_TILE, 64x128),  SHAPE(MATMUL_TILE, 128x64),  SHAPE(MATMUL_TILE, 64x256),
    SHAPE(MATMUL_TILE, 128x128), SHAPE(MATMUL_TILE, 256x64),  SHAPE(MATMUL_TILE, 128x256),
    SHAPE(MATMUL_TILE, 256x128), SHAPE(MATMUL_TILE, 64x96),   SHAPE(MATMUL_TILE, 96x64),
    SHAPE(MATMUL_TILE, 96x128),  SHAPE(MATMUL_TILE, 128x160), SHAPE(MATMUL_TILE, 160x128),
    SHAPE(MATMUL_TILE, 192x128), SHAPE(MATMUL_TILE, 128x192), SHAPE(MATMUL_TILE, 128x96),
    SHAPE(MATMUL_TILE, 64x8),    SHAPE(MATMUL_TILE, 64x16),   SHAPE(MATMUL_TILE, 64x24),
    SHAPE(MATMUL_TILE, 64x48),   SHAPE(MATMUL_TILE, 128x8),   SHAPE(MATMUL_TILE, 128x16),
    SHAPE(MATMUL_TILE, 128x24),  SHAPE(MATMUL_TILE, 128x48),  SHAPE(MATMUL_TILE, 256x16)};
const std::map<uint32_t, const char*> kStages = {
    SHAPE(MATMUL_STAGES, 32x3),    SHAPE(MATMUL_STAGES, 32x4),    SHAPE(MATMUL_STAGES, 32x5),
    SHAPE(MATMUL_STAGES, 32x6),    SHAPE(MATMUL_STAGES, 64x3),    SHAPE(MATMUL_STAGES, 64x4),
    SHAPE(MATMUL_STAGES, 64x5),    SHAPE(MATMUL_STAGES, 64x6),    SHAPE(MATMUL_STAGES, 128x3),
    SHAPE(MATMUL_STAGES, 128x4),   SHAPE(MATMUL_STAGES, 128x5),   SHAPE(MATMUL_STAGES, 128x6),
    SHAPE(MATMUL_STAGES, 32xAUTO), SHAPE(MATMUL_STAGES, 64xAUTO), SHAPE(MATMUL_STAGES, 128xAUTO)};
const std::map<uint32_t, const char*> kClusters = {{CUBLASLT_CLUSTER_SHAPE_AUTO, "auto"},
                                                   SHAPE(CLUSTER_SHAPE, 1x1x1),
                                                   SHAPE(CLUSTER_SHAPE, 2x1x1),
                                                   SHAPE(CLUSTER_SHAPE, 4x1x1),
                                                   SHAPE(CLUSTER_SHAPE, 1x2x1),
                                                   SHAPE(CLUSTER_SHAPE, 2x2x1),
                                                   SHAPE(CLUSTER_SHAPE, 4x2x1),
                                                   SHAPE(CLUSTER_SHAPE, 1x4x1),
                                                   SHAPE(CLUSTER_SHAPE, 2x4x1)};
#undef SHAPE

// The name of one of cuBLASLt's enumerators, or its number: there are hundreds.
std::string shape(const std::map<uint32_t, const char*>& names, uint32_t id) {
  const auto found = names.find(id);
  return found == names.end() ? fmt::format("#{}", id) : found->second;
}

}  // namespace

void check_blas(cublasStatus_t code, const char* call) {
  BRAID_CHECK(code == CUBLAS_STATUS_SUCCESS, "{}: {}", call, cublasLtGetStatusString(code));
}

BlasProduct describe_product(const BlasKey& key, int64_t rows, const BlasStrides& strides) {
  const cudaDataType_t in = data_type(key.in);
  BlasProduct product;
  check_blas(cublasLtMatmulDescInit(&product.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
             "cublasLtMatmulDescInit");
  set(product, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  if (key.bias) {
    set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, in);
  }
  check_blas(cublasLtMatrixLayoutInit(&product.w, in, key.k, key.n, strides.w), "layout of w");
  check_blas(cublasLtMatrixLayoutInit(&product.x, in, key.k, rows, strides.x), "layout of x");
  check_blas(cublasLtMatrixLayoutInit(&product.d, data_type(key.out), key.n, rows, strides.d),
             "layout of d");
  if (key.parts > 1) {
    set_parts(product.w, key.parts, key.k);
    set_parts(product.x, key.parts, key.k);
    set_parts(product.d, key.parts, rows * strides.d);
  }
  return product;
}

Result<const BlasConfig*> blas_config(const BlasKey& key) {
  const std::lock_guard lock(mutex());
  return device_configs().find(key);
}

Status check_blas_rows(const BlasKey& key, int64_t rows) {
  const std::lock_guard lock(mutex());
  return device_configs().check(key, rows);
}

Result<std::vector<BlasConfig>> blas_candidates(const BlasKey& key) {
  const std::lock_guard lock(mutex());
  return device_configs().candidates(key);
}

BlasPin pin_of(const BlasKey& key, const BlasConfig& config, double microseconds) {
  const cublasLtMatmulAlgo_t& algorithm = config.algorithm;
  return {.rows = key.rows,
          .n = key.n,
          .k = key.k,
          .parts = key.parts,
          .out = key.out,
          .algorithm = get<int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_ID),
          .tile = get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID),
          .stages = get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_STAGES_ID),
          .cluster = get<uint16_t>(algorithm, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID),
          .swizzle = get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING),
          .custom = get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION),
          .microseconds = microseconds};
}

std::string to_string(const BlasConfig& config) {
  const cublasLtMatmulAlgo_t& algorithm = config.algorithm;
  return fmt::format(
      "algorithm {}, tile {}, stages {}, cluster {}, split-K {}, swizzle {}, {}",
      get<int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_ID),
      shape(kTiles, get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID)),
      shape(kStages, get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_STAGES_ID)),
      shape(kClusters, get<uint16_t>(algorithm, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID)),
      get<int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM),
      get<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING),
      config.pinned ? "measured" : fmt::format("{:.1f} waves", config.waves));
}

}  // namespace braid::kernels::cuda
