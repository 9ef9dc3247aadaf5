#include "apps/run/gguf.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "tensor/files.h"

namespace chapbook {
namespace {

constexpr uint64_t alignment = 32;
constexpr int64_t block = 32;  // numbers of a row that Q8_0 packs together

enum Kind : uint32_t { u32 = 4, i32 = 5, f32 = 6, boolean = 7, text = 8, array = 9 };  // of facts
enum Type : uint32_t { all_f32 = 0, as_f16 = 1, as_q8_0 = 8 };                         // of tensors

// Numbers as their bytes, strings after their length.
void append(std::string& to, const void* bytes, size_t count) {
  to.append(static_cast<const char*>(bytes), count);
}
template <class T>
void append(std::string& to, T number) {
  append(to, &number, sizeof number);
}
void append(std::string& to, std::string_view text) {
  append(to, uint64_t{text.size()});
  to += text;
}

uint32_t type_named(const std::string& name) {
  check(name == "f32" || name == "f16" || name == "q8_0",
        "there is no type '{}' here; there are f32, f16, q8_0", name);
  return name == "f32" ? all_f32 : name == "f16" ? as_f16 : as_q8_0;
}

// f16 ends at 65,504, and what is a little more is rounded to that; q8_0's scale is an f16, too.
std::string packed(const std::string& name, const std::vector<float>& numbers, uint32_t type) {
  constexpr float largest_f16 = 65519.99f;
  const float most = type == all_f32 ? FLT_MAX : type == as_f16 ? largest_f16 : 127 * largest_f16;
  for (const float number : numbers)
    check(std::abs(number) <= most, "{}: holds {}, beyond the range of {}{}", name, number,
          type == all_f32  ? "f32"
          : type == as_f16 ? "f16"
                           : "q8_0",
          std::isfinite(number) ? "; --type f32 has it" : ": the weights are broken");
  std::string bytes;
  if (type == all_f32) append(bytes, numbers.data(), numbers.size() * sizeof(float));
  if (type == as_f16)
    for (const float number : numbers) append(bytes, f16(number).bits);
  for (size_t i = 0; type == as_q8_0 && i < numbers.size(); i += block) {
    float most = 0;
    for (int j = 0; j < block; ++j) most = std::max(most, std::abs(numbers[i + j]));
    const float scale = most / 127, inverse = scale == 0 ? 0 : 1 / scale;
    append(bytes, f16(scale).bits);
    for (int j = 0; j < block; ++j) append(bytes, static_cast<int8_t>(std::round(numbers[i + j] * inverse)));
  }
  return bytes;
}

uint64_t packed_size(int64_t count, uint32_t type) {
  return type == all_f32 ? 4 * count : type == as_f16 ? 2 * count : count / block * (2 + block);
}

uint64_t padding(uint64_t size) { return (alignment - size % alignment) % alignment; }

}  // namespace

void GgufFile::key(std::string_view name, uint32_t kind) {
  append(facts_, name);
  append(facts_, kind);
  ++facts_count_;
}

void GgufFile::set(std::string_view name, std::string_view value) { key(name, text), append(facts_, value); }
void GgufFile::set(std::string_view name, uint32_t value) { key(name, u32), append(facts_, value); }
void GgufFile::set(std::string_view name, float value) { key(name, f32), append(facts_, value); }
void GgufFile::set(std::string_view name, bool value) { key(name, boolean), append(facts_, uint8_t{value}); }

void GgufFile::set(std::string_view name, const std::vector<std::string>& values) {
  key(name, array), append(facts_, uint32_t{text}), append(facts_, uint64_t{values.size()});
  for (const std::string& value : values) append(facts_, std::string_view(value));
}

void GgufFile::set(std::string_view name, const std::vector<int32_t>& values) {
  key(name, array), append(facts_, uint32_t{i32}), append(facts_, uint64_t{values.size()});
  for (const int32_t value : values) append(facts_, value);
}

void GgufFile::add(const std::string& name, const Tensor& tensor, const std::string& type) {
  check(type != "q8_0" || tensor.size(-1) % block == 0,
        "{}: q8_0 packs {} numbers of a row together, but its rows have {}; f16 takes any", name, block,
        tensor.size(-1));
  tensors_.push_back({name, tensor, type_named(type)});
}

void GgufFile::write(const std::string& path) const {
  std::string head = "GGUF";
  append(head, uint32_t{3});
  append(head, uint64_t{tensors_.size()});
  append(head, facts_count_);
  head += facts_;
  uint64_t place = 0;
  for (const Entry& entry : tensors_) {
    append(head, std::string_view(entry.name));
    append(head, static_cast<uint32_t>(entry.tensor.rank()));
    for (int axis = entry.tensor.rank(); axis-- > 0;)  // the one whose numbers are neighbours comes first
      append(head, static_cast<uint64_t>(entry.tensor.size(axis)));
    append(head, entry.type);
    append(head, place);
    const uint64_t size = packed_size(entry.tensor.count(), entry.type);
    place += size + padding(size);
  }
  NewFile file(path);
  const auto write = [&](std::string bytes) {
    bytes.append(padding(bytes.size()), '\0');
    file.write(bytes.data(), bytes.size());
  };
  write(head);
  for (const Entry& entry : tensors_) write(packed(entry.name, entry.tensor.to_vector<float>(), entry.type));
  file.close();
}

std::string renamed(std::string name, std::span<const std::pair<const char*, const char*>> parts) {
  for (const auto& [from, to] : parts)
    if (const size_t at = name.find(from); at != name.npos)
      name.replace(at, std::string_view(from).size(), to);
  return name;
}

}  // namespace chapbook
