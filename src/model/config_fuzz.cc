// libFuzzer target: the text of config.json. Run: build/fuzz/config_fuzz tests/corpus/config
#include "model/fuzz_entries.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  braid::model::fuzz_config({reinterpret_cast<const char*>(data), size});
  return 0;
}
