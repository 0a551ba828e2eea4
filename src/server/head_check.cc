#include "server/head_check.h"

#include <algorithm>

namespace braid::server {
namespace {

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

// A host and a port, as RFC 3986 writes them; what it holds is nobody's business here.
bool is_authority(std::string_view host) {
  constexpr std::string_view kMarks = "-._~%!$&'()*+,;=:[]";
  return std::all_of(host.begin(), host.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != kMarks.npos;
  });
}

}  // namespace

std::string_view fault_in_head(std::string_view head) {
  for (size_t i = 0; i < head.size(); ++i) {
    const bool line_end = head[i] == '\r' && i + 1 < head.size() && head[i + 1] == '\n';
    if (!line_end) {
      if (is_control(head[i])) return "the head has a control character";
      continue;
    }
    i += 1;
    if (i + 1 < head.size() && (head[i + 1] == ' ' || head[i + 1] == '\t')) {
      return "a field is folded over several lines";
    }
  }
  return {};
}

std::string_view fault_in_fields(int version, std::span<const HttpField> fields) {
  size_t hosts = 0;
  size_t lengths = 0;
  size_t encodings = 0;
  for (const HttpField& field : fields) {
    if (equal_names(field.name, "host")) {
      ++hosts;
      if (!is_authority(field.value)) return "the field Host is no host";
    } else if (equal_names(field.name, "content-length")) {
      ++lengths;
      if (field.value.find(',') != std::string::npos) return "there are several lengths";
    } else if (equal_names(field.name, "transfer-encoding")) {
      ++encodings;
      if (!equal_names(field.value, "chunked")) return "the transfer encoding is not just chunked";
    }
  }
  if (hosts > 1) return "there are two fields Host";
  if (hosts == 0 && version >= 11) return "there is no field Host";
  if (lengths > 1) return "there are several lengths";
  if (encodings > 1) return "there are several transfer encodings";
  if (encodings > 0 && lengths > 0) return "there are a length and a transfer encoding";
  if (encodings > 0 && version < 11) return "HTTP/1.0 has no transfer encodings";
  return {};
}

}  // namespace braid::server
