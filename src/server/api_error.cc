#include "server/api_error.h"

#include "base/json.h"

namespace braid::server {
namespace {

std::string_view type_of(int status) {
  if (status == 401 || status == 403) return "authentication_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

// The error's sentence, its values but for those with a place of their own, and the remedy.
std::string message_of(const Error& error) {
  Error told(error.kind(), error.message());
  for (const auto& [name, value] : error.values()) {
    if (name != kParam && name != kCode) told = std::move(told).with(name, value);
  }
  if (!error.remedy().empty()) told = std::move(told).remedy(error.remedy());
  return told.to_string();
}

Json value_of(const Error& error, std::string_view name) {
  for (const auto& [has, value] : error.values()) {
    if (has == name) return value;
  }
  return nullptr;
}

}  // namespace

Error bad_field(std::string_view field, std::string message) {
  return Error(ErrorKind::usage, std::move(message)).with(kParam, field);
}

Json to_json(const ApiError& error) {
  return {{"error",
           {{"message", message_of(error.error)},
            {"type", type_of(error.status)},
            {"param", value_of(error.error, kParam)},
            {"code", value_of(error.error, kCode)}}}};
}

HttpAnswer to_answer(const ApiError& error) {
  HttpAnswer answer{.status = error.status, .body = to_json(error).dump()};
  if (error.status == 503) answer.fields.push_back({"Retry-After", "1"});
  return answer;
}

}  // namespace braid::server
