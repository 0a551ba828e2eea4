#include "model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

namespace braid::model {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit

Error bad_file(std::string message, std::string_view source) {
  return Error(ErrorKind::corrupt_data, std::move(message)).with("file", source);
}

Error download_again(Error error) { return std::move(error).remedy("Download the file again."); }

// What the first 8 of `bytes` say.
uint64_t header_length(std::span<const std::byte> bytes) {
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  return length;
}

// The header's text, which ends where the data begins.
Result<std::string_view> header_of(std::span<const std::byte> start, uint64_t file_bytes,
                                   std::string_view source) {
  if (file_bytes < kLengthBytes) {
    return download_again(
        bad_file("the file is too short for safetensors", source).with("bytes", file_bytes));
  }
  const uint64_t length = header_length(start);
  if (length > kMaxHeaderBytes) {
    return bad_file("the safetensors header is too long", source)
        .with("header bytes", length)
        .with("limit", kMaxHeaderBytes)
        .remedy("The file is no safetensors file, or damaged: download it again.");
  }
  if (length > file_bytes - kLengthBytes) {
    return download_again(bad_file("the safetensors header ends behind the file's end", source)
                              .with("header bytes", length)
                              .with("file bytes", file_bytes));
  }
  return std::string_view(reinterpret_cast<const char*>(start.data()) + kLengthBytes, length);
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

Result<std::vector<HeaderEntry>> parse_safetensors(std::span<const std::byte> start,
                                                   int64_t file_bytes, std::string_view source) {
  const std::string_view header = TRY(header_of(start, static_cast<uint64_t>(file_bytes), source));
  std::vector<HeaderEntry> entries = TRY(parse_safetensors_header(header, source));
  const auto data_begin = static_cast<int64_t>(kLengthBytes + header.size());
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  TRY(check_coverage(entries, file_bytes - data_begin, source));
  for (HeaderEntry& entry : entries) {
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  return entries;
}

Status StoredTensor::read(int64_t first, std::span<std::byte> out) const {
  BRAID_CHECK(first >= 0 && first + std::ssize(out) <= bytes, "(bytes of {})", name);
  const Status status = file->read(offset + first, out);
  return status.ok() ? status : Error(status.error()).with("tensor", name);
}

Result<std::vector<std::byte>> StoredTensor::read() const {
  std::vector<std::byte> all(static_cast<size_t>(bytes));
  TRY(read(0, all));
  return all;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  SafetensorsFile file(std::make_unique<const InputFile>(TRY(InputFile::open(path))));
  const auto size = static_cast<uint64_t>(file.file_->bytes());
  std::vector<std::byte> start(std::min(kLengthBytes, size));
  TRY(file.file_->read(0, start));
  if (start.size() == kLengthBytes) {
    const uint64_t length = std::min(header_length(start), kMaxHeaderBytes);
    start.resize(std::min(kLengthBytes + length, size));
    TRY(file.file_->read(0, start));
  }
  std::vector<HeaderEntry> entries = TRY(parse_safetensors(start, file.file_->bytes(), path));
  for (HeaderEntry& entry : entries) {
    file.tensors_.push_back({.name = std::move(entry.name),
                             .type = entry.type,
                             .shape = std::move(entry.shape),
                             .offset = entry.begin,
                             .bytes = entry.end - entry.begin,
                             .file = file.file_.get()});
  }
  return file;
}

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const StoredTensor& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

}  // namespace braid::model
