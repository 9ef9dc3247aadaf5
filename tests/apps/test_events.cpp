#include <doctest/doctest.h>

#include <cstdlib>

#include "apps/report/events.h"
#include "tensor/files.h"

using namespace chapbook;

TEST_CASE("CRC-32C of RFC 3720's examples") {
  CHECK(crc32c("123456789") == 0xE3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
}

// The file was read with TensorBoard's own reader when it was made: tests/golden/events.py.
TEST_CASE("an event file is the committed one, byte for byte") {
  std::string file = first_event(1764331200);
  file += scalar_event(1764331200.5, 1, {{"loss", 7.625}, {"rate", 1e-3}});
  file += scalar_event(1764331300.25, 300, {{"valid_loss", 2.5}});
  file += scalar_event(1764331400, int64_t{1} << 33, {});
  const std::string path = CHAPBOOK_SOURCE_DIR "/tests/golden/events.out.tfevents.chapbook";
  if (std::getenv("CHAPBOOK_WRITE_GOLDEN")) write_file(path, file);  // then read it: tests/golden/events.py
  CHECK(file == read_file(path));
}
