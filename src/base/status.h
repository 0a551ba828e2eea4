// Status and Result: how every function below cli/ reports an error.
//
// An Error carries what went wrong, the values involved and what to do about it. Nothing throws for
// bad input; abort (BRAID_CHECK) is for broken invariants of braid itself.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace braid {

enum class ErrorKind {
  usage,         // the user asked for something that can't be (exit code 2)
  not_found,     // a file, tensor or name does not exist
  corrupt_data,  // a file contradicts itself or its format
  unsupported,   // well-formed, but nothing here implements it
  exhausted,     // memory, blocks or another bounded resource ran out
  fault,         // a rank died, hung or left the agreed order
  internal,      // a broken rule of braid's own (a build error of a Program, a failed check)
};

std::string_view name_of(ErrorKind kind);

// One error: a sentence, named values, and the remedy. Built fluently:
//   return Error(ErrorKind::corrupt_data, "tensor ends behind the file's end")
//       .with("tensor", name).with("end", end).with("file bytes", size).remedy("download it
//       again");
class Error {
 public:
  Error(ErrorKind kind, std::string message);

  template <typename T>
  [[nodiscard]] Error with(std::string_view name, const T& value) && {
    values_.emplace_back(std::string(name), fmt::format("{}", value));
    return std::move(*this);
  }
  [[nodiscard]] Error remedy(std::string text) &&;

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::vector<std::pair<std::string, std::string>>& values() const { return values_; }
  const std::string& remedy() const { return remedy_; }

  // "message (name = value, ...). remedy" on one line.
  std::string to_string() const;

 private:
  ErrorKind kind_;
  std::string message_;
  std::vector<std::pair<std::string, std::string>> values_;
  std::string remedy_;
};

// Success, or an Error. A success holds no memory.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::make_shared<const Error>(std::move(error))) {}  // NOLINT

  bool ok() const { return error_ == nullptr; }
  const Error& error() const;
  std::string to_string() const { return ok() ? "ok" : error_->to_string(); }

 private:
  std::shared_ptr<const Error> error_;
};

// A value, or an Error.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT
  Result(Error error) : status_(std::move(error)) {}    // NOLINT
  Result(Status status) : status_(std::move(status)) {  // NOLINT
    if (status_.ok()) std::abort();
  }

  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }
  const Error& error() const { return status_.error(); }
  // The value; aborts with the error's text when there is none.
  T& value() & { return (check(), *value_); }
  const T& value() const& { return (check(), *value_); }
  // By value, so that a range-for over a temporary Result's content is safe.
  T value() && { return (check(), std::move(*value_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }

 private:
  void check() const;
  Status status_;
  std::optional<T> value_;
};

[[noreturn]] void die(std::string_view file, int line, std::string_view what);

template <typename T>
void Result<T>::check() const {
  if (!status_.ok()) die("Result::value", 0, status_.to_string());
}

namespace status_detail {
inline const Status& status_of(const Status& status) { return status; }
template <typename T>
const Status& status_of(const Result<T>& result) {
  return result.status();
}
inline void take(Status&&) {}
template <typename T>
T take(Result<T>&& result) {
  return std::move(result).value();
}
}  // namespace status_detail

// Returns the error of a Status or Result from the enclosing function, else yields the value.
// Not behind a member that owns memory in a braced initializer: gcc does not destroy the members
// that are already built when a later one returns. Fill such a struct with statements.
#define TRY(expression)                                                                     \
  ({                                                                                        \
    auto braid_try_result = (expression);                                                   \
    if (!braid_try_result.ok()) return ::braid::status_detail::status_of(braid_try_result); \
    ::braid::status_detail::take(std::move(braid_try_result));                              \
  })

// Aborts with a message when an invariant of braid's own does not hold. Never for input.
#define BRAID_CHECK(condition, ...)                                                     \
  do {                                                                                  \
    if (!(condition)) [[unlikely]]                                                      \
      ::braid::die(__FILE__, __LINE__, #condition " " + ::fmt::format("" __VA_ARGS__)); \
  } while (false)

}  // namespace braid
