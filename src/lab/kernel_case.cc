#include "lab/kernel_case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/float16.h"
#include "kernels/hash.h"
#include "ops/fill.h"
#include "ops/rows.h"

namespace braid::lab {
namespace {

constexpr int64_t kUploadBytes = int64_t{4} << 20;
constexpr int64_t kLargestSize = int64_t{1} << 24;

bool is_size(std::string_view text) {
  int64_t size = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), size);
  return code == std::errc() && end == text.data() + text.size() && size >= 1 &&
         size <= kLargestSize;
}

Error refused(const KernelParameter& parameter, std::string_view value) {
  const std::string allowed = parameter.choices.empty()
                                  ? fmt::format("a number from 1 to {}", kLargestSize)
                                  : fmt::format("one of {}", fmt::join(parameter.choices, ", "));
  return Error(ErrorKind::usage, "a parameter of the kernel has no such value")
      .with(parameter.name, value)
      .remedy(fmt::format("Give it {}.", allowed));
}

// The bytes of a resident with these contents.
std::vector<std::byte> bytes_of(const flow::Resident& resident, const KernelOperands::Fill& fill) {
  std::vector<std::byte> bytes(static_cast<size_t>(resident.bytes()));
  const int64_t count = resident.rows * resident.cols;
  const auto put = [&]<typename T>(T) {
    auto* to = reinterpret_cast<T*>(bytes.data());
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (std::is_same_v<T, bf16>) {
        to[i] = from_float<bf16>(static_cast<float>(fill(i)));
      } else {
        to[i] = static_cast<T>(fill(i));
      }
    }
  };
  switch (resident.format) {
    case Format::f32: put(float{}); break;
    case Format::bf16: put(bf16{}); break;
    case Format::u64: put(uint64_t{}); break;
    default: put(int32_t{});
  }
  return bytes;
}

uint64_t key_of(std::string_view name) {
  uint64_t key = kernels::mix(7);
  for (const char letter : name) key = kernels::mix(key ^ static_cast<unsigned char>(letter));
  return key;
}

// Uniform numbers of this standard deviation.
KernelOperands::Content uniform(std::string_view name, int64_t cols, double deviation) {
  return {.uniform = {.key = key_of(name),
                      .bound = static_cast<float>(deviation * std::sqrt(3.0)),
                      .to_bf16 = true,
                      .stride = static_cast<uint64_t>(cols),
                      .columns = cols},
          .fill = nullptr};
}

}  // namespace

Result<KernelSetting> KernelSetting::parse(std::span<const KernelParameter> parameters,
                                           std::span<const std::string> texts) {
  KernelSetting setting;
  for (const KernelParameter& parameter : parameters) {
    setting.values_.emplace_back(parameter.name, parameter.standard);
  }
  for (const std::string& text : texts) {
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      const std::string part = text.substr(begin, end - begin);
      begin = end + 1;
      const size_t equals = std::min(part.find('='), part.size());
      const std::string name = part.substr(0, equals);
      const auto found = std::ranges::find(parameters, name, &KernelParameter::name);
      if (found == parameters.end() || equals == part.size()) {
        std::vector<std::string_view> names;
        for (const KernelParameter& parameter : parameters) names.push_back(parameter.name);
        return Error(ErrorKind::usage, "a kernel's parameters are written NAME=VALUE")
            .with("given", part)
            .remedy(fmt::format("Its parameters are {}.", fmt::join(names, ", ")));
      }
      const std::string value = part.substr(equals + 1);
      const bool allowed =
          found->choices.empty() ? is_size(value) : std::ranges::count(found->choices, value) > 0;
      if (!allowed) return refused(*found, value);
      setting.values_[static_cast<size_t>(found - parameters.begin())].second = value;
    }
  }
  return setting;
}

const std::string& KernelSetting::choice(std::string_view name) const {
  const auto found =
      std::ranges::find_if(values_, [name](const auto& value) { return value.first == name; });
  BRAID_CHECK(found != values_.end(), "the kernel has no parameter {}", name);
  return found->second;
}

int64_t KernelSetting::size(std::string_view name) const { return std::stoll(choice(name)); }

std::string KernelSetting::to_string() const {
  std::string text;
  for (const auto& [name, value] : values_) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
  }
  return text;
}

