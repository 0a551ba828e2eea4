#include "model/checkpoint_source.h"

#include <array>
#include <utility>

#include "model/dequantize.h"
#include "model/safetensors_header.h"

namespace braid::model {
namespace {

using Shape = std::vector<int64_t>;

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

Error wrong_shape(const TensorView& tensor, const std::string& folder, std::string_view expected) {
  return Error(ErrorKind::corrupt_data, "a tensor's shape is not as config.json says")
      .with("tensor", tensor.name)
      .with("expected", expected)
      .with("got", shape_text(tensor.shape))
      .with("folder", folder)
      .remedy("Weights and config.json belong to different models, or the checkpoint is damaged.");
}

Error wrong_type(const TensorView& tensor, const std::string& folder, std::string_view expected) {
  return Error(ErrorKind::corrupt_data, "a tensor's dtype is not as expected")
      .with("tensor", tensor.name)
      .with("expected", expected)
      .with("got", name_of(tensor.type))
      .with("folder", folder);
}

Status expect_shape(const TensorView& tensor, const std::string& folder,
                    std::span<const int64_t> shape) {
  if (std::equal(shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end())) return {};
  return wrong_shape(tensor, folder, shape_text(shape));
}

// The scales named `name` as float32; `shapes` are the accepted shapes.
Result<std::vector<float>> read_scales(const Checkpoint& checkpoint, const std::string& name,
                                       const std::vector<Shape>& shapes) {
  const TensorView tensor = TRY(checkpoint.find(name));
  if (!is_plain_float(tensor.type)) {
    return wrong_type(tensor, checkpoint.folder(), "F32, BF16 or F16");
  }
  std::string expected;
  for (const Shape& shape : shapes) {
    if (tensor.shape == shape) {
      std::vector<float> scales(tensor.bytes.size() / static_cast<size_t>(bytes_of(tensor.type)));
      convert(tensor.type, tensor.bytes, 0, scales);
      return scales;
    }
    expected += (expected.empty() ? "" : " or ") + shape_text(shape);
  }
  return wrong_shape(tensor, checkpoint.folder(), expected);
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

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

Status read_fp8(const Checkpoint& checkpoint, const QuantScheme& scheme, const TensorView& tensor,
                std::span<const int64_t> shape, const Block& block, std::span<float> out) {
  TRY(expect_shape(tensor, checkpoint.folder(), shape));
  const BlockScales scales =
      TRY(read_block_scales(checkpoint, scheme, tensor.name, shape[0], shape[1]));
  for (int64_t i = 0; i < block.rows; ++i) {
    dequantize_e4m3_row(
        tensor.bytes, shape[1], scales, block.first_row + i, block.first_column,
        out.subspan(static_cast<size_t>(i * block.columns), static_cast<size_t>(block.columns)));
  }
  return {};
}

Status read_nvfp4(const Checkpoint& checkpoint, const TensorView& tensor,
                  std::span<const int64_t> shape, const Block& block, std::span<float> out) {
  const int64_t n = shape[0], k = shape[1];
  if (k % kNvfp4Group != 0) {
    return wrong_shape(tensor, checkpoint.folder(), "columns in groups of 16");
  }
  TRY(expect_shape(tensor, checkpoint.folder(), Shape{n, k / 2}));
  const TensorView scales = TRY(checkpoint.find(beside(tensor.name, ".weight_scale")));
  if (scales.type != StorageType::f8_e4m3) {
    return wrong_type(scales, checkpoint.folder(), "F8_E4M3");
  }
  TRY(expect_shape(scales, checkpoint.folder(), Shape{n, k / kNvfp4Group}));
  const std::vector<float> global =
      TRY(read_scales(checkpoint, beside(tensor.name, ".weight_scale_2"), {{}, {1}}));
  const Nvfp4Matrix matrix{tensor.bytes, scales.bytes, global[0], k};
  for (int64_t i = 0; i < block.rows; ++i) {
    dequantize_nvfp4_row(
        matrix, block.first_row + i, block.first_column,
        out.subspan(static_cast<size_t>(i * block.columns), static_cast<size_t>(block.columns)));
  }
  return {};
}

// That the scheme of config.json explains why the tensor is no plain float.
Status check_quantized(const Checkpoint& checkpoint, const QuantScheme& scheme,
                       const TensorView& tensor, std::span<const int64_t> shape) {
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

}  // namespace

CheckpointSource::CheckpointSource(Checkpoint checkpoint, QuantScheme scheme, SourceOptions options)
    : TensorSource(options), checkpoint_(std::move(checkpoint)), scheme_(std::move(scheme)) {}

bool CheckpointSource::has(std::string_view name) const { return checkpoint_.has(name); }

int64_t CheckpointSource::bytes(std::string_view name) const {
  const auto size_of = [&](std::string_view tensor) {
    return checkpoint_.has(tensor) ? std::ssize(checkpoint_.find(tensor)->bytes) : 0;
  };
  int64_t sum = size_of(name);
  if (!name.ends_with(kWeightSuffix)) return sum;
  for (const std::string_view suffix : kScaleSuffixes) sum += size_of(beside(name, suffix));
  return sum;
}

int64_t CheckpointSource::bytes() const { return checkpoint_.bytes(); }

Status CheckpointSource::read_checked(std::string_view name, std::span<const int64_t> shape,
                                      const Block& block, std::span<float> out) const {
  const TensorView tensor = TRY(checkpoint_.find(name));
  if (!is_plain_float(tensor.type)) {
    TRY(check_quantized(checkpoint_, scheme_, tensor, shape));
    return scheme_.kind == QuantKind::nvfp4
               ? read_nvfp4(checkpoint_, tensor, shape, block, out)
               : read_fp8(checkpoint_, scheme_, tensor, shape, block, out);
  }
  TRY(expect_shape(tensor, checkpoint_.folder(), shape));
  const int64_t stride = columns_of(shape);
  for (int64_t i = 0; i < block.rows; ++i) {
    const int64_t first = (block.first_row + i) * stride + block.first_column;
    convert(
        tensor.type, tensor.bytes, first,
        out.subspan(static_cast<size_t>(i * block.columns), static_cast<size_t>(block.columns)));
  }
  return {};
}

}  // namespace braid::model
