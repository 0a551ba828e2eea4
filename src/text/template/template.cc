#include "text/template/template.h"

#include "base/json.h"
#include "text/template/interpreter.h"
#include "text/template/json_text.h"
#include "text/template/parser.h"

namespace braid::text {
namespace {

constexpr size_t kMaxSource = size_t{4} << 20;  // bytes; published chat templates have below 100 KB

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm out{};
  localtime_r(&now, &out);
  return out;
}

}  // namespace

struct Template::Tree {
  tmpl::Block block;
};

Result<Template> Template::parse(std::string_view source, std::string_view name) {
  if (source.size() > kMaxSource) {
    return Error(ErrorKind::unsupported, "the template is too long")
        .with("template", name)
        .with("bytes", source.size())
        .with("limit", kMaxSource);
  }
  Result<tmpl::Block> block = tmpl::parse_template(source);
  if (!block.ok()) return Error(block.error()).with("template", name);
  return Template(std::string(name), std::make_shared<const Tree>(Tree{std::move(*block)}));
}

Result<std::string> Template::render(const OrderedJson& variables,
                                     const RenderOptions& options) const {
  if (!variables.is_object()) {
    return Error(ErrorKind::usage, "a template's variables must be a JSON object")
        .with("type", variables.type_name());
  }
  tmpl::Runtime runtime(options.limits, options.now ? options.now : local_time);
  const tmpl::Value values = TRY(tmpl::from_json(runtime, variables));
  tmpl::Interpreter interpreter(runtime, values);
  Result<std::string> text = interpreter.run(tree_->block);
  if (text.ok()) return text;
  return Error(text.error()).with("template", name_).with("line", interpreter.line());
}

}  // namespace braid::text
