// Every row of the fuzzed parsers with its corpus, and with changes to it that need no fuzzer: each file cut
// short, with a bit turned, a stretch taken out or put in twice. What the fuzzers found is in the corpus.
#include <doctest/doctest.h>

#include <filesystem>
#include <random>

#include "tensor/files.h"
#include "tests/fuzz/targets.h"

using namespace chapbook;
namespace fs = std::filesystem;

TEST_CASE("parsers answer whatever the bytes are") {
  std::mt19937 random(1);
  for (const FuzzTarget& target : fuzz_targets()) {
    int inputs = 0;
    const auto run = [&](std::string_view bytes) {
      fuzz(target, bytes);
      ++inputs;
    };
    run("");
    for (const auto& entry :
         fs::directory_iterator(CHAPBOOK_SOURCE_DIR "/tests/fuzz/corpus/" + std::string(target.name))) {
      const std::string whole = read_file(entry.path());
      run(whole);
      for (int i = 0; i < 50 && !whole.empty(); ++i) {
        std::string changed = whole;
        const size_t at = random() % whole.size(),
                     length = std::min<size_t>(whole.size() - at, 1 + random() % 16);
        switch (i % 4) {
          case 0:
            changed.resize(at);
            break;
          case 1:
            changed[at] = static_cast<char>(changed[at] ^ (1 << random() % 8));
            break;
          case 2:
            changed.erase(at, length);
            break;
          case 3:
            changed.insert(at, whole.substr(at, length));
            break;
        }
        run(changed);
      }
    }
    CHECK_MESSAGE(inputs > 50, target.name << " has no corpus");
  }
}
