// InlineVector: a vector of at most N elements that lives inside its owner.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "base/status.h"

namespace braid {

template <typename T, size_t N>
class InlineVector {
 public:
  InlineVector() = default;
  InlineVector(std::initializer_list<T> items) {
    for (const T& item : items) push_back(item);
  }

  void push_back(const T& item) {
    BRAID_CHECK(size_ < N, "(capacity {})", N);
    items_[size_++] = item;
  }
  void erase_at(size_t index) {
    BRAID_CHECK(index < size_, "(index {} of {})", index, size_);
    for (size_t i = index + 1; i < size_; ++i) items_[i - 1] = items_[i];
    --size_;
  }
  void clear() { size_ = 0; }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t index) { return items_[index]; }
  const T& operator[](size_t index) const { return items_[index]; }
  T* begin() { return items_.data(); }
  T* end() { return items_.data() + size_; }
  const T* begin() const { return items_.data(); }
  const T* end() const { return items_.data() + size_; }
  bool operator==(const InlineVector& other) const {
    if (size_ != other.size_) return false;
    for (size_t i = 0; i < size_; ++i) {
      if (!(items_[i] == other.items_[i])) return false;
    }
    return true;
  }

 private:
  std::array<T, N> items_{};
  uint32_t size_ = 0;
};

}  // namespace braid
