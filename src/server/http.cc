#include "server/http.h"

#include <algorithm>

namespace braid::server {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool equal_names(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

const std::string* HttpRequest::field(std::string_view name) const {
  for (const HttpField& field : fields) {
    if (equal_names(field.name, name)) return &field.value;
  }
  return nullptr;
}

}  // namespace braid::server
