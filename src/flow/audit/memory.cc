#include "flow/audit/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace braid::flow {
namespace {

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

void add(Declared& declared, size_t piece, const Bytes& bytes, Access access) {
  constexpr int64_t kWord = 8;
  if (reads(access)) declared.readable[piece].push_back(bytes);
  if (writes(access)) declared.writable[piece].push_back(bytes);
  if (bytes.first < bytes.last) {
    declared.reachable[piece].push_back({bytes.first / kWord * kWord, bytes.last});
  }
}

}  // namespace

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

Declared::Declared(size_t pieces)
    : readable(pieces), writable(pieces), results(pieces), reachable(pieces) {}

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

AuditedMemory::AuditedMemory(const BoundSchedule& bound, const Residents& residents,
                             std::span<std::byte> arena, int64_t step)
    : schedule_(*bound.schedule),
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
      pieces_.push_back({{residents.data(i, copy), bytes}, i, constant});
    }
  }
}

size_t AuditedMemory::piece_of(const Buffer& buffer) const {
  if (buffer.lifetime == Lifetime::step) return 0;
  const size_t first = first_piece_[static_cast<size_t>(buffer.resident)];
  return first + (buffer.copies == 2 ? static_cast<size_t>(step_ & 1) : 0);
}

// The bytes of a view's Region in its piece.
Bytes AuditedMemory::place_of(const ValueInfo& view) const {
  const auto index = static_cast<size_t>(view.buffer);
  const Buffer& buffer = program().buffers[index];
  const int64_t base = buffer.lifetime == Lifetime::step ? schedule_.buffers[index].offset : 0;
  return {base + view.first_row * buffer.row_bytes,
          base + (view.first_row + view.region_rows) * buffer.row_bytes};
}

Declared AuditedMemory::declared(int32_t index,
                                 const std::optional<DeclarationMutation>& mutation) const {
  using Kind = DeclarationMutation::Kind;
  const Op& op = program().ops[static_cast<size_t>(index)];
  Declared declared(pieces_.size());
  const auto declare = [&](const ValueInfo& view, Access access) {
    const Buffer& buffer = program().buffers[static_cast<size_t>(view.buffer)];
    add(declared, piece_of(buffer), place_of(view), access);
  };
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (!op.operands[i].present()) continue;
    const bool mutated =
        mutation && mutation->op == index && mutation->operand == static_cast<int32_t>(i);
    const bool own = mutated && !mutation->count;
    const ValueInfo& view = program().info(op.operands[i]);
    Access access = op.kind().operands[i].access;
    if (own && mutation->kind == Kind::drop_write) access = Access::read;
    if (own && mutation->kind == Kind::drop_read) access = Access::write;
    if (!own || mutation->kind != Kind::drop) declare(view, access);
    const bool count_dropped = mutated && mutation->count;
    if (view.count.present() && !count_dropped) declare(program().info(view.count), Access::read);
  }
  declared.results = declared.writable;
  const Extent& scratch = schedule_.scratch[static_cast<size_t>(index)];
  if (scratch.offset >= 0) {
    add(declared, 0, {scratch.offset, scratch.offset + scratch.bytes}, Access::write);
  }
  for (auto* lists :
       {&declared.readable, &declared.writable, &declared.results, &declared.reachable}) {
    for (ByteList& list : *lists) normalize(list);
  }
  return declared;
}

// The op's own buffer there, else all that are there at some time.
std::string AuditedMemory::workspace_text(int32_t op, int64_t byte) const {
  const auto holds = [&](const Extent& extent) {
    return extent.offset >= 0 && extent.offset <= byte && byte < extent.offset + extent.bytes;
  };
  const auto row_text = [&](size_t index) {
    const Buffer& buffer = program().buffers[index];
    return fmt::format("{} row {}", buffer.label,
                       (byte - schedule_.buffers[index].offset) / buffer.row_bytes);
  };
  for (const Value operand : program().ops[static_cast<size_t>(op)].operands) {
    if (!operand.present()) continue;
    const auto buffer = static_cast<size_t>(program().info(operand).buffer);
    if (holds(schedule_.buffers[buffer])) return row_text(buffer);
  }
  std::string text = fmt::format("workspace byte {}", byte);
  for (size_t i = 0; i < program().buffers.size(); ++i) {
    if (holds(schedule_.buffers[i])) text += ", at times " + row_text(i);
  }
  for (size_t i = 0; i < schedule_.scratch.size(); ++i) {
    if (holds(schedule_.scratch[i])) text += fmt::format(", at times scratch of op {}", i);
  }
  return text;
}

std::string AuditedMemory::place_text(int32_t op, size_t piece, int64_t byte) const {
  if (pieces_[piece].resident < 0) return workspace_text(op, byte);
  const Resident& resident = residents_[pieces_[piece].resident];
  return fmt::format("{} row {}", resident.name, byte / std::max<int64_t>(resident.row_bytes(), 1));
}

AuditFinding AuditedMemory::finding(int32_t op, AuditFinding::What what, std::string_view did,
                                    size_t piece, int64_t byte) const {
  const std::string text = program().describe(program().ops[static_cast<size_t>(op)]);
  return {op, what, fmt::format("op {} ({}) {}: {}", op, text, did, place_text(op, piece, byte))};
}

std::vector<AuditFinding> AuditedMemory::changes(int32_t op, const Declared& declared, size_t piece,
                                                 std::span<const std::byte> before,
                                                 std::span<const std::byte> after) const {
  using What = AuditFinding::What;
  std::vector<AuditFinding> found;
  const auto bytes = static_cast<int64_t>(before.size());
  for (const Bytes& rest : subtract({{0, bytes}}, declared.writable[piece])) {
    const std::byte* from = before.data() + rest.first;
    const std::byte* to = after.data() + rest.first;
    const auto length = static_cast<size_t>(rest.last - rest.first);
    if (std::memcmp(from, to, length) == 0) continue;
    const int64_t byte = rest.first + (std::mismatch(from, from + length, to).first - from);
    const bool named = subtract({{byte, byte + 1}}, declared.readable[piece]).empty();
    found.push_back(
        named ? finding(op, What::read_only_write, "writes what it declares to read only, memory",
                        piece, byte)
              : finding(op, What::undeclared_write, "changes undeclared memory", piece, byte));
  }
  return found;
}

}  // namespace braid::flow
