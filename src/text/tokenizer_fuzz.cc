// libFuzzer target: any bytes as a tokenizer.json and a text for it.
#include "text/tokenizer_fuzz_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  braid::text::fuzz_tokenizer_json(data, size);
  return 0;
}
