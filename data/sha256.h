// SHA-256 (FIPS 180-4): 64 hexadecimal digits by which a file is known to be the one that was meant.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace chapbook {

class Sha256 {
 public:
  void add(std::string_view bytes);
  std::string hex();  // of all that was added; the end: nothing can be added after it

 private:
  void add_block(const unsigned char* block);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> pending_{};  // bytes that fill no block yet
  uint64_t bytes_ = 0;
};

std::string sha256(std::string_view bytes);

}  // namespace chapbook
