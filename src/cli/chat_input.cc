#include "cli/chat_input.h"

namespace braid::cli {
namespace {

constexpr std::string_view kFence = "\"\"\"";
const std::string kPrompt = "> ";
const std::string kMore = ". ";  // of a message's further lines

}  // namespace

std::optional<std::string> ChatInput::line(const std::string& prompt) {
  if (streams_.edit_line) return streams_.edit_line(prompt);
  // Quiet or not: without it nobody knows whose turn it is.
  if (streams_.in_is_terminal) streams_.console.prompt(prompt);
  std::string text;
  if (!std::getline(streams_.in, text)) return std::nullopt;
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

std::optional<std::string> ChatInput::message() {
  std::optional<std::string> text = line(kPrompt);
  if (!text || !streams_.in_is_terminal) return text;
  if (*text == kFence) {
    text->clear();
    while (const std::optional<std::string> more = line(kMore)) {
      if (*more == kFence) break;
      *text += (text->empty() ? "" : "\n") + *more;
    }
    return text;
  }
  while (text->ends_with('\\')) {
    text->back() = '\n';
    const std::optional<std::string> more = line(kMore);
    if (!more) break;
    *text += *more;
  }
  return text;
}

std::optional<std::string> ChatInput::next() {
  while (std::optional<std::string> said = message()) {
    if (said->find_first_not_of(" \t\n") != said->npos) return said;
  }
  return std::nullopt;
}

}  // namespace braid::cli
