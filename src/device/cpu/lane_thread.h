// An in-order queue of work on a thread of its own: what a CUDA stream is on a GPU.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"

namespace braid::device {

// What a thread does when it wakes up and all cores are busy.
enum class Waking {
  fairly,  // waits until another thread's time slice is over: milliseconds
  at_once  // runs at once, in turns of 0.1 ms, with no larger share (Linux 6.12; no effect before)
};

class LaneThread {
 public:
  // `name` is what debuggers and traces show. `exhausted` where the system gives no thread.
  static Result<std::unique_ptr<LaneThread>> start(const std::string& name,
                                                   Waking waking = Waking::fairly);
  // The same; throws std::system_error.
  explicit LaneThread(const std::string& name, Waking waking = Waking::fairly);
  // Runs what is queued, then joins.
  ~LaneThread();
  LaneThread(const LaneThread&) = delete;
  LaneThread& operator=(const LaneThread&) = delete;

  // Allocates nothing for a task that captures two pointers, once as many were queued before.
  void enqueue(std::function<void()> task);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::function<void()>> queue_;  // guarded by mutex_
  bool stopping_ = false;                     // guarded by mutex_
  std::thread thread_;
};

}  // namespace braid::device
