// Kinds of ops. A Desc is an op's plain parameter struct; its type is the op's kind. What a kind
// declares about its ops (what they read and write, how they are sliced, how much they work)
// stands in one KindInfo, found by kind_of<Desc>(), which ops/ specialises beside each builder.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/format.h"
#include "base/status.h"
#include "flow/types.h"

namespace braid::flow {

// One operand of a kind: its name in messages, how it is accessed, how it follows a split.
struct OperandSpec {
  std::string_view name;
  Access access = Access::read;
  Slicing slicing = Slicing::rows;
  bool optional = false;
};

// An OperandSpec with the enumerator by which code names the operand.
struct NamedSpec {
  size_t operand;
  std::string_view name;
  Access access = Access::read;
  Slicing slicing = Slicing::rows;
  bool optional = false;
};

// Whether the specs stand in the order of their enumerators 0 … num_operands − 1, one for each.
template <size_t N>
constexpr bool in_order(const NamedSpec (&specs)[N], size_t num_operands) {
  for (size_t i = 0; i < N; ++i) {
    if (specs[i].operand != i) return false;
  }
  return N == num_operands;
}

// The OperandSpecs of a kind. `Operand` is a struct with an unscoped enum of the kind's operands,
// of which the last one is `num_operands`: code writes args[GemmOperand::bias], never a number.
// Specs in another order, too few or too many of them do not compile, so that an operand can be
// added anywhere.
template <typename Operand, size_t N>
consteval std::array<OperandSpec, N> operand_specs(const NamedSpec (&specs)[N]) {
  if (!in_order(specs, Operand::num_operands)) throw "specs in another order than the enum";
  std::array<OperandSpec, N> out{};
  for (size_t i = 0; i < N; ++i) {
    out[i] = {specs[i].name, specs[i].access, specs[i].slicing, specs[i].optional};
  }
  return out;
}

// Shape of an operand as kernels and cost models see it.
struct Type {
  Format format = Format::f32;
  int64_t rows = 0;  // capacity; 0 columns and rows: an absent optional operand
  int64_t cols = 0;
  int64_t first_row = 0;  // where its Region starts in its buffer
};

// What an op costs, in units of the thing itself.
struct Work {
  double flop = 0;
  double bytes = 0;       // device memory read and written
  double link_bytes = 0;  // sent to other ranks
};

// How a collective must look alike on all ranks of its communicator.
struct Collective {
  int32_t communicator = 0;
  uint64_t signature = 0;  // equal on all ranks: which rows of what shape, how
  // It ends nowhere before all its members have done with the memory that they touch in it, so
  // that it orders what comes behind it on one rank after its own accesses on all of them.
  bool barrier = false;
};

// Everything that flow/ knows about a kind. `desc` points to the kind's Desc.
struct KindInfo {
  std::string_view name;
  std::span<const OperandSpec> operands;
  bool row_invariant = true;  // output row i depends on input row i alone, whatever M or position
  Lane home = Lane::compute;
  Work (*work)(const void* desc, std::span<const Type> types) = nullptr;
  std::optional<Collective> (*collective)(const void* desc, std::span<const Type> types) = nullptr;

  // All that is written follows the rows of the output, optional operands aside: an op without
  // those can be split by rows.
  bool row_wise() const;
};

// The KindInfo of a Desc type; specialised in ops/ (and in tests for their own kinds).
template <typename Desc>
const KindInfo& kind_of();

// A Desc of any kind, by value. Descs are trivially copyable and small.
class AnyDesc {
 public:
  static constexpr size_t kCapacity = 104;

  template <typename Desc>
  explicit AnyDesc(const Desc& desc) : kind_(&kind_of<Desc>()) {
    static_assert(std::is_trivially_copyable_v<Desc>, "a Desc is plain data");
    static_assert(sizeof(Desc) <= kCapacity && alignof(Desc) <= 8, "a Desc is small");
    std::memcpy(bytes_.data(), &desc, sizeof(Desc));
  }

  const KindInfo& kind() const { return *kind_; }
  const void* data() const { return bytes_.data(); }
  template <typename Desc>
  bool is() const {
    return kind_ == &kind_of<Desc>();
  }
  template <typename Desc>
  Desc as() const {
    BRAID_CHECK(is<Desc>(), "(op is a {})", kind_->name);
    Desc desc;
    std::memcpy(&desc, bytes_.data(), sizeof(Desc));
    return desc;
  }

 private:
  const KindInfo* kind_;
  alignas(8) std::array<std::byte, kCapacity> bytes_{};
};

}  // namespace braid::flow
