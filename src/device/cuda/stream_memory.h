// Stream memory operations: words that a stream writes, or waits for, without a kernel.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <span>

#include "base/status.h"

namespace braid::device {

struct WordOp {
  enum Kind : uint8_t {
    write,        // *word = value, after all before it on the stream is visible to all GPUs
    await,        // goes on once *word == value
    await_least,  // goes on once *word >= value, both below 2³¹
  };
  Kind kind = write;
  uint32_t* word = nullptr;
  uint32_t value = 0;
};

inline constexpr size_t kMaxWordOps = 64;

// Enqueues at most kMaxWordOps as one operation; they happen in their order.
Status word_ops(cudaStream_t stream, std::span<const WordOp> ops);

}  // namespace braid::device
