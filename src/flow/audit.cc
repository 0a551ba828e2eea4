#include "flow/audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "flow/audit_poison.h"

namespace braid::flow {
namespace {

// Bytes [first, last) of a piece of memory; lists of them are ascending and disjoint.
struct Bytes {
  int64_t first = 0;
  int64_t last = 0;
  bool operator==(const Bytes&) const = default;
};
using ByteList = std::vector<Bytes>;

void normalize(ByteList& list) {
  std::erase_if(list, [](const Bytes& bytes) { return bytes.first >= bytes.last; });
  std::sort(list.begin(), list.end(),
            [](const Bytes& a, const Bytes& b) { return a.first < b.first; });
  ByteList merged;
  for (const Bytes& bytes : list) {
    if (!merged.empty() && bytes.first <= merged.back().last) {
      merged.back().last = std::max(merged.back().last, bytes.last);
    } else {
      merged.push_back(bytes);
    }
  }
  list = std::move(merged);
}

// What is in `list` and not in `without`.
ByteList subtract(const ByteList& list, const ByteList& without) {
  ByteList left;
  for (Bytes rest : list) {
    for (const Bytes& hole : without) {
      if (hole.last <= rest.first || rest.last <= hole.first) continue;
      if (rest.first < hole.first) left.push_back({rest.first, hole.first});
      rest.first = std::min(hole.last, rest.last);
    }
    if (rest.first < rest.last) left.push_back(rest);
  }
  return left;
}

// Memory with one address: the workspace, or a copy of a resident.
struct Piece {
  std::span<std::byte> memory;
  int32_t resident = -1;
  bool constant = false;
  std::vector<std::byte> expected;  // what it held before the op
};

// What an op declares in each piece.
struct Declared {
  std::vector<ByteList> readable;
  std::vector<ByteList> writable;
  std::vector<ByteList> reachable;  // as AddressSanitizer guards it: from whole words on

  explicit Declared(size_t pieces) : readable(pieces), writable(pieces), reachable(pieces) {}

  void add(size_t piece, int64_t first, int64_t last, Access access) {
    constexpr int64_t kWord = 8;
    if (reads(access)) readable[piece].push_back({first, last});
    if (writes(access)) writable[piece].push_back({first, last});
    if (first < last) reachable[piece].push_back({first / kWord * kWord, last});
  }
  void finish() {
    for (auto* lists : {&readable, &writable, &reachable}) {
      for (ByteList& list : *lists) normalize(list);
    }
  }
};

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
        schedule_(*bound.schedule),
        program_(bound.schedule->program),
        residents_(residents),
        step_(step),
        first_piece_(static_cast<size_t>(residents.size()) + 1) {
    BRAID_CHECK(static_cast<int64_t>(arena.size()) >= schedule_.workspace_bytes,
                "(arena {} of {} bytes)", arena.size(), schedule_.workspace_bytes);
    pieces_.push_back({arena});
    for (int32_t i = 0; i < residents.size(); ++i) {
      first_piece_[static_cast<size_t>(i)] = pieces_.size();
      const bool constant = residents[i].lifetime == Lifetime::weight;
      for (int32_t copy = 0; copy < residents[i].copies; ++copy) {
        const auto bytes = static_cast<size_t>(residents[i].bytes());
        if (residents.data(i, copy) == nullptr) continue;
        pieces_.push_back({{residents.data(i, copy), bytes}, i, constant, {}});
        if (constant) keep(pieces_.back());
      }
    }
  }

  size_t num_ops() const { return program_.ops.size(); }
  const Program& program() const { return program_; }

  Declared declared(int32_t op, const std::optional<DeclarationMutation>& mutation = {}) const;

  // Runs an op and compares what it did with what is declared.
  std::vector<AuditFinding> run(int32_t op, const Declared& declared);
  // The same with a wrong declaration; memory is as before afterwards.
  bool catches(int32_t op, const Declared& truth, const Declared& mutant);

