#include "flow/program.h"

#include <fmt/format.h>

#include <algorithm>

namespace braid::flow {

bool KindInfo::row_wise() const {
  return std::all_of(operands.begin(), operands.end(), [](const OperandSpec& spec) {
    return !writes(spec.access) || spec.slicing == Slicing::rows || spec.optional;
  });
}

OpValues operands_of(const KindInfo& kind, std::span<const NamedValue> named) {
  OpValues operands;
  std::array<bool, kMaxOperands> is_named{};
  for (size_t i = 0; i < kind.operands.size(); ++i) operands.push_back({});
  for (const NamedValue& value : named) {
    BRAID_CHECK(value.operand < operands.size(), "({} has {} operands, no operand {})", kind.name,
                operands.size(), value.operand);
    BRAID_CHECK(!is_named[value.operand], "(operand {} of {} is named twice)",
                kind.operands[value.operand].name, kind.name);
    is_named[value.operand] = true;
    operands[value.operand] = value.value;
  }
  for (size_t i = 0; i < operands.size(); ++i) {
    BRAID_CHECK(operands[i].present() || kind.operands[i].optional, "(operand {} of {} is missing)",
                kind.operands[i].name, kind.name);
  }
  return operands;
}

Type Program::type_of(Value value) const {
  if (!value.present()) return {};
  const ValueInfo& value_info = info(value);
  return {value_info.format, value_info.rows, value_info.cols, value_info.first_row};
}

OpTypes Program::types_of(const Op& op) const {
  OpTypes types;
  for (const Value operand : op.operands) types.push_back(type_of(operand));
  return types;
}

Work Program::work_of(const Op& op) const {
  if (op.kind().work == nullptr) return {};
  const OpTypes types = types_of(op);
  return op.kind().work(op.desc.data(), {types.begin(), types.size()});
}

std::optional<Collective> Program::collective_of(const Op& op) const {
  if (op.kind().collective == nullptr) return std::nullopt;
  const OpTypes types = types_of(op);
  return op.kind().collective(op.desc.data(), {types.begin(), types.size()});
}

std::string Program::describe(Value value) const {
  const ValueInfo& value_info = info(value);
  return fmt::format("{} [{}, {}] {}", buffer_of(value).label, value_info.rows, value_info.cols,
                     name_of(value_info.format));
}

std::string Program::describe(const Op& op) const {
  std::string text = fmt::format("{}: {}", op.scope.to_string(), op.kind().name);
  std::string_view separator = " → ";
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (!op.operands[i].present() || !writes(op.kind().operands[i].access)) continue;
    text += separator;
    text += describe(op.operands[i]);
    separator = ", ";
  }
  return text;
}

std::vector<ScopeOps> Program::scopes(Role role) const {
  std::vector<ScopeOps> found;
  for (size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].scope.role != role) continue;
    const auto same = [&](const ScopeOps& scope) { return scope.scope == ops[i].scope; };
    // Layers come one after the other: the scope is the last one found, or new.
    if (found.empty() || !same(found.back())) found.push_back({ops[i].scope, {}});
    found.back().ops.push_back(static_cast<int32_t>(i));
  }
  return found;
}

int32_t Program::join_of(const ScopeOps& scope) const {
  std::vector<Region> written;
  for (const int32_t index : scope.ops) {
    for_each_region(*this, ops[static_cast<size_t>(index)], [&](const Region& region) {
      if (writes(region.access)) written.push_back(region);
    });
  }
  for (size_t i = static_cast<size_t>(scope.ops.front()) + 1; i < ops.size(); ++i) {
    if (ops[i].scope == scope.scope) continue;
    bool joins = false;
    for_each_region(*this, ops[i], [&](const Region& region) {
      joins = joins || (reads(region.access) &&
                        std::any_of(written.begin(), written.end(),
                                    [&](const Region& result) { return overlap(result, region); }));
    });
    if (joins) return static_cast<int32_t>(i);
  }
  return -1;
}

bool conflict(const Program& program, const Op& a, const Op& b) {
  bool found = false;
  for_each_region(program, a, [&](const Region& of_a) {
    for_each_region(program, b, [&](const Region& of_b) { found = found || conflict(of_a, of_b); });
  });
  return found;
}

}  // namespace braid::flow
