#include "model/checkpoint_source.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "model/dequantize.h"
#include "model/safetensors_header.h"

namespace braid::model {
namespace {

using Shape = std::vector<int64_t>;

constexpr int64_t kStripBytes = int64_t{1} << 18;  // that are read at a time: they fit into caches
constexpr int64_t kMostSkippedBytes = 4096;        // between two rows of a strip

constexpr std::string_view kWeightSuffix = ".weight";
// Whatever may stand beside X.weight.
constexpr std::array<std::string_view, 3> kScaleSuffixes = {".weight_scale", ".weight_scale_inv",
                                                            ".weight_scale_2"};

std::string_view module_of(std::string_view name) {
  if (name.ends_with(kWeightSuffix)) name.remove_suffix(kWeightSuffix.size());
  return name;
}

std::string beside(std::string_view name, std::string_view suffix) {
  return std::string(module_of(name)) + std::string(suffix);
}

// What a tensor of `scheme` is stored as; nothing where the scheme quantizes nothing.
std::optional<StorageType> storage_of(QuantKind kind) {
  switch (kind) {
    case QuantKind::none: return std::nullopt;
    case QuantKind::nvfp4: return StorageType::u8;
    default: return StorageType::f8_e4m3;
  }
}

Error wrong_shape(const StoredTensor& tensor, const std::string& folder,
                  std::string_view expected) {
  return Error(ErrorKind::corrupt_data, "a tensor's shape is not as config.json says")
      .with("tensor", tensor.name)
      .with("expected", expected)
      .with("got", shape_text(tensor.shape))
      .with("folder", folder)
      .remedy("Weights and config.json belong to different models, or the checkpoint is damaged.");
}

Error wrong_type(const StoredTensor& tensor, const std::string& folder, std::string_view expected) {
  return Error(ErrorKind::corrupt_data, "a tensor's dtype is not as expected")
      .with("tensor", tensor.name)
      .with("expected", expected)
      .with("got", name_of(tensor.type))
      .with("folder", folder);
}

Status expect_shape(const StoredTensor& tensor, const std::string& folder,
                    std::span<const int64_t> shape) {
  if (std::equal(shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end())) return {};
  return wrong_shape(tensor, folder, shape_text(shape));
}

// The scales named `name` as float32; `shapes` are the accepted shapes.
Result<std::vector<float>> read_scales(const Checkpoint& checkpoint, const std::string& name,
                                       const std::vector<Shape>& shapes) {
  const StoredTensor& tensor = *TRY(checkpoint.find(name));
  if (!is_plain_float(tensor.type)) {
    return wrong_type(tensor, checkpoint.folder(), "F32, BF16 or F16");
  }
  std::string expected;
  for (const Shape& shape : shapes) {
    if (tensor.shape == shape) {
      std::vector<float> scales(static_cast<size_t>(tensor.bytes / bytes_of(tensor.type)));
      convert(tensor.type, TRY(tensor.read()), 0, scales);
      return scales;
    }
    expected += (expected.empty() ? "" : " or ") + shape_text(shape);
  }
  return wrong_shape(tensor, checkpoint.folder(), expected);
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

std::span<float> row_of(std::span<float> values, const Block& block, int64_t row) {
  return values.subspan(static_cast<size_t>(row * block.columns),
                        static_cast<size_t>(block.columns));
}

// `bytes` of each of some rows of a stored matrix, from `first` on.
struct StoredRows {
  int64_t row_bytes = 0;  // of a whole row
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first = 0;
  int64_t bytes = 0;
};

// Calls each(i, bytes) for row first_row + i, which it reads many at a time. What lies between the
// rows' bytes is read with them where that is cheaper than another call.
template <typename Each>
Status for_each_row(const StoredTensor& tensor, const StoredRows& want, const Each& each) {
  if (want.rows == 0 || want.bytes == 0) return {};
  const bool alone = want.row_bytes - want.bytes > kMostSkippedBytes;
  const int64_t at_once =
      alone ? 1 : std::clamp<int64_t>(kStripBytes / want.row_bytes, 1, want.rows);
  const int64_t most = (at_once - 1) * want.row_bytes + want.bytes;
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(most));
  for (int64_t done = 0; done < want.rows; done += at_once) {
    const int64_t rows = std::min(at_once, want.rows - done);
    const std::span<std::byte> strip(buffer.get(),
                                     static_cast<size_t>((rows - 1) * want.row_bytes + want.bytes));
    TRY(tensor.read((want.first_row + done) * want.row_bytes + want.first, strip));
    for (int64_t row = 0; row < rows; ++row) {
      each(done + row, strip.subspan(static_cast<size_t>(row * want.row_bytes),
                                     static_cast<size_t>(want.bytes)));
    }
  }
  return {};
}

Result<BlockScales> read_block_scales(const Checkpoint& checkpoint, const QuantScheme& scheme,
                                      std::string_view name, int64_t n, int64_t k) {
  BlockScales scales;
  std::string_view suffix = ".weight_scale";
  std::vector<Shape> shapes;
  switch (scheme.kind) {
    case QuantKind::fp8_block:
      suffix = ".weight_scale_inv";
      scales = {scheme.block_rows, scheme.block_columns, ceil_div(k, scheme.block_columns), {}};
      shapes = {{ceil_div(n, scheme.block_rows), scales.stride}};
      break;
    case QuantKind::fp8_channel:
      scales = {1, k, 1, {}};
      shapes = {{n, 1}};
      break;
    default:
      scales = {n, k, 1, {}};
      shapes = {{}, {1}};
      break;
  }
  scales.scales = TRY(read_scales(checkpoint, beside(name, suffix), shapes));
  return scales;
}

Status read_fp8(const Checkpoint& checkpoint, const QuantScheme& scheme, const StoredTensor& tensor,
                std::span<const int64_t> shape, const Block& block, std::span<float> out) {
  TRY(expect_shape(tensor, checkpoint.folder(), shape));
  const BlockScales scales =
      TRY(read_block_scales(checkpoint, scheme, tensor.name, shape[0], shape[1]));
  return for_each_row(tensor,
                      {.row_bytes = shape[1],
                       .first_row = block.first_row,
                       .rows = block.rows,
                       .first = block.first_column,
                       .bytes = block.columns},
                      [&](int64_t i, std::span<const std::byte> stored) {
                        dequantize_e4m3_row(stored, scales, block.first_row + i, block.first_column,
                                            row_of(out, block, i));
                      });
}

Status read_nvfp4(const Checkpoint& checkpoint, const StoredTensor& tensor,
                  std::span<const int64_t> shape, const Block& block, std::span<float> out) {
  const int64_t n = shape[0], k = shape[1];
  if (k % kNvfp4Group != 0) {
    return wrong_shape(tensor, checkpoint.folder(), "columns in groups of 16");
  }
  TRY(expect_shape(tensor, checkpoint.folder(), Shape{n, k / 2}));
  const StoredTensor& scales = *TRY(checkpoint.find(beside(tensor.name, ".weight_scale")));
  if (scales.type != StorageType::f8_e4m3) {
    return wrong_type(scales, checkpoint.folder(), "F8_E4M3");
  }
  TRY(expect_shape(scales, checkpoint.folder(), Shape{n, k / kNvfp4Group}));
  const std::vector<float> global =
      TRY(read_scales(checkpoint, beside(tensor.name, ".weight_scale_2"), {{}, {1}}));
  const int64_t scales_of_row = k / kNvfp4Group;
  std::vector<std::byte> scale_bytes(static_cast<size_t>(block.rows * scales_of_row));
  TRY(scales.read(block.first_row * scales_of_row, scale_bytes));
  return for_each_row(tensor,
                      {.row_bytes = k / 2,
                       .first_row = block.first_row,
                       .rows = block.rows,
                       .first = 0,
                       .bytes = k / 2},
                      [&](int64_t i, std::span<const std::byte> stored) {
                        const auto of_row = std::span(scale_bytes)
                                                .subspan(static_cast<size_t>(i * scales_of_row),
                                                         static_cast<size_t>(scales_of_row));
                        dequantize_nvfp4_row({stored, of_row, global[0]}, block.first_column,
                                             row_of(out, block, i));
                      });
}

// That the scheme of config.json explains why the tensor is no plain float.
Status check_quantized(const Checkpoint& checkpoint, const QuantScheme& scheme,
                       const StoredTensor& tensor, std::span<const int64_t> shape) {
  const std::optional<StorageType> storage = storage_of(scheme.kind);
  if (!storage || tensor.type != *storage || !tensor.name.ends_with(kWeightSuffix) ||
      shape.size() != 2) {
    return wrong_type(tensor, checkpoint.folder(), "F32, BF16 or F16")
        .with("quantization", name_of(scheme.kind))
        .remedy("config.json does not say that this tensor is quantized in this way.");
  }
  if (TRY(scheme.ignore.matches(module_of(tensor.name)))) {
    return Error(ErrorKind::corrupt_data,
                 "a tensor is quantized although the quantization's ignore list names it")
        .with("tensor", tensor.name)
        .with("dtype", name_of(tensor.type))
        .with("folder", checkpoint.folder());
  }
  return {};
}

// A block of a matrix of plain numbers.
StoredRows rows_of(StorageType type, std::span<const int64_t> shape, const Block& block) {
  const int64_t width = bytes_of(type);
  return {.row_bytes = columns_of(shape) * width,
          .first_row = block.first_row,
          .rows = block.rows,
          .first = block.first_column * width,
          .bytes = block.columns * width};
}

}  // namespace

CheckpointSource::CheckpointSource(Checkpoint checkpoint, QuantScheme scheme, SourceOptions options)
    : TensorSource(options), checkpoint_(std::move(checkpoint)), scheme_(std::move(scheme)) {}

bool CheckpointSource::has(std::string_view name) const { return checkpoint_.has(name); }

int64_t CheckpointSource::bytes(std::string_view name) const {
  const auto size_of = [&](std::string_view tensor) {
    return checkpoint_.has(tensor) ? (*checkpoint_.find(tensor))->bytes : int64_t{0};
  };
  int64_t sum = size_of(name);
  if (!name.ends_with(kWeightSuffix)) return sum;
  for (const std::string_view suffix : kScaleSuffixes) sum += size_of(beside(name, suffix));
  return sum;
}

int64_t CheckpointSource::bytes() const { return checkpoint_.bytes(); }

Status CheckpointSource::read_checked(std::string_view name, std::span<const int64_t> shape,
                                      const Block& block, std::span<float> out) const {
  const StoredTensor& tensor = *TRY(checkpoint_.find(name));
  if (!is_plain_float(tensor.type)) {
    TRY(check_quantized(checkpoint_, scheme_, tensor, shape));
    return scheme_.kind == QuantKind::nvfp4
               ? read_nvfp4(checkpoint_, tensor, shape, block, out)
               : read_fp8(checkpoint_, scheme_, tensor, shape, block, out);
  }
  TRY(expect_shape(tensor, checkpoint_.folder(), shape));
  return for_each_row(tensor, rows_of(tensor.type, shape, block),
                      [&](int64_t i, std::span<const std::byte> stored) {
                        convert(tensor.type, stored, 0, row_of(out, block, i));
                      });
}

// Numbers that are stored as they are wanted are copied: in one piece where they are one.
Status CheckpointSource::read_rows_checked(std::string_view name, std::span<const int64_t> shape,
                                           const Block& block, const NumberRows& out) const {
  const StoredTensor& tensor = *TRY(checkpoint_.find(name));
  const StorageType wanted = out.format == Format::f32 ? StorageType::f32 : StorageType::bf16;
  if (tensor.type != wanted) {
    return TensorSource::read_rows_checked(name, shape, block, out);
  }
  TRY(expect_shape(tensor, checkpoint_.folder(), shape));
  const StoredRows rows = rows_of(tensor.type, shape, block);
  if (rows.bytes == rows.row_bytes && out.stride == rows.bytes) {
    return tensor.read(rows.first_row * rows.row_bytes,
                       {out.data, static_cast<size_t>(rows.rows * rows.bytes)});
  }
  return for_each_row(tensor, rows, [&](int64_t i, std::span<const std::byte> stored) {
    std::memcpy(out.data + i * out.stride, stored.data(), stored.size());
  });
}

}  // namespace braid::model
