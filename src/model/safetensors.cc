#include "model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "model/safetensors_header.h"

namespace braid::model {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit

Error bad_file(std::string message, std::string_view source) {
  return Error(ErrorKind::corrupt_data, std::move(message)).with("file", source);
}

Error download_again(Error error) { return std::move(error).remedy("Download the file again."); }

// The header's text, which ends where the data begins.
Result<std::string_view> header_of(std::span<const std::byte> file, std::string_view source) {
  if (file.size() < kLengthBytes) {
    return download_again(
        bad_file("the file is too short for safetensors", source).with("bytes", file.size()));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    return bad_file("the safetensors header is too long", source)
        .with("header bytes", length)
        .with("limit", kMaxHeaderBytes)
        .remedy("The file is no safetensors file, or damaged: download it again.");
  }
  if (length > file.size() - kLengthBytes) {
    return download_again(bad_file("the safetensors header ends behind the file's end", source)
                              .with("header bytes", length)
                              .with("file bytes", file.size()));
  }
  return std::string_view(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
}

// Every byte of the data belongs to exactly one tensor. `entries` are sorted by their bytes.
Status check_coverage(const std::vector<HeaderEntry>& entries, int64_t data_bytes,
                      std::string_view source) {
  int64_t covered = 0;
  std::string_view previous = "the header";
  for (const HeaderEntry& entry : entries) {
    if (entry.end > data_bytes) {
      return download_again(bad_file("a tensor ends behind the file's end", source)
                                .with("tensor", entry.name)
                                .with("end", entry.end)
                                .with("data bytes", data_bytes));
    }
    if (entry.begin != covered) {
      const bool overlap = entry.begin < covered;
      return download_again(
          bad_file(overlap ? "two tensors overlap" : "bytes belong to no tensor", source)
              .with("tensor", entry.name)
              .with("begin", entry.begin)
              .with("after", previous)
              .with("which ends at", covered));
    }
    covered = entry.end;
    previous = entry.name;
  }
  if (covered != data_bytes) {
    return download_again(bad_file("bytes at the file's end belong to no tensor", source)
                              .with("tensors end at", covered)
                              .with("data bytes", data_bytes));
  }
  return {};
}

}  // namespace

Result<std::vector<TensorView>> parse_safetensors(std::span<const std::byte> file,
                                                  std::string_view source) {
  const std::string_view header = TRY(header_of(file, source));
  std::vector<HeaderEntry> entries = TRY(parse_safetensors_header(header, source));
  const std::span<const std::byte> data = file.subspan(kLengthBytes + header.size());
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  TRY(check_coverage(entries, static_cast<int64_t>(data.size()), source));

  std::vector<TensorView> tensors;
  tensors.reserve(entries.size());
  for (HeaderEntry& entry : entries) {
    tensors.push_back({std::move(entry.name), entry.type, std::move(entry.shape),
                       data.subspan(static_cast<size_t>(entry.begin),
                                    static_cast<size_t>(entry.end - entry.begin))});
  }
  return tensors;
}

SafetensorsFile::SafetensorsFile(std::string path, MappedFile file, std::vector<TensorView> tensors)
    : path_(std::move(path)), file_(std::move(file)), tensors_(std::move(tensors)) {}

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  MappedFile file = TRY(MappedFile::open(path));
  std::vector<TensorView> tensors = TRY(parse_safetensors(file.bytes(), path));
  return SafetensorsFile(path, std::move(file), std::move(tensors));
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const TensorView& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

}  // namespace braid::model
