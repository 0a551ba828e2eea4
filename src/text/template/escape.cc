#include "text/template/escape.h"

#include "text/template/print.h"

namespace braid::text::tmpl {
namespace {

std::string_view entity_of(char c) {
  switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '\'': return "&#39;";
    case '"': return "&#34;";
    default: return {};
  }
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const std::string_view entity = entity_of(c);
    if (entity.empty()) {
      out += c;
    } else {
      out += entity;
    }
  }
  return out;
}

Status append_escaped(Runtime& runtime, const Value& value, std::string& out) {
  if (value.text() != nullptr && value.text()->safe) return append_str(runtime, value, out);
  std::string text;
  TRY(append_str(runtime, value, text));
  TRY(runtime.charge_bytes(5 * text.size()));  // an entity has up to 5 bytes
  out += escape(text);
  return {};
}

}  // namespace braid::text::tmpl
