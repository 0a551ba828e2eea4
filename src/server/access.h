// Who may ask: API keys, and pages of which origins.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/http.h"

namespace braid::server {

class Access {
 public:
  // Without keys everybody may ask. An origin is "https://example.org", or "*" for all of them.
  Access(const std::vector<std::string>& api_keys, std::vector<std::string> origins);

  // Whether the request has one of the keys ("Authorization: Bearer KEY"). Takes the same time for
  // every wrong one.
  bool knows(const HttpRequest& request) const;

  // What lets a browser give the answer to the page that has asked; nothing for other origins.
  std::vector<HttpField> cors_fields(const HttpRequest& request) const;

 private:
  std::vector<std::string> digests_;  // of the keys
  std::vector<std::string> origins_;
};

}  // namespace braid::server
