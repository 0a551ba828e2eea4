#include "text/metaspace.h"

#include "base/json.h"

namespace braid::text {

Result<MetaspacePrepend> parse_metaspace_prepend(const Json& component, Role role) {
  const bool add = TRY(bool_field(component, role, "add_prefix_space", true));
  const auto scheme = component.find("prepend_scheme");
  if (scheme == component.end()) return add ? MetaspacePrepend::always : MetaspacePrepend::never;
  if (*scheme == "never") return MetaspacePrepend::never;
  if (*scheme == "always" && add) return MetaspacePrepend::always;
  if (*scheme == "first" && add) return MetaspacePrepend::first;
  return unsupported_field(role, "prepend_scheme", *scheme,
                           "always, first, never; only never beside add_prefix_space = false");
}

}  // namespace braid::text
