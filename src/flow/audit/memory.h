// What audits share: the memory that a Schedule works on, in pieces, and what each op declares of
// it.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "flow/audit/audit.h"

namespace braid::flow {

// Bytes [first, last) of a piece of memory; lists of them are ascending and disjoint.
struct Bytes {
  int64_t first = 0;
  int64_t last = 0;
  bool operator==(const Bytes&) const = default;
};
using ByteList = std::vector<Bytes>;

// What is in `list` and not in `without`.
ByteList subtract(const ByteList& list, const ByteList& without);

// Memory with one address: the workspace, or a copy of a resident.
struct AuditPiece {
  std::span<std::byte> memory;
  int32_t resident = -1;  // -1: the workspace
  bool constant = false;  // a weight
};

// What an op declares in each piece.
struct Declared {
  std::vector<ByteList> readable;
  std::vector<ByteList> writable;   // scratch memory too
  std::vector<ByteList> results;    // without scratch memory
  std::vector<ByteList> reachable;  // as AddressSanitizer guards it: from whole words on

  explicit Declared(size_t pieces);
  bool names(size_t piece) const { return !reachable[piece].empty(); }
};

// All ways to get one declaration of an op wrong.
std::vector<DeclarationMutation> mutations_of(const Program& program, int32_t op);

class AuditedMemory {
 public:
  // `arena` is the workspace that `bound` was bound to.
  AuditedMemory(const BoundSchedule& bound, const Residents& residents, std::span<std::byte> arena,
                int64_t step);

  const Program& program() const { return schedule_.program; }
  // The workspace first.
  const std::vector<AuditPiece>& pieces() const { return pieces_; }

  Declared declared(int32_t op, const std::optional<DeclarationMutation>& mutation = {}) const;

  // "op 3 (layer 2 mlp: silu_mul → h [4, 64] f32) DID: state row 2"
  AuditFinding finding(int32_t op, AuditFinding::What what, std::string_view did, size_t piece,
                       int64_t byte) const;
  // What changed outside of what the op declares to write: the first byte of each stretch.
  std::vector<AuditFinding> changes(int32_t op, const Declared& declared, size_t piece,
                                    std::span<const std::byte> before,
                                    std::span<const std::byte> after) const;

 private:
  Bytes place_of(const ValueInfo& view) const;
  size_t piece_of(const Buffer& buffer) const;
  std::string place_text(int32_t op, size_t piece, int64_t byte) const;
  std::string workspace_text(int32_t op, int64_t byte) const;

  const Schedule& schedule_;
  const Residents& residents_;
  int64_t step_;
  std::vector<AuditPiece> pieces_;
  std::vector<size_t> first_piece_;  // per resident
};

}  // namespace braid::flow
