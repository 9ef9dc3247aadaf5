#include "data/idx.h"

#include "tensor/files.h"

namespace chapbook {

static constexpr char unsigned_byte = 0x08;

Tensor read_idx(const std::string& path) {
  const std::string all = read_file(path);
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(all[i]); };
  check(all.size() >= 4 && byte(0) == 0 && byte(1) == 0, "{}: not an IDX file, which begins with two zeros{}",
        path, all.starts_with("\x1f\x8b") ? "; it is compressed: unpack it with gunzip" : "");
  check(byte(2) == unsigned_byte, "{}: holds numbers of type {:#04x}; only unsigned bytes (0x08) are read",
        path, byte(2));
  const size_t axes = byte(3), header = 4 + 4 * axes;
  check(axes >= 1 && axes <= Shape::max_rank && all.size() >= header, "{}: {} axes, or cut off in its header",
        path, axes);
  Shape shape;
  size_t count = 1;
  for (size_t at = 4; at < header; at += 4) {
    const size_t size =
        size_t{byte(at)} << 24 | size_t{byte(at + 1)} << 16 | size_t{byte(at + 2)} << 8 | byte(at + 3);
    check(size <= INT32_MAX && (size == 0 || count <= all.size() / size),
          "{}: says it holds more than it does", path);
    shape.size[shape.rank++] = static_cast<int64_t>(size);
    count *= size;
  }
  check(all.size() == header + count, "{}: {} bytes for numbers of shape {}, which need {}", path, all.size(),
        shape, header + count);
  const auto* numbers = reinterpret_cast<const uint8_t*>(all.data()) + header;
  return Tensor::from(std::span(numbers, count), shape);
}

void write_idx(const std::string& path, const Tensor& numbers) {
  check(numbers.dtype() == DType::u8, "{}: an IDX file holds u8 here, not {}", path,
        name_of(numbers.dtype()));
  std::string all = {0, 0, unsigned_byte, static_cast<char>(numbers.rank())};
  for (int axis = 0; axis < numbers.rank(); ++axis)
    for (int shift = 24; shift >= 0; shift -= 8) all += static_cast<char>(numbers.size(axis) >> shift);
  for (const uint8_t number : numbers.to_vector<uint8_t>()) all += static_cast<char>(number);
  write_file(path, all);
}

}  // namespace chapbook
