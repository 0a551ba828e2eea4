// Normalizers: they rewrite a text before it is split. From the field "normalizer".
#pragma once

#include <memory>
#include <string>

#include "text/component.h"
#include "text/encode_run.h"

namespace braid::text {

// Immutable; any number of threads may use one.
class Normalizer {
 public:
  virtual ~Normalizer() = default;

  // Rewrites `text`, valid UTF-8. Errors: exhausted (limits of the run, or a text that explodes).
  virtual Status apply(std::string& text, EncodeRun& run) const = 0;
};

// Supported: NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend, Replace, Sequence, and null (a null
// pointer). Errors: unsupported (another type), corrupt_data (a field missing or of another type).
Result<std::unique_ptr<const Normalizer>> parse_normalizer(const Json& component);

}  // namespace braid::text
