// Memory that AddressSanitizer guards while an op runs. Outside the asan build nothing is guarded.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace braid::flow {

// Whether this build guards at all.
bool can_poison();

// An access of guarded memory.
struct PoisonHit {
  const std::byte* address = nullptr;
  size_t bytes = 0;
  bool write = false;
};

// Poisons memory for as long as it lives. The first hit ends the guard and is kept; what touches
// the memory after it goes on unseen.
class PoisonGuard {
 public:
  explicit PoisonGuard(std::vector<std::span<std::byte>> memory);
  ~PoisonGuard();
  PoisonGuard(const PoisonGuard&) = delete;
  PoisonGuard& operator=(const PoisonGuard&) = delete;

  // Takes a piece of the memory out of the guard.
  void allow(std::span<std::byte> piece);

  // Ends the guard; the first hit, if there was one.
  std::optional<PoisonHit> finish();

  // For the sanitizer's report: whether `address` is guarded here, and then the end of the guard.
  bool hit(const PoisonHit& hit);

 private:
  void lift();

  std::vector<std::span<std::byte>> memory_;
  std::optional<PoisonHit> hit_;
};

}  // namespace braid::flow
