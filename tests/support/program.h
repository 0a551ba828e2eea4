// The braid program as a process of its own session, to be sent signals: how it ends, what it says,
// and what it leaves behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace braid::testing {

class Program {
 public:
  // Runs a shell's words in place of the shell: "…/braid generate …".
  explicit Program(const std::string& words);
  ~Program();  // kills what is left
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  // The processes that it has started itself, as they are now.
  std::vector<pid_t> children() const;
  // All processes of its session but itself.
  std::vector<pid_t> session() const;
  // Waits until it has so many children; false where it doesn't come to that.
  bool wait_for_children(size_t count, std::chrono::seconds most) const;

  void signal(int number) const;        // to it alone
  void signal_group(int number) const;  // as a terminal does

  // Its exit code, 128 + the number of a signal that it died of; -1 where it runs longer.
  int wait(std::chrono::seconds most);
  // What it has said so far.
  std::string out() const;
  std::string err() const;

 private:
  pid_t pid_ = -1;
  int code_ = -1;
  std::string folder_;
};

}  // namespace braid::testing
