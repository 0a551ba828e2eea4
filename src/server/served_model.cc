#include "server/served_model.h"

#include <algorithm>

#include "server/api_error.h"

namespace braid::server {

Status ServedModel::check_name(const std::string& name) const {
  if (std::find(names.begin(), names.end(), name) != names.end()) return {};
  return Error(ErrorKind::not_found, "there is no such model here")
      .with("model", name)
      .with(kParam, "model")
      .with(kCode, "model_not_found")
      .remedy(fmt::format("Ask for \"{}\"; GET /v1/models lists all names.", names.front()));
}

}  // namespace braid::server
