// libFuzzer target: the header and the coverage checks of safetensors files.
// Run: build/fuzz/safetensors_fuzz tests/corpus/safetensors
#include "model/fuzz_entries.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  braid::model::fuzz_safetensors(std::as_bytes(std::span(data, size)));
  return 0;
}
