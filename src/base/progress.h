// Progress of something counted in bytes: a bar with speed and time left on a terminal, elsewhere a
// plain line every ten seconds. Ends with its stage's line.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "base/log.h"

namespace braid {

class Progress {
 public:
  // `total_bytes` may be 0, when the size is not known: no share and no time left are shown.
  Progress(std::string name, int64_t total_bytes, Console& out = console());

  void add(int64_t bytes);  // from any thread

  // Prints "name … 0.8 s, 17.4 MB, 21.8 MB/s, rss 45 MB". Without it the stage has failed.
  void done();

 private:
  void show();  // with mutex_ held

  Console& out_;
  Stage stage_;
  const int64_t total_;
  std::mutex mutex_;
  int64_t bytes_ = 0;             // guarded by mutex_
  Clock::time_point next_shown_;  // guarded by mutex_
};

// "loading [#####.....] 50 %, 8.70 of 17.4 MB, 21.8 MB/s, 0.4 s left" in so many columns: the bar
// takes what is left, and is left out where that is little. 0 columns: a line without a bar.
std::string progress_line(const std::string& name, int64_t bytes, int64_t total, double seconds,
                          size_t columns);

}  // namespace braid
