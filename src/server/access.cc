#include "server/access.h"

#include <algorithm>

#include "base/digest.h"

namespace braid::server {

Access::Access(const std::vector<std::string>& api_keys, std::vector<std::string> origins)
    : origins_(std::move(origins)) {
  for (const std::string& key : api_keys) digests_.push_back(sha256(key));
}

bool Access::knows(const HttpRequest& request) const {
  if (digests_.empty()) return true;
  constexpr std::string_view kBearer = "Bearer ";
  const std::string* given = request.field("authorization");
  if (given == nullptr || given->size() < kBearer.size() ||
      !equal_names(std::string_view(*given).substr(0, kBearer.size()), kBearer)) {
    return false;
  }
  const std::string digest = sha256(std::string_view(*given).substr(kBearer.size()));
  bool known = false;
  for (const std::string& key : digests_) known |= equal_in_constant_time(key, digest);
  return known;
}

std::vector<HttpField> Access::cors_fields(const HttpRequest& request) const {
  const std::string* origin = request.field("origin");
  if (origin == nullptr || origins_.empty()) return {};
  const bool all = std::find(origins_.begin(), origins_.end(), "*") != origins_.end();
  const bool named = std::find(origins_.begin(), origins_.end(), *origin) != origins_.end();
  if (!all && !named) return {{"Vary", "Origin"}};
  return {{"Access-Control-Allow-Origin", all ? "*" : *origin},
          {"Access-Control-Expose-Headers", "X-Request-Id, X-Braid-Ignored"},
          {"Vary", "Origin"}};
}

}  // namespace braid::server
