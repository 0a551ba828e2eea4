// Where a command reads and writes: standard input, output and the console, or a test's own.
#pragma once

#include <functional>
#include <istream>
#include <optional>
#include <string_view>

#include "base/json_fwd.h"
#include "base/log.h"
#include "base/options.h"

namespace braid::cli {

inline constexpr size_t kColumnsElsewhere = 100;

// Results for the user, on stdout. When the reader goes away
// (braid … | head), the command ends silently.
class Output {
 public:
  // `write` gives 0 or an errno. A terminal gets no control characters but newline and tab: they
  // are written out (base/visible.h).
  explicit Output(
      std::function<int(std::string_view)> write, bool is_terminal = false,
      std::function<size_t()> columns = [] { return kUsualColumns; })
      : write_(std::move(write)), is_terminal_(is_terminal), columns_(std::move(columns)) {}

  // `fault` when it cannot be written.
  Status write(std::string_view text);
  Status line(std::string_view text);
  Status json_line(const Json& json);

  // How wide a text may be: the terminal, or else kColumnsElsewhere.
  size_t columns() const { return is_terminal_ ? columns_() : kColumnsElsewhere; }

  // The reader has gone.
  bool closed() const { return closed_; }

 private:
  std::function<int(std::string_view)> write_;
  bool is_terminal_;
  std::function<size_t()> columns_;
  bool closed_ = false;
};

struct Streams {
  std::istream& in;
  bool in_is_terminal = false;
  Output& out;
  Console& console;
  OptionSources sources;
  // A line that a person types behind a prompt, with editing and a history of the lines before it;
  // nothing at the end. Only where a person types.
  std::function<std::optional<std::string>(const std::string& prompt)> edit_line = {};
};

// stdin, stdout, stderr, the environment and the file system.
Streams process_streams();

}  // namespace braid::cli
