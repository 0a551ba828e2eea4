// The secret of a job of several nodes: given to all of them, or made by the first one and read by
// the others from a file that they share.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/status.h"

namespace braid::comm {

// One of the two.
struct JobSecret {
  std::string text;         // what everybody was given
  std::string shared_file;  // where the first node puts one, if none was given
};

// A file with a fresh secret that its owner alone can read; removed when this ends.
class SharedSecret {
 public:
  // `exhausted` where it can't be written.
  static Result<SharedSecret> make(const std::string& file);
  SharedSecret(SharedSecret&& other) noexcept : file_(std::exchange(other.file_, {})) {
    text_ = std::move(other.text_);
  }
  SharedSecret& operator=(SharedSecret&&) = delete;
  ~SharedSecret();

  const std::string& text() const { return text_; }

 private:
  SharedSecret() = default;
  std::string file_;
  std::string text_;
};

// What stands in the file: nothing where there is none yet. `usage` where others could have written
// or read it.
Result<std::optional<std::string>> read_shared_secret(const std::string& file);

}  // namespace braid::comm
