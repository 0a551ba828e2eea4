#include "flow/audit/audit.h"

#include <fmt/format.h>

#include <algorithm>

#include "flow/audit/memory.h"
#include "flow/audit/poison.h"

namespace braid::flow {
namespace {

std::string describe(const Program& program, const DeclarationMutation& mutation) {
  const Op& op = program.ops[static_cast<size_t>(mutation.op)];
  const auto kind = mutation.kind == DeclarationMutation::Kind::drop         ? "dropped"
                    : mutation.kind == DeclarationMutation::Kind::drop_write ? "not written"
                                                                             : "not read";
  return fmt::format("op {} ({}): {}{} declared as {}", mutation.op, program.describe(op),
                     op.kind().operands[static_cast<size_t>(mutation.operand)].name,
                     mutation.count ? "'s count" : "", kind);
}

class Auditor {
 public:
  Auditor(const BoundSchedule& bound, const Residents& residents, std::span<std::byte> arena,
          int64_t step)
      : bound_(bound),
        step_(step),
        memory_(bound, residents, arena, step),
        expected_(memory_.pieces().size()) {
    for (size_t i = 0; i < expected_.size(); ++i) {
      if (memory_.pieces()[i].constant) keep(i);
    }
  }

  size_t num_ops() const { return program().ops.size(); }
  const Program& program() const { return memory_.program(); }

  Declared declared(int32_t op, const std::optional<DeclarationMutation>& mutation = {}) const {
    return memory_.declared(op, mutation);
  }

  // Runs an op and compares what it did with what is declared.
  std::vector<AuditFinding> run(int32_t op, const Declared& declared);
  // The same with a wrong declaration; memory is as before afterwards.
  bool catches(int32_t op, const Declared& truth, const Declared& mutant);

 private:
  void keep(size_t piece) {
    const std::span<std::byte> memory = memory_.pieces()[piece].memory;
    expected_[piece].assign(memory.begin(), memory.end());
  }

  const BoundSchedule& bound_;
  int64_t step_;
  AuditedMemory memory_;
  std::vector<std::vector<std::byte>> expected_;  // per piece: what it held before the op
};

std::vector<AuditFinding> Auditor::run(int32_t op, const Declared& declared) {
  const std::vector<AuditPiece>& pieces = memory_.pieces();
  std::vector<std::span<std::byte>> memory;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!pieces[i].constant) keep(i);
    memory.push_back(pieces[i].memory);
  }
  PoisonGuard guard(std::move(memory));
  for (size_t i = 0; i < pieces.size(); ++i) {
    for (const Bytes& bytes : declared.reachable[i]) {
      guard.allow(pieces[i].memory.subspan(static_cast<size_t>(bytes.first),
                                           static_cast<size_t>(bytes.last - bytes.first)));
    }
  }
  launch(bound_, static_cast<size_t>(op), step_);

  std::vector<AuditFinding> findings;
  const std::optional<PoisonHit> hit = guard.finish();
  for (size_t i = 0; i < pieces.size(); ++i) {
    const int64_t at = hit ? hit->address - pieces[i].memory.data() : -1;
    if (0 <= at && at < static_cast<int64_t>(pieces[i].memory.size())) {
      findings.push_back(memory_.finding(
          op, AuditFinding::What::undeclared_access,
          hit->write ? "writes undeclared memory" : "reads undeclared memory", i, at));
    }
    if (pieces[i].constant && !declared.names(i)) continue;
    for (AuditFinding& change : memory_.changes(op, declared, i, expected_[i], pieces[i].memory)) {
      findings.push_back(std::move(change));
    }
  }
  return findings;
}

bool Auditor::catches(int32_t op, const Declared& truth, const Declared& mutant) {
  const std::vector<AuditPiece>& pieces = memory_.pieces();
  std::vector<std::vector<std::byte>> saved;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!pieces[i].constant) keep(i);
    saved.push_back(pieces[i].constant ? std::vector<std::byte>() : expected_[i]);
    // What is only written is overwritten first, or a write of the same value would go unseen.
    for (const Bytes& bytes : subtract(truth.writable[i], truth.readable[i])) {
      for (int64_t at = bytes.first; at < bytes.last; ++at) {
        pieces[i].memory[static_cast<size_t>(at)] ^= std::byte{0xff};
      }
    }
  }
  const bool caught = !run(op, mutant).empty();
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].constant && !truth.names(i)) continue;
    const std::vector<std::byte>& from = pieces[i].constant ? expected_[i] : saved[i];
    std::copy(from.begin(), from.end(), pieces[i].memory.begin());
  }
  return caught;
}

}  // namespace

Status audit_sees_reads() {
  if (can_poison()) return {};
  return Error(ErrorKind::unsupported, "undeclared reads go unseen in this build")
      .remedy("Build with the asan preset.");
}

std::vector<AuditFinding> audit(const BoundSchedule& bound, const Residents& residents,
                                std::span<std::byte> arena, int64_t step,
                                const std::optional<DeclarationMutation>& mutation) {
  Auditor auditor(bound, residents, arena, step);
  std::vector<AuditFinding> findings;
  for (size_t op = 0; op < auditor.num_ops(); ++op) {
    const auto index = static_cast<int32_t>(op);
    for (AuditFinding& found : auditor.run(index, auditor.declared(index, mutation))) {
      findings.push_back(std::move(found));
    }
  }
  return findings;
}

MutationReport audit_mutations(const BoundSchedule& bound, const Residents& residents,
                               std::span<std::byte> arena, int64_t step) {
  Auditor auditor(bound, residents, arena, step);
  MutationReport report;
  for (size_t op = 0; op < auditor.num_ops(); ++op) {
    const auto index = static_cast<int32_t>(op);
    const Declared truth = auditor.declared(index);
    for (const DeclarationMutation& mutation : mutations_of(auditor.program(), index)) {
      const Declared mutant = auditor.declared(index, mutation);
      const bool visible = mutant.writable != truth.writable ||
                           (can_poison() && mutant.reachable != truth.reachable);
      if (!visible) {
        ++report.undetectable;
      } else if (auditor.catches(index, truth, mutant)) {
        ++report.caught;
      } else {
        report.unnoticed.push_back(describe(auditor.program(), mutation));
      }
    }
    for (AuditFinding& found : auditor.run(index, truth)) {
      report.findings.push_back(std::move(found));
    }
  }
  return report;
}

}  // namespace braid::flow
