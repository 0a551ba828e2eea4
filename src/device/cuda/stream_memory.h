// Stream memory operations: words that a stream writes, or waits for, without a kernel.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "base/status.h"

namespace braid::device {

// Enqueues *word = value, after everything before it on the stream is visible to all GPUs.
Status write_word(cudaStream_t stream, uint32_t* word, uint32_t value);
// Makes the stream wait until *word == value.
Status await_word(cudaStream_t stream, uint32_t* word, uint32_t value);

}  // namespace braid::device
