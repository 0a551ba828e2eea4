#include "flow/launcher.h"

namespace braid::flow {

Result<const Launcher*> LauncherTable::find(const Program& program, const Op& op) const {
  const auto found = launchers_.find(&op.kind());
  if (found == launchers_.end()) {
    return Error(ErrorKind::unsupported, "no kernel of this kind on this device")
        .with("op", program.describe(op));
  }
  const OpTypes types = program.types_of(op);
  TRY(found->second.can_implement(op.desc.data(), {types.begin(), types.size()}));
  return &found->second;
}

Status LauncherTable::launch(const AnyDesc& desc, Args args, device::Queue* queue) const {
  const auto found = launchers_.find(&desc.kind());
  if (found == launchers_.end()) {
    return Error(ErrorKind::unsupported, "no kernel of this kind on this device")
        .with("kind", desc.kind().name);
  }
  OpTypes types;
  for (const Arg& arg : args) types.push_back({arg.format, arg.rows, arg.cols, arg.first_row});
  const std::span<const Type> all(types.begin(), types.size());
  TRY(found->second.can_implement(desc.data(), all));
  found->second.launch(desc.data(), args, {}, queue);
  return {};
}

ScratchBytes LauncherTable::scratch() const {
  return [this](const Op& op, std::span<const Type> types) {
    const auto found = launchers_.find(&op.kind());
    if (found == launchers_.end()) return int64_t{0};
    return found->second.workspace_bytes(op.desc.data(), types);
  };
}

KernelOverlaps LauncherTable::overlaps() const {
  if (!overlaps_) return nullptr;
  return [this](const Op& op, std::span<const Type> types) {
    const auto found = launchers_.find(&op.kind());
    if (found == launchers_.end() || found->second.overlap == nullptr) return KernelOverlap{};
    return found->second.overlap(op.desc.data(), types);
  };
}

}  // namespace braid::flow
