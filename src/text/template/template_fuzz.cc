// libFuzzer target of the template engine: the input is a template's source.
//   build/fuzz/template_fuzz -max_len=4096 -timeout=10 tests/corpus/template
#include "text/template/template_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  braid::text::fuzz_template({reinterpret_cast<const char*>(data), size});
  return 0;
}
