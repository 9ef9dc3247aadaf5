#include <doctest/doctest.h>

#include "data/idx.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

TEST_CASE("IDX: what is written is read, and what is no such file is one clear line") {
  const TemporaryDirectory directory;
  const std::string path = directory / "file";
  const Tensor numbers = Tensor::from<uint8_t>({0, 1, 127, 128, 254, 255}, {3, 1, 2});
  write_idx(path, numbers);
  const std::string good = read_file(path);
  CHECK(good == std::string("\0\0\x08\x03\0\0\0\x03\0\0\0\x01\0\0\0\x02\0\x01\x7f\x80\xfe\xff", 22));
  CHECK(read_idx(path).shape() == Shape{3, 1, 2});
  CHECK(read_idx(path).to_vector<uint8_t>() == numbers.to_vector<uint8_t>());

  const auto refused = [&](std::string bytes, const char* why) {
    write_file(path, bytes);
    CHECK_THROWS_WITH_AS(read_idx(path), doctest::Contains(why), Error);
  };
  for (size_t length = 0; length < good.size(); ++length) refused(good.substr(0, length), "file: ");
  refused(good + "x", "23 bytes for numbers of shape (3, 1, 2), which need 22");
  refused("\x1f\x8b" + good, "gunzip");
  std::string changed = good;
  changed[2] = 0x0d;
  refused(changed, "0x0d");
  changed = good;
  changed[3] = 9;
  refused(changed, "9 axes");
  for (const size_t byte : {4, 8, 12}) {
    changed = good;
    changed[byte] = '\x7f';
    refused(changed, "says it holds more than it does");
  }
  // 2^30 times 2^30 times 2^4 is 0 in 64 bits, which is what follows.
  refused(std::string("\0\0\x08\x03\x40\0\0\0\x40\0\0\0\0\0\0\x10", 16), "says it holds more than it does");
  CHECK_THROWS_WITH_AS(write_idx(path, numbers.to(DType::f32)), doctest::Contains("holds u8 here, not f32"),
                       Error);
}
