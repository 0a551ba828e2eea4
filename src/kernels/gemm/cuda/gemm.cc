#include "kernels/gemm/cuda/gemm.h"

#include <bit>
#include <initializer_list>

#include "kernels/gemm/cuda/blas_config.h"
#include "kernels/gemm/cuda/finish_gemm.h"
#include "kernels/gemm/cuda/stream_gemm.h"
#include "kernels/norm/cuda/norm.h"
#include "kernels/rows/cuda/rows.h"

namespace braid::kernels::cuda {
namespace {

// Columns of the scratch matrix are rounded up to this, so that each of its rows is aligned.
constexpr int64_t kScratchColumns = 16;

// Up to this many rows an op has the algorithm of this many: the second of a decode step's two
// kinds of arithmetic, after that of stream_gemm.h.
constexpr int64_t kMostDecodeRows = 64;

int64_t tuned_rows(const GemmDesc& desc, int64_t rows) {
  return std::max(desc.tuned_rows > 0 ? desc.tuned_rows : rows, kMostDecodeRows);
}

// K is cut into as many parts as occupy the GPU with blocks of 128 rows by 64 columns, of which
// each then sums a part; and few rows' K into parts of 8192 columns. cuBLASLt's own choice for so
// few blocks, or for such a K, is slower by a factor of 2 to 30.
int32_t parts_of_k(const GemmDesc& desc, const GemmShape& shape, int64_t rows) {
  constexpr int64_t kBlocks = 132, kBlockRows = 128, kBlockColumns = 64;
  constexpr int64_t kLeastColumns = 512, kMostColumns = 8192, kColumnStep = 32;
  constexpr int32_t kMostParts = 8;
  if (desc.k_slots != 1 || shape.in != Format::bf16) return 1;
  const int64_t row_blocks = ceil_div(tuned_rows(desc, rows), kBlockRows);
  const int64_t blocks = row_blocks * ceil_div(shape.n, kBlockColumns);
  int32_t parts = 1;
  for (; parts < kMostParts; parts *= 2) {
    const bool idle = 2 * parts * blocks <= kBlocks;
    const bool long_sums = row_blocks == 1 && shape.k / parts > kMostColumns;
    const int64_t columns = shape.k / (2 * parts);
    if (!idle && !long_sums) break;
    if (columns < kLeastColumns || shape.k % (2 * parts * kColumnStep) != 0) break;
  }
  return parts;
}

// How an op is done: k_slots products into one matrix, or those of all parts of K, each into a
// matrix of its own; y itself or the scratch.
struct Steps {
  bool direct;      // the products write y
  bool bias;        // cuBLASLt adds the bias
  Format product;   // of the matrix that the products write
  int64_t columns;  // of the scratch matrix
  int64_t k;        // of one product
  int32_t parts;

  int64_t scratch_bytes(int64_t rows) const {
    return direct ? 0 : parts * rows * columns * bytes_of(product);
  }
};

Steps steps_of(const GemmDesc& desc, const GemmShape& shape, int64_t rows) {
  const int32_t parts = parts_of_k(desc, shape, rows);
  const bool one_product = desc.k_slots == 1 && parts == 1;
  // cuBLASLt takes a bias of d's format only, and adds it to each product.
  const bool blas_bias = shape.bias && one_product && shape.in == shape.out;
  const bool summable = one_product || (parts == 1 && shape.out == Format::f32);
  Steps steps;
  steps.direct = desc.epilogue == Epilogue::none && summable && (!shape.bias || blas_bias);
  steps.bias = steps.direct && blas_bias;
  steps.product = steps.direct ? shape.out : one_product ? shape.out : Format::f32;
  steps.columns = (shape.n + kScratchColumns - 1) / kScratchColumns * kScratchColumns;
  steps.k = shape.k / (desc.k_slots * parts);
  steps.parts = parts;
  return steps;
}

// Bytes of an op's scratch memory: x normalised, then the products.
struct Scratch {
  static constexpr int64_t kAlignment = 256;

