#include "device/cpu/lane_thread.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <system_error>

namespace braid::device {
namespace {

// The argument of sched_setattr(2), which glibc 2.36 doesn't declare.
struct SchedulingAttributes {
  uint32_t size = sizeof(SchedulingAttributes);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;  // nanoseconds; for ordinary threads their time slice
  uint64_t deadline = 0;
  uint64_t period = 0;
};

constexpr uint64_t kShortestSlice = 100'000;

// A thread that wakes up takes the core of one with a longer slice. Where the kernel knows no
// slices, or refuses, the thread stays as it is: that costs time, no more.
void take_short_slices() {
  SchedulingAttributes attributes;
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0) return;
  attributes.runtime = kShortestSlice;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace

Result<std::unique_ptr<LaneThread>> LaneThread::start(const std::string& name, Waking waking) {
  try {
    return std::make_unique<LaneThread>(name, waking);
  } catch (const std::system_error& thrown) {
    return Error(ErrorKind::exhausted, "a thread could not be started")
        .with("thread", name)
        .with("error", thrown.code().message())
        .remedy("Allow more threads (ulimit -u, a container's pids limit), or use fewer ranks.");
  }
}

LaneThread::LaneThread(const std::string& name, Waking waking)
    : thread_([this, waking] {
        if (waking == Waking::at_once) take_short_slices();
        loop();
      }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

LaneThread::~LaneThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void LaneThread::enqueue(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(task));
  }
  changed_.notify_one();
}

// How many tasks are queued at once depends on when the thread wakes up: room is made beforehand,
// so that steps don't allocate some at a later time.
void LaneThread::loop() {
  constexpr size_t kRoom = 16;
  std::vector<std::function<void()>> taken;
  taken.reserve(kRoom);
  std::unique_lock lock(mutex_);
  queue_.reserve(kRoom);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::swap(taken, queue_);
    lock.unlock();
    for (const auto& task : taken) task();
    taken.clear();
    lock.lock();
  }
}

}  // namespace braid::device
