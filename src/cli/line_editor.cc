#include "cli/line_editor.h"

#include <editline/readline.h>
#include <cstdio>

#include <clocale>
#include <cstdlib>
#include <memory>

namespace braid::cli {
namespace {

struct Free {
  void operator()(char* text) const { std::free(text); }
};

// The library takes characters of several bytes apart by the locale alone.
void start_editor() {
  const char* chosen = std::setlocale(LC_CTYPE, "");
  if (chosen == nullptr || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  rl_readline_name = const_cast<char*>("braid");
  rl_instream = stdin;
  rl_outstream = stderr;
  rl_initialize();
  using_history();
  rl_inhibit_completion = 1;  // Tab is a character like others
}

}  // namespace

std::optional<std::string> edit_line(const std::string& prompt) {
  static const bool started = (start_editor(), true);
  (void)started;
  const std::unique_ptr<char, Free> line(readline(prompt.c_str()));
  if (line == nullptr) return std::nullopt;
  std::string text(line.get());
  if (!text.empty()) add_history(text.c_str());
  return text;
}

}  // namespace braid::cli
