#include <doctest/doctest.h>

#include "data/quality.h"

using namespace chapbook;

TEST_CASE("mojibake is seen and mended; what only looks foreign is left alone") {
  const struct {
    std::string text, mended;
    int64_t count;
  } cases[] = {
      {"It\u00E2\u20AC\u2122s", "It\u2019s", 1},  // ’, three bytes
      {"\u00E2\u20AC\u0153Hi\u00E2\u20AC\u009D she said", "\u201CHi\u201D she said",
       2},                                                              // “ and ”: 0x9D has no character
      {"caf\u00C3\u00A9 cr\u00C3\u00A8me", "caf\u00E9 cr\u00E8me", 2},  // two bytes
      {"\u00F0\u0178\u02DC\u20AC", "\U0001F600", 1},                    // an emoji, four
      {"caf\u00E9, \u00C2, na\u00EFve", "caf\u00E9, \u00C2, na\u00EFve", 0},  // real letters
      {"\u00E2\u20AC", "\u00E2\u20AC", 0},                                    // cut off
      {"\u00C3", "\u00C3", 0},
      {"plain\xC3", "plain\xC3", 0},  // no UTF-8 at all
      {"", "", 0},
  };
  for (const auto& [text, mended, count] : cases) {
    CAPTURE(text);
    CHECK(count_mojibake(text) == count);
    CHECK(repair_mojibake(text) == mended);
    CHECK(count_mojibake(mended) == 0);
  }
}

TEST_CASE("a set of hashes knows what it was given, however many") {
  HashSet set;
  for (uint64_t i = 0; i < 100'000; ++i) CHECK(set.insert(i * 0x123456789ABCDEFu));
  CHECK(set.size() == 100'000);
  for (uint64_t i = 0; i < 100'000; ++i) CHECK(!set.insert(i * 0x123456789ABCDEFu));
  CHECK(set.contains(0));
  CHECK(!set.contains(5));
}