 private:
  static void keep(Piece& piece) {
    piece.expected.assign(piece.memory.begin(), piece.memory.end());
  }
  bool is_declared(size_t piece, const Declared& declared) const {
    return !declared.reachable[piece].empty();
  }
  void add(Declared& declared, const ValueInfo& view, Access access) const;
  AuditFinding finding(int32_t op, AuditFinding::What what, size_t piece, int64_t byte,
                       std::string_view did) const;
  std::string place_text(size_t piece, int64_t byte) const;

  const BoundSchedule& bound_;
  const Schedule& schedule_;
  const Program& program_;
  const Residents& residents_;
  int64_t step_;
  std::vector<Piece> pieces_;        // the workspace first
  std::vector<size_t> first_piece_;  // per resident
};

void Auditor::add(Declared& declared, const ValueInfo& view, Access access) const {
  const Buffer& buffer = program_.buffers[static_cast<size_t>(view.buffer)];
  size_t piece = 0;
  int64_t base = 0;
  if (buffer.lifetime == Lifetime::step) {
    base = schedule_.buffers[static_cast<size_t>(view.buffer)].offset;
  } else {
    piece = first_piece_[static_cast<size_t>(buffer.resident)];
    if (buffer.copies == 2) piece += static_cast<size_t>(step_ & 1);
  }
  declared.add(piece, base + view.first_row * buffer.row_bytes,
               base + (view.first_row + view.region_rows) * buffer.row_bytes, access);
}

Declared Auditor::declared(int32_t index,
                           const std::optional<DeclarationMutation>& mutation) const {
  using Kind = DeclarationMutation::Kind;
  const Op& op = program_.ops[static_cast<size_t>(index)];
  Declared declared(pieces_.size());
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (!op.operands[i].present()) continue;
    const bool mutated =
        mutation && mutation->op == index && mutation->operand == static_cast<int32_t>(i);
    const bool own = mutated && !mutation->count;
    const ValueInfo& view = program_.info(op.operands[i]);
    Access access = op.kind().operands[i].access;
    if (own && mutation->kind == Kind::drop_write) access = Access::read;
    if (own && mutation->kind == Kind::drop_read) access = Access::write;
    if (!own || mutation->kind != Kind::drop) add(declared, view, access);
    const bool count_dropped = mutated && mutation->count;
    if (view.count.present() && !count_dropped) {
      add(declared, program_.info(view.count), Access::read);
    }
  }
  const Extent& scratch = schedule_.scratch[static_cast<size_t>(index)];
  if (scratch.offset >= 0) {
    declared.add(0, scratch.offset, scratch.offset + scratch.bytes, Access::write);
  }
  declared.finish();
  return declared;
}

std::vector<AuditFinding> Auditor::run(int32_t op, const Declared& declared) {
  std::vector<std::span<std::byte>> memory;
  for (Piece& piece : pieces_) {
    if (!piece.constant) keep(piece);
    memory.push_back(piece.memory);
  }
  PoisonGuard guard(std::move(memory));
  for (size_t i = 0; i < pieces_.size(); ++i) {
    for (const Bytes& bytes : declared.reachable[i]) {
      guard.allow(pieces_[i].memory.subspan(static_cast<size_t>(bytes.first),
                                            static_cast<size_t>(bytes.last - bytes.first)));
    }
  }
  launch(bound_, static_cast<size_t>(op), step_);

  std::vector<AuditFinding> findings;
  const std::optional<PoisonHit> hit = guard.finish();
  for (size_t i = 0; i < pieces_.size(); ++i) {
    Piece& piece = pieces_[i];
    const int64_t bytes = static_cast<int64_t>(piece.memory.size());
    const int64_t at = hit ? hit->address - piece.memory.data() : -1;
    if (0 <= at && at < bytes) {
      findings.push_back(finding(op, AuditFinding::What::undeclared_access, i, at,
                                 hit->write ? "writes undeclared" : "reads undeclared"));
    }
    if (piece.constant && !is_declared(i, declared)) continue;
    for (const Bytes& rest : subtract({{0, bytes}}, declared.writable[i])) {
      const std::byte* before = piece.expected.data() + rest.first;
      const std::byte* after = piece.memory.data() + rest.first;
      const auto length = static_cast<size_t>(rest.last - rest.first);
      if (std::memcmp(before, after, length) == 0) continue;
      const int64_t byte =
          rest.first + (std::mismatch(before, before + length, after).first - before);
      const bool named = subtract({{byte, byte + 1}}, declared.readable[i]).empty();
      findings.push_back(
          named ? finding(op, AuditFinding::What::read_only_write, i, byte,
                          "writes what it declares to read only,")
                : finding(op, AuditFinding::What::undeclared_write, i, byte, "changes undeclared"));
    }
  }
  return findings;
}

