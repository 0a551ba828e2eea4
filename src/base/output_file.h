// A file that is there whole or not at all: written under another name, and renamed at its end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace braid {

// Until finish() the text stands in PATH.unfinished, which is removed where it never comes to
// that. Pipes, devices and other things that are no files are written to as they are.
class OutputFile {
 public:
  // `usage` when nothing can be written there. `what` names the content in errors: "the trace".
  static Result<OutputFile> create(std::string path, std::string what);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  const std::string& path() const { return path_; }

  // Both `fault`, with the reason, when the disk is full or the file may not grow that much.
  Status write(std::string_view text);
  // Gives the file its name; nothing is written behind it.
  Status finish();

 private:
  OutputFile(std::string path, std::string what) : path_(std::move(path)), what_(std::move(what)) {}
  Error failed(int code) const;
  void discard();

  std::string path_;
  std::string what_;
  std::string unfinished_;  // empty: `path_` itself is written to
  int file_ = -1;
};

// Writes a whole file so.
Status write_file(const std::string& path, std::string_view text, const std::string& what);

}  // namespace braid
