// An in-order queue of work on a thread of its own: what a CUDA stream is on a GPU.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace braid::device {

class LaneThread {
 public:
  // `name` is what debuggers and traces show.
  explicit LaneThread(const std::string& name);
  // Runs what is queued, then joins.
  ~LaneThread();
  LaneThread(const LaneThread&) = delete;
  LaneThread& operator=(const LaneThread&) = delete;

  void enqueue(std::function<void()> task);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;  // guarded by mutex_
  bool stopping_ = false;                    // guarded by mutex_
  std::thread thread_;
};

}  // namespace braid::device
