// Attributes and items of values: object.name, object[index], and the dotted paths of filters.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "text/template/runtime.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

// object.name: an attribute or method if there is one, else the item under that key, else an
// undefined value. Errors: an attribute of an undefined value; what this engine lacks.
Result<Value> get_attribute(Runtime& runtime, const Value& object, const std::string& name);

// object[index]: the item, else for a text index the attribute, else an undefined value.
Result<Value> get_item(Runtime& runtime, const Value& object, const Value& index);

// Sets an attribute of a namespace. Errors: a name that starts with an underscore.
Status set_attribute(Runtime& runtime, Namespace& space, const std::string& name, Value value);

// What `attribute=` of a filter names: "a.b.0" is item a, of that item b, of that item 0; an int is
// one index; None is the value itself.
using Path = std::vector<Value>;
Result<Path> parse_path(Runtime& runtime, const Value& attribute);

// Follows `path` from `value`.
Result<Value> follow(Runtime& runtime, const Value& value, const Path& path);

}  // namespace braid::text::tmpl
