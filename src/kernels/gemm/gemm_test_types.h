// For tests: the types of operands that dense and grouped GEMMs take, x and W of X, y of Y.
#pragma once

#include <gtest/gtest.h>

#include "base/float16.h"

namespace braid::kernels {

template <typename In, typename Out>
struct GemmTypes {
  using X = In;
  using Y = Out;
};
using AllGemmTypes =
    testing::Types<GemmTypes<float, float>, GemmTypes<bf16, bf16>, GemmTypes<bf16, float>>;

}  // namespace braid::kernels
