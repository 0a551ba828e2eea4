#include "cli/streams.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "base/json.h"
#include "base/visible.h"
#include "cli/line_editor.h"

namespace braid::cli {
namespace {

int write_stdout(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 ? 0 : errno;
}

}  // namespace

Status Output::write(std::string_view text) {
  if (text.empty()) return {};
  const int code = is_terminal_ ? write_(visible(text)) : write_(text);
  if (code == 0) return {};
  closed_ = code == EPIPE;
  return Error(ErrorKind::fault, "the output cannot be written")
      .with("reason", std::strerror(code))
      .with("bytes", text.size());
}

Status Output::line(std::string_view text) { return write(fmt::format("{}\n", text)); }

Status Output::json_line(const Json& json) {
  return line(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Streams process_streams() {
  const OptionSources sources = process_sources();
  static Output out(write_stdout, isatty(STDOUT_FILENO) != 0, [environment = sources.environment] {
    return terminal_columns(STDOUT_FILENO, environment);
  });
  Streams streams{.in = std::cin,
                  .in_is_terminal = isatty(STDIN_FILENO) != 0,
                  .out = out,
                  .console = console(),
                  .sources = sources};
  const bool edits = isatty(STDERR_FILENO) != 0 && can_move_cursor(sources.environment);
  if (streams.in_is_terminal && edits) streams.edit_line = edit_line;
  return streams;
}

}  // namespace braid::cli
