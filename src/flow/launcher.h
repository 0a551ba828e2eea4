// The launcher table: (Desc type, device) → the kernel that runs it. Filled explicitly, once, by
// register_cpu() (and its like for other devices); flow/ and passes see Descs, never code.
#pragma once

#include <functional>
#include <unordered_map>

#include "device/queue.h"
#include "flow/compile.h"
#include "flow/kind.h"
#include "flow/program.h"

namespace braid::flow {

// One operand as a kernel sees it: `data` points to the view's first element. An absent optional
// operand has data == nullptr. Kernels work on live_rows() rows.
struct Arg {
  std::byte* data = nullptr;
  int64_t stride = 0;  // bytes from row to row
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first_col = 0;
  int64_t cols = 0;
  Format format = Format::f32;
  const int32_t* count = nullptr;  // how many rows of the buffer are real; null: all

  template <typename T>
  T* row(int64_t index) const {
    return reinterpret_cast<T*>(data + index * stride);
  }
  // clamp(count − first_row, 0, rows), read where the count lives.
  int64_t live_rows() const {
    if (count == nullptr) return rows;
    return std::clamp<int64_t>(*count - first_row, 0, rows);
  }
};

// Scratch memory that the Schedule planned for this op.
struct Workspace {
  std::byte* data = nullptr;
  int64_t bytes = 0;
};

using Args = std::span<const Arg>;

// The kernels of one kind on one device, type-erased.
struct Launcher {
  // Ok, or `unsupported` with the formats or sizes that no kernel here implements.
  std::function<Status(const void* desc, std::span<const Type>)> can_implement;
  std::function<int64_t(const void* desc, std::span<const Type>)> workspace_bytes;
  // What its kernels allow of those around them; null: nothing.
  std::function<KernelOverlap(const void* desc, std::span<const Type>)> overlap;
  // `queue` is the lane's; null where the calling thread itself does the work.
  std::function<void(const void* desc, Args, Workspace, device::Queue* queue)> launch;
};

// The same with the Desc's type, as registrations write it, for kernels that run on the calling
// thread. `can_implement` and `workspace_bytes` may be null.
template <typename Desc>
struct TypedLauncher {
  Status (*can_implement)(const Desc& desc, std::span<const Type> types) = nullptr;
  int64_t (*workspace_bytes)(const Desc& desc, std::span<const Type> types) = nullptr;
  void (*launch)(const Desc& desc, Args args, Workspace workspace) = nullptr;
};

// The same for kernels that are enqueued on a device's queue of type Q. `overlap` may be null: then
// the op is work that nothing overlaps, such as a copy.
template <typename Desc, typename Q>
struct QueuedLauncher {
  Status (*can_implement)(const Desc& desc, std::span<const Type> types) = nullptr;
  int64_t (*workspace_bytes)(const Desc& desc, std::span<const Type> types) = nullptr;
  KernelOverlap (*overlap)(const Desc& desc, std::span<const Type> types) = nullptr;
  void (*launch)(const Desc& desc, Args args, Workspace workspace, Q& queue) = nullptr;
};

// `overlap` of launchers all of whose kernels await the one before them, and read nothing early.
template <typename Desc>
KernelOverlap awaits(const Desc& /*desc*/, std::span<const Type> /*types*/) {
  return kAwaits;
}
// The rule for kernels that know nothing of it.
template <typename Desc>
KernelOverlap can_be_followed(const Desc& /*desc*/, std::span<const Type> /*types*/) {
  return kCanBeFollowed;
}

class LauncherTable {
 public:
  template <typename Desc>
  void add(TypedLauncher<Desc> typed) {
    Launcher launcher = checks_of<Desc>(typed);
    launcher.launch = [typed](const void* desc, Args args, Workspace workspace, device::Queue*) {
      typed.launch(*static_cast<const Desc*>(desc), args, workspace);
    };
    add<Desc>(std::move(launcher));
  }
  template <typename Desc, typename Q>
  void add(QueuedLauncher<Desc, Q> typed) {
    Launcher launcher = checks_of<Desc>(typed);
    if (typed.overlap != nullptr) {
      launcher.overlap = [typed](const void* desc, std::span<const Type> types) {
        return typed.overlap(*static_cast<const Desc*>(desc), types);
      };
    }
    launcher.launch = [typed](const void* desc, Args args, Workspace workspace,
                              device::Queue* queue) {
      typed.launch(*static_cast<const Desc*>(desc), args, workspace, static_cast<Q&>(*queue));
    };
    add<Desc>(std::move(launcher));
  }
  // Adds a kernel that holds something of its own, such as a communicator.
  template <typename Desc>
  void add(Launcher launcher) {
    const KindInfo* kind = &kind_of<Desc>();
    launchers_[kind] = std::move(launcher);
  }

  // The launcher of an op's kind; `unsupported` when the device has none or it refuses the types.
  Result<const Launcher*> find(const Program& program, const Op& op) const;
  // Runs a kernel that belongs to no Program and needs no workspace, on `queue`; `unsupported` as
  // above.
  Status launch(const AnyDesc& desc, Args args, device::Queue* queue) const;

  // For compile(): the scratch memory of every op. The table must outlive it.
  ScratchBytes scratch() const;
  // For compile(): which kernels may overlap; none once that was switched off. As above.
  KernelOverlaps overlaps() const;
  void forbid_overlap() { overlaps_ = false; }

 private:
  template <typename Desc, typename Typed>
  static Launcher checks_of(const Typed& typed) {
    Launcher launcher;
    launcher.can_implement = [typed](const void* desc, std::span<const Type> types) {
      return typed.can_implement == nullptr
                 ? Status()
                 : typed.can_implement(*static_cast<const Desc*>(desc), types);
    };
    launcher.workspace_bytes = [typed](const void* desc, std::span<const Type> types) {
      return typed.workspace_bytes == nullptr
                 ? int64_t{0}
                 : typed.workspace_bytes(*static_cast<const Desc*>(desc), types);
    };
    return launcher;
  }

  std::unordered_map<const KindInfo*, Launcher> launchers_;
  bool overlaps_ = true;
};

}  // namespace braid::flow
