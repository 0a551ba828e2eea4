// Which tensors of a checkpoint make up each weight buffer, and loading them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "device/device.h"
#include "flow/launcher.h"
#include "flow/residents.h"
#include "model/tensor_source.h"

namespace braid::model {

// A tensor, or a window of it, laid into a buffer: row i of it goes to row first_row + i ·
// row_step. Where the buffer has more columns, they are zeros: the pads of a shard. A tensor of one
// dimension fills first_row … of the numbers of a buffer [1, n].
struct WeightPart {
  std::string tensor;
  std::vector<int64_t> shape;  // of the whole tensor
  int64_t first_row = 0;
  int64_t row_step = 1;  // 2: gate and up rows alternate
  std::optional<Block> window = std::nullopt;

  static WeightPart zeros(int64_t first_row, int64_t rows);  // of the buffer's width

  int64_t rows() const { return window ? window->rows : shape.front(); }
  Block block() const;  // of the tensor: the window, or all of it
  // How many columns a row of the part has in a buffer. A vector is always one column wide.
  int64_t target_columns(int64_t buffer_columns) const;
};

// A weight buffer and what fills it.
struct PlannedWeight {
  int32_t resident;
  std::vector<WeightPart> parts;
};

// How weights get into a rank's memory.
struct Loading {
  device::Device& device;
  const flow::LauncherTable& kernels;  // of that device
  int32_t threads = 1;                 // see loader_threads()
  // Told how many more bytes of the buffers are filled, by any thread; their sum is that of all
  // weights. Null: it is not told.
  std::function<void(int64_t)> progress = nullptr;
};

// A weight whose values are computed here, not read (inverse frequencies, popularity, the table of
// slots).
struct ComputedWeight {
  int32_t resident;
  std::vector<std::byte> bytes;
};

class WeightPlan {
 public:
  // Declares a weight [rows, cols] made of `parts`, which fill it; returns its resident index.
  int32_t add(flow::Residents& residents, std::string name, Format format, int64_t rows,
              int64_t cols, std::vector<WeightPart> parts);
  // Declares an f32 weight [1, n] with these values.
  int32_t add_computed(flow::Residents& residents, std::string name,
                       const std::vector<float>& values);
  // Declares an i32 weight [n / cols, cols] with these values.
  int32_t add_computed(flow::Residents& residents, std::string name, int64_t cols,
                       const std::vector<int32_t>& values);

  // Reads or makes everything into the residents' memory, which must be allocated. What is there in
  // the end, and which error comes out, doesn't depend on the number of threads.
  Status load(const TensorSource& source, const flow::Residents& residents,
              const Loading& how) const;

  // The names of all tensors that are read, some more than once.
  std::vector<std::string> tensors() const;

 private:
  std::vector<PlannedWeight> weights_;
  std::vector<ComputedWeight> computed_;
};

}  // namespace braid::model
