// What the registrations of the GPU's launchers share.
#pragma once

#include "device/cuda/cuda_queue.h"
#include "ops/cuda/kernel_stream.h"
#include "ops/launch_args.h"

namespace braid::ops {

using device::CudaQueue;
using flow::Arg;
using flow::Args;
using flow::Type;
using flow::Workspace;

template <typename Desc>
using Launcher = flow::QueuedLauncher<Desc, CudaQueue>;

inline Status need_equal(std::initializer_list<Type> types) {
  return need_equal_formats("the GPU", types);
}

// The check of a kind whose operands kOperands have one format that the GPU computes on.
template <typename Desc, size_t... kOperands>
Status of_one_format(const Desc& /*desc*/, std::span<const Type> types) {
  return need_equal({types[kOperands]...});
}

inline Status need_at_most(std::string_view what, int64_t value, int64_t most) {
  if (value <= most) return {};
  return Error(ErrorKind::unsupported, "more than the GPU's kernel takes")
      .with("of", what)
      .with("value", value)
      .with("at most", most);
}

}  // namespace braid::ops