int32_t KernelOperands::find(flow::Resident resident, Content content) {
  const auto [entry, fresh] = by_name_.try_emplace(resident.name, residents_.size());
  if (fresh) {
    residents_.declare(std::move(resident));
    contents_.push_back(std::move(content));
  }
  return entry->second;
}

Status KernelOperands::fill(device::Device& device, const flow::LauncherTable& kernels) const {
  const auto uploads = TRY(device.open_uploads(kUploadBytes));
  for (int32_t i = 0; i < residents_.size(); ++i) {
    const flow::Resident& resident = residents_[i];
    const Content& content = contents_[static_cast<size_t>(i)];
    std::byte* data = residents_.data(i);
    if (content.fill != nullptr) {
      const std::vector<std::byte> bytes = bytes_of(resident, content.fill);
      device.upload(data, bytes.data(), resident.bytes());
      continue;
    }
    const flow::Arg out{.data = data,
                        .stride = resident.row_bytes(),
                        .rows = resident.rows,
                        .cols = resident.cols,
                        .format = resident.format};
    TRY(kernels.launch(flow::AnyDesc(content.uniform), {&out, 1}, uploads->queue()));
  }
  return uploads->finish();
}

KernelLayer::KernelLayer(ops::Builder& builder, KernelOperands& operands,
                         const KernelSetting& of_case, Common& common, int32_t layer,
                         Format computed, bool results)
    : b(builder),
      setting(of_case),
      dtype(computed),
      operands_(operands),
      common_(common),
      layer_(layer),
      results_(results) {
  b.set_layer(layer);
}

ops::Value KernelLayer::own(std::string_view name, flow::Lifetime lifetime, int64_t rows,
                            int64_t cols, double deviation) {
  const std::string full = fmt::format("{} {}", name, layer_);
  return b.resident(operands_.find(
      {.name = full, .format = dtype, .rows = rows, .cols = cols, .lifetime = lifetime},
      uniform(full, cols, deviation)));
}

ops::Value KernelLayer::weight(std::string_view name, int64_t rows, int64_t cols) {
  return own(name, flow::Lifetime::weight, rows, cols, 1 / std::sqrt(static_cast<double>(cols)));
}

ops::Value KernelLayer::cache(std::string_view name, int64_t rows, int64_t cols) {
  return own(name, flow::Lifetime::carried, rows, cols, 1);
}

ops::Value KernelLayer::random(std::string_view name, Format format, int64_t rows, int64_t cols) {
  return b.resident(operands_.find({.name = std::string(name),
                                    .format = format,
                                    .rows = rows,
                                    .cols = cols,
                                    .lifetime = flow::Lifetime::carried},
                                   uniform(name, cols, 1)));
}

ops::Value KernelLayer::filled(std::string_view name, Format format, int64_t rows, int64_t cols,
                               KernelOperands::Fill fill) {
  return b.resident(operands_.find({.name = std::string(name),
                                    .format = format,
                                    .rows = rows,
                                    .cols = cols,
                                    .lifetime = flow::Lifetime::carried},
                                   {.uniform = {}, .fill = std::move(fill)}));
}

ops::Value KernelLayer::kept(std::string_view name, Format format, int64_t rows, int64_t cols) {
  return filled(fmt::format("{}{}", kResultPrefix, name), format, rows, cols,
                [](int64_t) { return -7; });
}

void KernelLayer::result(std::string_view name, ops::Value value) {
  if (!results_) return;
  ops::copy(b, value, kept(name, b.format(value), b.num_rows(value), b.num_cols(value)));
}

std::vector<KernelParameter> KernelCase::parameters() const {
  std::vector<KernelParameter> all = sizes;
  all.insert(all.end(), configuration.begin(), configuration.end());
  return all;
}

Result<const KernelCase*> find_kernel_case(std::string_view name) {
  std::vector<std::string_view> names;
  for (const KernelCase& kernel : kernel_cases()) {
    if (kernel.name == name) return &kernel;
    names.push_back(kernel.name);
  }
  return Error(ErrorKind::usage, "there is no such kernel to measure")
      .with("kernel", name)
      .remedy(fmt::format("There are {}; --list tells their parameters.", fmt::join(names, ", ")));
}

}  // namespace braid::lab