  int64_t normed = 0;
  int64_t sums = 0;
  int64_t bytes() const { return normed + sums; }
};

Scratch scratch_of(const GemmDesc& desc, const GemmShape& shape, int64_t rows) {
  Scratch scratch;
  if (shape.norm) {
    const int64_t bytes = rows * shape.k * bytes_of(shape.in);
    scratch.normed = ceil_div(bytes, Scratch::kAlignment) * Scratch::kAlignment;
  }
  scratch.sums = steps_of(desc, shape, rows).scratch_bytes(rows);
  return scratch;
}

// Calls body with a value of the storage type of `format`: float or bf16.
template <typename Body>
void with_type(Format format, Body&& body) {
  if (format == Format::f32) return body(float{});
  body(bf16{});
}

// For a kernel behind another one of the same op.
KernelStream behind(const KernelStream& on) { return {on.stream, true, on.constant_weights}; }

// x normalised into `to`, which becomes the op's x.
void normalize(const GemmDesc& desc, const GemmShape& shape, int64_t rows, GemmOperands& operands,
               void* to, const KernelStream& on) {
  with_type(shape.in, [&]<typename T>(T) {
    rms_norm<T>({.eps = desc.norm_eps}, {.capacity = rows}, shape.k,
                {static_cast<const T*>(operands.x), operands.x_stride},
                static_cast<const T*>(operands.norm_weight), {static_cast<T*>(to), shape.k}, on);
  });
  operands.x = to;
  operands.x_stride = shape.k;
}

void add_residual(const GemmDesc& desc, const GemmShape& shape, int64_t rows,
                  const GemmOperands& operands, const KernelStream& on) {
  const int64_t cols = desc.epilogue == Epilogue::swiglu ? shape.n / 2 : shape.n;
  with_type(shape.out, [&]<typename T>(T) {
    add<T>({.capacity = rows}, cols, {static_cast<const T*>(operands.y), operands.y_stride},
           {static_cast<const T*>(operands.residual), operands.residual_stride},
           {static_cast<T*>(operands.y), operands.y_stride}, on);
  });
}

// The largest power of 2, up to what cuBLASLt can use, that divides all of `bytes`.
int32_t alignment_of(std::initializer_list<uint64_t> bytes) {
  uint64_t all = kBlasAlignment;
  for (const uint64_t value : bytes) all |= value;
  return int32_t{1} << std::countr_zero(all);
}

uint64_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

uint64_t row_bytes(int64_t elements, Format format) {
  return static_cast<uint64_t>(elements * bytes_of(format));
}

BlasKey key_of(const GemmDesc& desc, const GemmShape& shape, int64_t rows, int32_t alignment) {
  const Steps steps = steps_of(desc, shape, rows);
  return {.rows = tuned_rows(desc, rows),
          .n = shape.n,
          .k = steps.k,
          .parts = steps.parts,
          .in = shape.in,
          .out = steps.product,
          .bias = steps.bias,
          .alignment = alignment};
}

// Where the products write.
struct Destination {
  void* data;
  int64_t stride;
};

// d = x · Wᵀ (+ bias), over the k_slots blocks of W in order.
void multiply(const GemmDesc& desc, const GemmShape& shape, int64_t rows,
              const GemmOperands& operands, Destination d, const BlasQueue& queue,
              int32_t sm_count) {
  const Steps steps = steps_of(desc, shape, rows);
  const uint64_t x_step = row_bytes(steps.k, shape.in);
  const uint64_t w_step = row_bytes(shape.n * operands.w_stride, shape.in);
  const int32_t alignment = alignment_of(
      {address(operands.x), row_bytes(operands.x_stride, shape.in), desc.k_slots > 1 ? x_step : 0,
       address(operands.w), row_bytes(operands.w_stride, shape.in), address(d.data),
       row_bytes(d.stride, steps.product)});
  const BlasKey key = key_of(desc, shape, rows, alignment);
  const Result<const BlasConfig*> found = blas_config(key);
  BRAID_CHECK(found.ok(), "{}", found.error().to_string());
  const BlasConfig& config = **found;

  BlasProduct product =
      describe_product(key, rows, {operands.x_stride, operands.w_stride, d.stride});
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, auto value) {
    check_blas(cublasLtMatmulDescSetAttribute(&product.operation, attribute, &value, sizeof(value)),
               "cublasLtMatmulDescSetAttribute");
  };
  if (sm_count > 0) set(CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, sm_count);
  if (steps.bias) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.bias);
  for (int32_t slot = 0; slot < desc.k_slots; ++slot) {
    const float alpha = 1.0f;
    const float beta = slot == 0 ? 0.0f : 1.0f;
    const auto part = static_cast<uint64_t>(slot);
    check_blas(cublasLtMatmul(queue.handle, &product.operation, &alpha,
                              static_cast<const std::byte*>(operands.w) + part * w_step, &product.w,
                              static_cast<const std::byte*>(operands.x) + part * x_step, &product.x,
                              &beta, d.data, &product.d, d.data, &product.d, &config.algorithm,
                              queue.workspace, kBlasWorkspaceBytes, queue.stream.stream),
               "cublasLtMatmul");
  }
}

