// libFuzzer's side: CHAPBOOK_FUZZ names the row to fuzz.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fuzz/targets.h"

static const chapbook::FuzzTarget& chosen() {
  const char* name = std::getenv("CHAPBOOK_FUZZ");
  for (const chapbook::FuzzTarget& target : chapbook::fuzz_targets())
    if (name && std::string(name) == target.name) return target;
  std::fprintf(stderr, "CHAPBOOK_FUZZ names the row to fuzz, one of");
  for (const chapbook::FuzzTarget& target : chapbook::fuzz_targets())
    std::fprintf(stderr, " %s", target.name);
  std::fprintf(stderr, "\n");
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const chapbook::FuzzTarget& target = chosen();
  chapbook::fuzz(target, {reinterpret_cast<const char*>(data), size});
  return 0;
}
