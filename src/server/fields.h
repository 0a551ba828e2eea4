// The members of a request's JSON object, read once each: with their types and ranges checked, and
// nothing overlooked.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/api_error.h"

namespace braid::server {

// Null counts as absent, as clients send it for what they leave open. A getter's error names the
// field as its param. The object must outlive this.
class Fields {
 public:
  // `prefix` stands before names in errors: "stream_options.".
  explicit Fields(const Json& object, std::string prefix = {})
      : object_(object), prefix_(std::move(prefix)) {}

  // The member, or null where it is absent.
  const Json* find(std::string_view name);
  Result<std::optional<bool>> flag(std::string_view name);
  Result<std::optional<int64_t>> integer(std::string_view name, int64_t least, int64_t most);
  // `least` itself is out of range where `above` is given.
  Result<std::optional<double>> number(std::string_view name, double least, double most,
                                       bool above = false);
  Result<std::optional<std::string>> text(std::string_view name);
  // One text, or a list of up to `most`; none empty.
  Result<std::vector<std::string>> texts(std::string_view name, size_t most);
  // A list of up to `most` integers of [0, end).
  Result<std::vector<int32_t>> ids(std::string_view name, int64_t end, size_t most);

  // A field that is known, and changes nothing here.
  void accept(std::string_view name) { find(name); }
  // A field that asks for what is not there; unless its value is one of `harmless`, or it is
  // absent.
  Status refuse(std::string_view name, std::string_view why,
                const std::vector<Json>& harmless = {});

  // The members that nobody has asked for.
  std::vector<std::string> unknown() const;

 private:
  std::string full(std::string_view name) const { return prefix_ + std::string(name); }
  Error wrong(std::string_view name, std::string_view expected) const;

  const Json& object_;
  std::string prefix_;
  std::set<std::string, std::less<>> known_;
};

// The body of a request: a JSON object.
Result<Json> parse_object(std::string_view body);

// A list of integers of [0, end), or an error that names `field`.
Result<std::vector<int32_t>> read_ids(const Json& list, std::string_view field, int64_t end);

}  // namespace braid::server