// y = epilogue(x · Wᵀ + bias) + residual by cuBLASLt.
void product(const GemmDesc& desc, const GemmShape& shape, int64_t rows,
             const GemmOperands& operands, void* sums, const BlasQueue& queue, int32_t sm_count) {
  const Steps steps = steps_of(desc, shape, rows);
  if (steps.direct) {
    multiply(desc, shape, rows, operands, {operands.y, operands.y_stride}, queue, sm_count);
    if (shape.residual) add_residual(desc, shape, rows, operands, behind(queue.stream));
    return;
  }
  multiply(desc, shape, rows, operands, {sums, steps.columns}, queue, sm_count);
  finish_gemm({.epilogue = desc.epilogue,
               .rows = rows,
               .n = shape.n,
               .sums = sums,
               .sums_stride = steps.columns,
               .parts = steps.parts,
               .f32_sums = steps.product == Format::f32,
               .bias = operands.bias,
               .f32_bias = shape.in == Format::f32,
               .residual = operands.residual,
               .residual_stride = operands.residual_stride,
               .y = operands.y,
               .y_stride = operands.y_stride,
               .f32_y = shape.out == Format::f32},
              behind(queue.stream));
}

}  // namespace

Status can_gemm(const GemmDesc& desc, const GemmShape& shape) {
  const auto refused = [&](const char* sentence) {
    return Error(ErrorKind::unsupported, sentence)
        .with("in", name_of(shape.in))
        .with("out", name_of(shape.out))
        .with("N", shape.n)
        .with("K", shape.k)
        .with("k_slots", desc.k_slots);
  };
  const bool known = (shape.in == Format::bf16 && shape.out == Format::bf16) ||
                     (shape.in == Format::bf16 && shape.out == Format::f32) ||
                     (shape.in == Format::f32 && shape.out == Format::f32);
  if (!known) return refused("the GPU multiplies bf16 to bf16 or f32, and f32 to f32");
  if (desc.k_slots < 1 || shape.k % desc.k_slots != 0) return refused("k_slots don't divide K");
  if (desc.epilogue == Epilogue::swiglu && shape.n % 2 != 0) return refused("SwiGLU of an odd N");
  return {};
}

BlasKey gemm_blas_key(const GemmDesc& desc, const GemmShape& shape, int64_t rows) {
  const Steps steps = steps_of(desc, shape, rows);
  const int32_t alignment =
      alignment_of({row_bytes(shape.k, shape.in), row_bytes(steps.k, shape.in),
                    steps.direct ? row_bytes(shape.n, shape.out) : 0});
  return key_of(desc, shape, rows, alignment);
}

Status prepare_gemm(const GemmDesc& desc, const GemmShape& shape, int64_t rows) {
  TRY(can_gemm(desc, shape));
  if (rows == 0) return {};
  return check_blas_rows(gemm_blas_key(desc, shape, rows), rows);
}

int64_t gemm_scratch_bytes(const GemmDesc& desc, const GemmShape& shape, int64_t rows) {
  return scratch_of(desc, shape, rows).bytes();
}

void gemm(const GemmDesc& desc, const GemmShape& shape, int64_t rows, const GemmOperands& given,
          void* scratch, const BlasQueue& queue, int32_t sm_count) {
  if (rows == 0 || shape.n == 0) return;
  GemmOperands operands = given;
  std::optional<StreamGemmConfig> stream = stream_gemm_config(desc, shape, rows);
  if (stream.has_value() && !can_stream(shape, operands)) stream.reset();
  const bool norm_apart = shape.norm && !(stream.has_value() && stream->norm);
  if (norm_apart) normalize(desc, shape, rows, operands, scratch, queue.stream);
  if (stream.has_value()) {
    stream_gemm(desc, shape, *stream, rows, operands,
                norm_apart ? behind(queue.stream) : queue.stream, sm_count);
    return;
  }
  void* sums = static_cast<std::byte*>(scratch) + scratch_of(desc, shape, rows).normed;
  product(desc, shape, rows, operands, sums, queue, sm_count);
}

GemmOverlap gemm_overlap(const GemmDesc& desc, const GemmShape& shape, int64_t rows) {
  const bool streams = stream_gemm_config(desc, shape, rows).has_value();
  return {.follows = streams || shape.norm, .reads_early = streams};
}

Result<std::string> explain_gemm(const GemmDesc& desc, const GemmShape& shape, int64_t rows) {
  if (const auto stream = stream_gemm_config(desc, shape, rows)) return to_string(*stream);
  const BlasConfig& config = *TRY(blas_config(gemm_blas_key(desc, shape, rows)));
  const Steps steps = steps_of(desc, shape, rows);
  return fmt::format("cuBLASLt {}{}{}", to_string(config),
                     steps.parts == 1 ? "" : fmt::format(", {} parts of K", steps.parts),
                     steps.direct ? "" : ", then an elementwise kernel");
}

}  // namespace braid::kernels::cuda
