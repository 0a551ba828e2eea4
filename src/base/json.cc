#include "base/json.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>

namespace braid {
namespace {

constexpr int kMaxDepth = 256;

// Python writes and reads three words that JSON doesn't have. They are parsed as strings that begin
// with a byte that no text has, and become numbers then.
struct PythonWord {
  std::string_view word;
  double value;
};
constexpr std::array kPythonWords = {
    PythonWord{"-Infinity", -std::numeric_limits<double>::infinity()},
    PythonWord{"Infinity", std::numeric_limits<double>::infinity()},
    PythonWord{"NaN", std::numeric_limits<double>::quiet_NaN()}};
constexpr std::string_view kMark = "\\u0000";  // as JSON writes it
constexpr std::string_view kMarkByte{"\0", 1};

// `text` with these words outside of strings in quotes and marked.
std::string quote_python_words(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    if (!in_string) {
      const auto found = std::find_if(
          kPythonWords.begin(), kPythonWords.end(),
          [&](const PythonWord& python) { return text.substr(i).starts_with(python.word); });
      if (found != kPythonWords.end()) {
        out += fmt::format("\"{}{}\"", kMark, found->word);
        i += found->word.size();
        continue;
      }
    }
    if (text[i] == '"') in_string = !in_string;
    const size_t length = in_string && text[i] == '\\' && i + 1 < text.size() ? 2 : 1;
    out += text.substr(i, length);
    i += length;
  }
  return out;
}

bool is_marked(const Json& value) {
  const std::string* text = value.get_ptr<const std::string*>();
  return text != nullptr && text->starts_with(kMarkByte);
}

void unquote_python_word(Json& value) {
  if (!is_marked(value)) return;
  const std::string* text = value.get_ptr<const std::string*>();
  for (const PythonWord& python : kPythonWords) {
    if (std::string_view(*text).substr(1) == python.word) {
      value = python.value;
      return;
    }
  }
}

// Nothing where the text is no JSON, or nested too deeply.
std::optional<Json> try_parse(std::string_view text, bool python, bool& too_deep) {
  bool word_as_key = false;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    too_deep = too_deep || depth > kMaxDepth;
    if (python && event == Json::parse_event_t::value) unquote_python_word(parsed);
    if (python && event == Json::parse_event_t::key) word_as_key = word_as_key || is_marked(parsed);
    return depth <= kMaxDepth;
  };
  // A parser callback runs before values are stored, so depth is bounded while parsing.
  Json json = Json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  return json.is_discarded() || word_as_key ? std::nullopt : std::optional(std::move(json));
}

// The place where the parser stopped, which only an exception tells.
size_t stopped_at(std::string_view text) {
  try {
    [[maybe_unused]] const Json json = Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error& error) {
    return std::min(error.byte, text.size());
  } catch (const Json::exception&) {  // a number beyond double
  }
  return 0;
}

Error no_json(std::string_view text, std::string_view source) {
  Error error = Error(ErrorKind::corrupt_data, "not valid JSON").with("source", source);
  if (text.empty()) return std::move(error).with("bytes", 0).remedy("The file is empty.");
  const std::string_view before = text.substr(0, stopped_at(text));
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  const auto is_character = [](char byte) { return (byte & 0xc0) != 0x80; };
  return std::move(error)
      .with("line", 1 + std::count(before.begin(), before.end(), '\n'))
      .with("column", std::count_if(before.begin() + static_cast<int64_t>(line_start), before.end(),
                                    is_character))
      .remedy("Correct it there, or download the file again.");
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view source) {
  bool too_deep = false;
  std::optional<Json> json = try_parse(text, /*python=*/false, too_deep);
  const bool words = text.find("Infinity") != text.npos || text.find("NaN") != text.npos;
  if (!json && !too_deep && words) {
    json = try_parse(quote_python_words(text), /*python=*/true, too_deep);
  }
  if (too_deep) {
    return Error(ErrorKind::corrupt_data, "JSON is nested too deeply")
        .with("source", source)
        .with("limit", kMaxDepth);
  }
  if (!json) return no_json(text, source);
  return *std::move(json);
}

Result<std::string> read_file(const std::string& path, int64_t max_bytes) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) {
    return Error(ErrorKind::not_found, "a file was expected, this is a folder").with("path", path);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Error(ErrorKind::not_found, "cannot open file")
        .with("path", path)
        .with("reason", std::strerror(errno));
  }
  const auto too_large = [&](int64_t bytes) {
    return Error(ErrorKind::corrupt_data, "file is larger than expected")
        .with("path", path)
        .with("bytes", bytes)
        .with("limit", max_bytes);
  };
  std::string content;
  // A pipe has no size: it is read until it ends.
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, code));
  if (!code && size > max_bytes) return too_large(size);
  if (!code) content.reserve(static_cast<size_t>(size));
  std::array<char, 1 << 16> block;
  while (file.read(block.data(), block.size()) || file.gcount() > 0) {
    content.append(block.data(), static_cast<size_t>(file.gcount()));
    if (std::ssize(content) > max_bytes) return too_large(std::ssize(content));
  }
  if (file.bad() || (!code && std::ssize(content) < size)) {
    return Error(ErrorKind::corrupt_data, "cannot read the whole file")
        .with("path", path)
        .with("bytes", content.size());
  }
  return content;
}

Result<Json> read_json_file(const std::string& path, int64_t max_bytes) {
  const std::string content = TRY(read_file(path, max_bytes));
  return parse_json(content, path);
}

}  // namespace braid
