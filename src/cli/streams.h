// Where a command reads and writes: standard input, output and the console, or a test's own.
#pragma once

#include <functional>
#include <istream>
#include <string_view>

#include "base/json_fwd.h"
#include "base/log.h"
#include "base/options.h"

namespace braid::cli {

// Results for the user, on stdout. When the reader goes away
// (braid … | head), the command ends silently.
class Output {
 public:
  // `write` gives 0 or an errno. A terminal gets no control characters but newline and tab: they
  // are written out (base/visible.h).
  explicit Output(std::function<int(std::string_view)> write, bool is_terminal = false)
      : write_(std::move(write)), is_terminal_(is_terminal) {}

  // `fault` when it cannot be written.
  Status write(std::string_view text);
  Status line(std::string_view text);
  Status json_line(const Json& json);

  // The reader has gone.
  bool closed() const { return closed_; }

 private:
  std::function<int(std::string_view)> write_;
  bool is_terminal_;
  bool closed_ = false;
};

struct Streams {
  std::istream& in;
  bool in_is_terminal = false;
  Output& out;
  Console& console;
  OptionSources sources;
};

// stdin, stdout, stderr, the environment and the file system.
Streams process_streams();

}  // namespace braid::cli