bool Auditor::catches(int32_t op, const Declared& truth, const Declared& mutant) {
  std::vector<std::vector<std::byte>> saved;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    Piece& piece = pieces_[i];
    if (!piece.constant) keep(piece);
    saved.push_back(piece.constant ? std::vector<std::byte>() : piece.expected);
    // What is only written is overwritten first, or a write of the same value would go unseen.
    for (const Bytes& bytes : subtract(truth.writable[i], truth.readable[i])) {
      for (int64_t at = bytes.first; at < bytes.last; ++at) {
        piece.memory[static_cast<size_t>(at)] ^= std::byte{0xff};
      }
    }
  }
  const bool caught = !run(op, mutant).empty();
  for (size_t i = 0; i < pieces_.size(); ++i) {
    Piece& piece = pieces_[i];
    if (piece.constant && !is_declared(i, truth)) continue;
    const std::vector<std::byte>& from = piece.constant ? piece.expected : saved[i];
    std::copy(from.begin(), from.end(), piece.memory.begin());
  }
  return caught;
}

std::string Auditor::place_text(size_t piece, int64_t byte) const {
  if (pieces_[piece].resident >= 0) {
    const Resident& resident = residents_[pieces_[piece].resident];
    return fmt::format("{} row {}", resident.name,
                       byte / std::max<int64_t>(resident.row_bytes(), 1));
  }
  std::string text = fmt::format("workspace byte {}", byte);
  for (size_t i = 0; i < program_.buffers.size(); ++i) {
    const Extent& place = schedule_.buffers[i];
    if (place.offset < 0 || byte < place.offset || byte >= place.offset + place.bytes) continue;
    text += fmt::format(", at times {} row {}", program_.buffers[i].label,
                        (byte - place.offset) / program_.buffers[i].row_bytes);
  }
  return text;
}

AuditFinding Auditor::finding(int32_t op, AuditFinding::What what, size_t piece, int64_t byte,
                              std::string_view did) const {
  return {op, what,
          fmt::format("op {} ({}) {} memory: {}", op,
                      program_.describe(program_.ops[static_cast<size_t>(op)]), did,
                      place_text(piece, byte))};
}

// All ways to get one declaration of an op wrong.
std::vector<DeclarationMutation> mutations_of(const Program& program, int32_t index) {
  using Kind = DeclarationMutation::Kind;
  std::vector<DeclarationMutation> all;
  const Op& op = program.ops[static_cast<size_t>(index)];
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (!op.operands[i].present()) continue;
    const auto operand = static_cast<int32_t>(i);
    const Access access = op.kind().operands[i].access;
    all.push_back({index, operand, false, Kind::drop});
    if (writes(access)) all.push_back({index, operand, false, Kind::drop_write});
    if (access == Access::read_write) all.push_back({index, operand, false, Kind::drop_read});
    if (program.info(op.operands[i]).count.present()) {
      all.push_back({index, operand, true, Kind::drop});
    }
  }
  return all;
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
