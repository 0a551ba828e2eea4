// y = epilogue(x · Wᵀ + bias).  x [M, K], W [N, K] row-major as checkpoints store it, y [M, N].
//
// Two more steps may be part of it, by operands that are there or not, and give the bits that they
// give as ops of their own: with norm_weight [K], x's rows go through an RMSNorm first and are
// rounded to x's format; with residual [M, N], y is rounded to its format, the residual added, and
// the sum rounded.
#pragma once

#include <cstdint>

namespace braid::kernels {

enum class Epilogue : int32_t {
  none,
  // W's rows alternate gate and up: y[m, i] = silu(a[m, 2i]) · a[m, 2i + 1], y [M, N / 2].
  swiglu,
};

struct GemmDesc {
  Epilogue epilogue = Epilogue::none;
  // W stored as `k_slots` blocks [N, K / k_slots] one after the other (a shared expert whose
  // slices are slots of the experts' pool); their products are added in order.
  int32_t k_slots = 1;
  // Rows that the kernel's configuration is chosen for; a part of a split op keeps it, so that its
  // rows come out bitwise the same.
  int32_t tuned_rows = 0;
  float norm_eps = 0;     // of the RMSNorm, where there is a norm_weight
  int32_t spare_sms = 0;  // SMs that it leaves to what runs beside it; they change no bit of y
};

// y = epilogue(x[index] · W[slot]ᵀ) for the rows of every slot; rows of slot s are
// [offsets[s], offsets[s + 1]).  x [M, K], W [num_slots · N, K], y [rows, N].
struct GroupedGemmDesc {
  Epilogue epilogue = Epilogue::none;
  int32_t num_slots = 0;
  int32_t tuned_rows = 0;  // as in GemmDesc: grouped rows
  int32_t tokens = 0;      // the rows that they were before, as far as that is known
};

}  // namespace braid::kernels
