#include "flow/audit/fill.h"

#include <algorithm>
#include <cstring>

#include "flow/audit/memory.h"

namespace braid::flow {
namespace {

constexpr std::byte kUndeclared{0xff};  // NaN in every float format, −1 as an integer
// What is only written begins with another byte in each run, so that it shows what was written.
constexpr std::byte kUnwrittenPlain{0x55};
constexpr std::byte kUnwrittenFilled{0x7f};  // huge or NaN

using Contents = std::vector<std::byte>;

void fill(Contents& contents, const ByteList& list, std::byte value) {
  for (const Bytes& bytes : list) {
    std::fill(contents.begin() + bytes.first, contents.begin() + bytes.last, value);
  }
}

// A piece of memory as the two runs of an op find it and leave it.
struct Runs {
  Contents state;  // what it holds between ops
  ByteList write_only;
  Contents plain_before;
  Contents plain_after;
  Contents filled_before;
  Contents filled_after;

  void begin(const ByteList& readable, const ByteList& writable) {
    const Bytes all{0, static_cast<int64_t>(state.size())};
    write_only = subtract(writable, readable);
    plain_before = filled_before = state;
    fill(plain_before, write_only, kUnwrittenPlain);
    fill(filled_before, write_only, kUnwrittenFilled);
    fill(filled_before, subtract(subtract({all}, readable), writable), kUndeclared);
  }
  // Whether neither run wrote a byte that is only written.
  bool unwritten(size_t byte) const {
    return plain_after[byte] == kUnwrittenPlain && filled_after[byte] == kUnwrittenFilled;
  }
  // The first byte of a list that the runs wrote differently; -1: none.
  int64_t first_difference(const ByteList& list) const {
    for (const Bytes& bytes : list) {
      for (int64_t at = bytes.first; at < bytes.last; ++at) {
        const auto byte = static_cast<size_t>(at);
        if (plain_after[byte] != filled_after[byte] && !unwritten(byte)) return at;
      }
    }
    return -1;
  }
  // What an op leaves unwritten keeps its bytes.
  void end() {
    for (const Bytes& bytes : write_only) {
      for (auto byte = static_cast<size_t>(bytes.first); byte < static_cast<size_t>(bytes.last);
           ++byte) {
        if (unwritten(byte)) plain_after[byte] = state[byte];
      }
    }
    std::swap(state, plain_after);
  }
};

class FillAuditor {
 public:
  FillAuditor(const BoundSchedule& bound, const Residents& residents, std::span<std::byte> arena,
              const FillAuditDevice& device, const FillAuditOptions& options)
      : memory_(bound, residents, arena, options.step), device_(device), options_(options) {
    for (size_t i = 0; i < memory_.pieces().size(); ++i) {
      const AuditPiece& piece = memory_.pieces()[i];
      const auto bytes = static_cast<int64_t>(piece.memory.size());
      if (!piece.constant) {
        pieces_.push_back({i, {.state = download(i)}});
      } else if (bytes <= options.most_weight_bytes) {
        weights_.push_back({i, download(i)});
      } else {
        result_.not_compared.push_back(residents[piece.resident].name);
      }
    }
  }

  Result<FillAudit> run() {
    for (size_t op = 0; op < memory_.program().ops.size(); ++op) TRY(audit(op));
    return std::move(result_);
  }

 private:
  struct Weight {
    size_t piece = 0;
    Contents expected;
  };
  struct Audited {
    size_t piece = 0;
    Runs runs;
  };

  device::Device& device_of(size_t piece) const {
    return device_.memory_of(memory_.pieces()[piece].resident);
  }
  Contents download(size_t piece) const {
    const std::span<std::byte> from = memory_.pieces()[piece].memory;
    Contents contents(from.size());
    device_of(piece).download(contents.data(), from.data(), static_cast<int64_t>(from.size()));
    return contents;
  }
  void upload(size_t piece, const Contents& contents) const {
    device_of(piece).upload(memory_.pieces()[piece].memory.data(), contents.data(),
                            static_cast<int64_t>(contents.size()));
  }

  Status audit(size_t op);
  void compare(int32_t op, const Declared& declared, const Audited& audited);
  bool check_weights(int32_t op, const Declared& declared);
  void report(std::vector<AuditFinding> findings) {
    std::move(findings.begin(), findings.end(), std::back_inserter(result_.findings));
  }

  AuditedMemory memory_;
  const FillAuditDevice& device_;
  const FillAuditOptions& options_;
  std::vector<Audited> pieces_;
  std::vector<Weight> weights_;
  FillAudit result_;
};

Status FillAuditor::audit(size_t op) {
  const auto index = static_cast<int32_t>(op);
  const Declared declared = memory_.declared(index, options_.mutation);
  for (auto& [piece, runs] : pieces_) {
    runs.begin(declared.readable[piece], declared.writable[piece]);
    if (!runs.write_only.empty()) upload(piece, runs.plain_before);
  }
  TRY(device_.run_op(op));
  const bool unchanged = check_weights(index, declared);
  for (auto& [piece, runs] : pieces_) {
    runs.plain_after = download(piece);
    upload(piece, runs.filled_before);
  }
  TRY(device_.run_op(op));
  for (Audited& audited : pieces_) {
    audited.runs.filled_after = download(audited.piece);
    compare(index, declared, audited);
    audited.runs.end();
    upload(audited.piece, audited.runs.state);
  }
  if (unchanged) return {};
  for (const auto& [piece, expected] : weights_) upload(piece, expected);
  return {};
}

void FillAuditor::compare(int32_t op, const Declared& declared, const Audited& audited) {
  const auto& [piece, runs] = audited;
  auto changes = memory_.changes(op, declared, piece, runs.filled_before, runs.filled_after);
  if (changes.empty()) {  // a write of the very byte that was there shows in the other run
    changes = memory_.changes(op, declared, piece, runs.plain_before, runs.plain_after);
  }
  report(std::move(changes));
  const int64_t byte = runs.first_difference(declared.results[piece]);
  if (byte < 0) return;
  report({memory_.finding(op, AuditFinding::What::undeclared_read,
                          "reads what it doesn't declare (or gives a new result each time), which "
                          "changes what it writes",
                          piece, byte)});
}

// Whether all weights are as they were; puts back what isn't.
bool FillAuditor::check_weights(int32_t op, const Declared& declared) {
  bool unchanged = true;
  for (const auto& [piece, expected] : weights_) {
    auto changes = memory_.changes(op, declared, piece, expected, download(piece));
    if (changes.empty()) continue;
    unchanged = false;
    report(std::move(changes));
    upload(piece, expected);
  }
  return unchanged;
}

}  // namespace

Result<FillAudit> audit_by_fill(const BoundSchedule& bound, const Residents& residents,
                                std::span<std::byte> arena, const FillAuditDevice& device,
                                const FillAuditOptions& options) {
  return FillAuditor(bound, residents, arena, device, options).run();
}

}  // namespace braid::flow
