// Chat templates: the part of jinja2 that published chat templates use, as transformers sets it up
// (ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks, loop controls, tojson without
// HTML escapes, raise_exception, strftime_now and {% generation %}).
//
// A rendering gives byte for byte what jinja2 gives, or an Error: what this engine lacks is refused
// by its name, when the template is parsed wherever that can be seen. Known differences: ints have
// 64 bits; map, select and the like compute their items at once, not when they are looked at.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/status.h"
#include "text/template/limits.h"

namespace braid::text {

// JSON whose objects keep the order of their keys, which tojson and loops show.
using OrderedJson = nlohmann::ordered_json;

struct RenderOptions {
  tmpl::Limits limits;
  // What strftime_now formats. By default the local time.
  std::function<std::tm()> now;
};

// A parsed template. Immutable: one template may render in several threads at once.
class Template {
 public:
  // Parses `source`; `name` names it in errors. Errors, with the line: corrupt_data for what is no
  // template, unsupported for what this engine lacks.
  static Result<Template> parse(std::string_view source, std::string_view name);

  // Renders with the members of the object `variables` as global variables; ints and floats stay
  // apart. Errors, with the line: usage for raise_exception (whose message is the error's) and for
  // operations that the values don't allow, unsupported, and exhausted where a limit is hit.
  Result<std::string> render(const OrderedJson& variables, const RenderOptions& options = {}) const;

 private:
  struct Tree;
  Template(std::string name, std::shared_ptr<const Tree> tree)
      : name_(std::move(name)), tree_(std::move(tree)) {}

  std::string name_;
  std::shared_ptr<const Tree> tree_;
};

}  // namespace braid::text
