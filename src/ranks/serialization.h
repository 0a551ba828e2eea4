// Numbers as the bytes of messages between ranks, and back.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/status.h"

namespace braid::ranks {

template <typename T>
std::string bytes_of_values(std::span<const T> values) {
  static_assert(std::is_arithmetic_v<T>);
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

// `fault` when the bytes are not whole numbers of this type.
template <typename T>
Result<std::vector<T>> values_of_bytes(std::string_view bytes) {
  static_assert(std::is_arithmetic_v<T>);
  if (bytes.size() % sizeof(T) != 0) {
    return Error(ErrorKind::fault, "the control plane brought numbers that aren't whole")
        .with("bytes", bytes.size())
        .with("bytes of a number", sizeof(T));
  }
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace braid::ranks
