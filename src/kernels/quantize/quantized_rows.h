// Quantized rows as kernels take them, on every device.
#pragma once

#include "kernels/matrix.h"
#include "kernels/quantize/quantize_desc.h"

namespace braid::kernels {

// payload [rows, payload_columns(cols)]; scales [rows, scale_columns(cols)], their stride in bytes
// whatever their format.
template <typename Byte>
struct QuantizedRows {
  Matrix<Byte> payload;
  Matrix<Byte> scales;
};

}  // namespace braid::kernels
