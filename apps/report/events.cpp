#include "apps/report/events.h"

#include <array>
#include <bit>

namespace chapbook {
namespace {

template <class T>
void put_little_endian(std::string& out, T number) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(number >> (8 * i));
}

// Protocol Buffers, what these files need of it: a field is a key (its number, and how its value is written),
// then the value. https://protobuf.dev/programming-guides/encoding
void put_varint(std::string& out, uint64_t number) {
  for (; number >= 0x80; number >>= 7) out += static_cast<char>(number | 0x80);
  out += static_cast<char>(number);
}
enum Wire { varint = 0, bits64 = 1, bytes = 2, bits32 = 5 };
void put_key(std::string& out, int field, Wire wire) {
  put_varint(out, static_cast<uint64_t>(field << 3 | wire));
}
void put_bytes(std::string& out, int field, std::string_view value) {
  put_key(out, field, bytes);
  put_varint(out, value.size());
  out += value;
}
void put_double(std::string& out, int field, double value) {
  put_key(out, field, bits64);
  put_little_endian(out, std::bit_cast<uint64_t>(value));
}
void put_float(std::string& out, int field, float value) {
  put_key(out, field, bits32);
  put_little_endian(out, std::bit_cast<uint32_t>(value));
}

// A checksum of bytes that hold checksums would be a weak one, so TFRecord turns and shifts it.
uint32_t masked(uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8u; }

// TFRecord: length, its checksum, the bytes, their checksum.
std::string record(std::string_view event) {
  std::string out;
  put_little_endian(out, uint64_t{event.size()});
  put_little_endian(out, masked(crc32c(out)));
  out += event;
  put_little_endian(out, masked(crc32c(event)));
  return out;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto table = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0);
      table[i] = value;
    }
    return table;
  }();
  uint32_t crc = ~0u;
  for (const char byte : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  return ~crc;
}

// Event (tensorflow/core/util/event.proto): wall_time = 1, step = 2, file_version = 3, summary = 5; a Summary
// has values = 1, each with tag = 1 and simple_value = 2.
std::string first_event(double wall_time) {
  std::string event;
  put_double(event, 1, wall_time);
  put_bytes(event, 3, "brain.Event:2");
  return record(event);
}

std::string scalar_event(double wall_time, int64_t step,
                         const std::vector<std::pair<std::string, double>>& values) {
  std::string event, summary;
  for (const auto& [tag, number] : values) {
    std::string value;
    put_bytes(value, 1, tag);
    put_float(value, 2, static_cast<float>(number));
    put_bytes(summary, 1, value);
  }
  put_double(event, 1, wall_time);
  put_key(event, 2, varint);
  put_varint(event, static_cast<uint64_t>(step));
  put_bytes(event, 5, summary);
  return record(event);
}

}  // namespace chapbook
