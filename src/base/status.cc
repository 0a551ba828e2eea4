#include "base/status.h"

#include <cstdio>

namespace braid {

std::string_view name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage: return "usage";
    case ErrorKind::not_found: return "not found";
    case ErrorKind::corrupt_data: return "corrupt data";
    case ErrorKind::unsupported: return "unsupported";
    case ErrorKind::exhausted: return "exhausted";
    case ErrorKind::fault: return "fault";
    case ErrorKind::internal: return "internal";
  }
  return "unknown";
}

Error::Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

Error Error::remedy(std::string text) && {
  remedy_ = std::move(text);
  return std::move(*this);
}

std::string Error::to_string() const {
  std::string text = message_;
  if (!values_.empty()) {
    text += " (";
    for (size_t i = 0; i < values_.size(); ++i) {
      if (i > 0) text += ", ";
      text += values_[i].first + " = " + values_[i].second;
    }
    text += ")";
  }
  if (!remedy_.empty()) text += ". " + remedy_;
  return text;
}

const Error& Status::error() const {
  BRAID_CHECK(error_ != nullptr, "(error() of a success)");
  return *error_;
}

void die(std::string_view file, int line, std::string_view what) {
  fmt::print(stderr, "braid: broken invariant at {}:{}: {}\n", file, line, what);
  std::fflush(stderr);
  std::abort();
}

}  // namespace braid
