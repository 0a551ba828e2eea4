// Audit of declarations: runs a bound Schedule op by op and finds what kernels touch beyond what
// their ops declare.
//
// In every build memory is compared before and after each op: what the op doesn't declare to write
// must not change. In the asan build everything that the op doesn't declare is poisoned as well
// while it runs alone, so that undeclared reads are seen too. What AddressSanitizer can't see is
// code that it didn't compile (masked vector loads, assembly), and bytes in front of declared ones
// in the same 8-byte word.
//
// Weights are compared only around ops that declare them. One thread may audit at a time, except
// that the ranks of one world may be audited side by side, a thread each.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "flow/executor.h"

namespace braid::flow {

// Ok in the asan build, `unsupported` elsewhere: undeclared reads go unseen there.
Status audit_sees_reads();

// Something that an op did and doesn't declare.
struct AuditFinding {
  enum class What : uint8_t {
    undeclared_access,  // touched poisoned memory
    undeclared_write,   // changed memory that it doesn't name
    read_only_write,    // changed memory that it declares to read
    undeclared_read,    // wrote other results where memory that it doesn't declare held others
  };
  int32_t op = -1;
  What what = What::undeclared_access;
  std::string text;  // the op, the memory with its buffer and row
};

// One declaration of one op, made wrong on purpose.
struct DeclarationMutation {
  enum class Kind : uint8_t {
    drop,        // the Region isn't declared at all
    drop_write,  // a write is declared as a read
    drop_read,   // a read-write is declared as a write
  };
  int32_t op = 0;
  int32_t operand = 0;
  bool count = false;  // the Region of the operand's row count, not its own
  Kind kind = Kind::drop;
};

// Runs all ops serially as step `step`. `arena` is the workspace that `bound` was bound to and
// `residents` the memory that it names. Leaves memory as run_serial would.
std::vector<AuditFinding> audit(const BoundSchedule& bound, const Residents& residents,
                                std::span<std::byte> arena, int64_t step,
                                const std::optional<DeclarationMutation>& mutation = {});

// Every single-declaration mutation of every op, each on the same state of memory.
struct MutationReport {
  int64_t caught = 0;
  // Mutations that change nothing that an audit of this build could see: the read of a read-write
  // dropped, a Region that another operand declares too, reads outside the asan build.
  int64_t undetectable = 0;
  // Mutations that had no effect: the op doesn't touch, or doesn't change, what it declares.
  std::vector<std::string> unnoticed;
  // What the audit finds without any mutation.
  std::vector<AuditFinding> findings;
};
MutationReport audit_mutations(const BoundSchedule& bound, const Residents& residents,
                               std::span<std::byte> arena, int64_t step);

}  // namespace braid::flow
