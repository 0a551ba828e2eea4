#include "text/decoder.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "text/metaspace.h"
#include "text/pattern.h"

namespace braid::text {
namespace {

constexpr Role kRole = "decoder";
constexpr std::string_view kSupported =
    "ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace, Sequence, null";
constexpr std::string_view kSupportedFused = "Strip and Fuse behind Fuse or ByteLevel";
constexpr size_t kMaxGrowth = 256;
constexpr int64_t kMaxStrip = 1024;
constexpr size_t kMaxSteps = 64;  // a token passes the steps by nested calls

}  // namespace

std::string Decoding::take() { return std::exchange(*text_, std::string()); }

Result<Decoder> Decoder::from_json(const Json& component) {
  Decoder decoder;
  if (component.is_null()) {
    decoder.steps_.emplace_back(make_join_step);
    return decoder;
  }
  TRY(decoder.append(component));
  return decoder;
}

Decoding Decoder::start() const {
  Decoding decoding;
  decoding.text_ = std::make_unique<std::string>();
  DecodeStepPtr first = make_collect_step(*decoding.text_);
  for (size_t i = steps_.size(); i-- > 0;) first = steps_[i](std::move(first));
  decoding.first_ = std::move(first);
  return decoding;
}

Status Decoder::append(const Json& component) {
  const std::string type = TRY(component_type(component, kRole));
  if (steps_.size() == kMaxSteps) return unsupported_type("length of decoders", type, "64 steps");
  if (type == "Sequence") {
    for (const Json* step : TRY(array_field(component, kRole, "decoders"))) TRY(append(*step));
    return {};
  }
  if (type == "Strip") return append_strip(component);
  if (type == "Fuse") {
    fused_ = true;
    return {};
  }
  return append_per_token(component, type);
}

// The steps that need the tokens as they are.
Status Decoder::append_per_token(const Json& component, std::string_view type) {
  if (type != "Replace" && type != "Metaspace" && type != "ByteFallback" && type != "ByteLevel") {
    return unsupported_type(kRole, type, kSupported);
  }
  if (fused_) return unsupported_type("order of decoders", type, kSupportedFused);
  if (type == "Replace") return append_replace(component);
  if (type == "Metaspace") return append_metaspace(component);
  fused_ = type == "ByteLevel";
  steps_.emplace_back(fused_ ? make_byte_level_step : make_byte_fallback_step);
  return {};
}

Status Decoder::append_replace(const Json& component) {
  const Pattern pattern = TRY(Pattern::from_component(component, kRole));
  if (pattern.as_literal() == nullptr) {
    return unsupported_field(kRole, "pattern", component["pattern"], R"({"String": "…"})");
  }
  std::string content = TRY(string_field(component, kRole, "content"));
  const size_t from_bytes = pattern.as_literal()->size();
  growth_ *= std::max<size_t>(1, (content.size() + from_bytes - 1) / from_bytes);
  if (growth_ > kMaxGrowth) {
    return unsupported_field(kRole, "content", component["content"],
                             "replacements that lengthen a token at most 256 times");
  }
  steps_.emplace_back([from = *pattern.as_literal(), to = std::move(content)](auto next) {
    return make_replace_step(from, to, std::move(next));
  });
  return {};
}

Status Decoder::append_strip(const Json& component) {
  const std::string content = TRY(char_field(component, kRole, "content"));
  const int64_t start = TRY(integer_field(component, kRole, "start", 0, kMaxStrip));
  const int64_t stop = TRY(integer_field(component, kRole, "stop", 0, kMaxStrip));
  const StripCounts counts{static_cast<size_t>(start), static_cast<size_t>(stop)};
  steps_.emplace_back([content, counts, fused = fused_](auto next) {
    return make_strip_step(content, counts, fused, std::move(next));
  });
  return {};
}

Status Decoder::append_metaspace(const Json& component) {
  const std::string replacement = TRY(char_field(component, kRole, "replacement"));
  const MetaspacePrepend prepend = TRY(parse_metaspace_prepend(component, kRole));
  steps_.emplace_back([replacement, drop = prepend != MetaspacePrepend::never](auto next) {
    return make_metaspace_step(replacement, drop, std::move(next));
  });
  return {};
}

}  // namespace braid::text
