// GGUF: a model with its tokenizer in one file, as llama.cpp runs it
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Little-endian: the magic, version 3, counts of
// tensors and facts; the facts; names, shapes, types and places of tensors; the numbers, each tensor at a
// multiple of 32 bytes.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/run/model_directory.h"
#include "tensor/safetensors.h"

namespace chapbook {

class GgufFile {
 public:
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const char* value) { set(key, std::string_view(value)); }
  void set(std::string_view key, uint32_t value);
  void set(std::string_view key, float value);
  void set(std::string_view key, bool value);
  void set(std::string_view key, const std::vector<std::string>& values);
  void set(std::string_view key, const std::vector<int32_t>& values);

  // type: "f32", "f16", or "q8_0": 32 numbers of a row at a time are one f16, the largest of them over 127,
  // and 32 whole numbers of 8 bits that it is multiplied with. Throws where rows do not divide into 32.
  void add(const std::string& name, const Tensor& tensor, const std::string& type);

  void write(const std::string& path) const;  // whole or not at all, like every file

 private:
  struct Entry {
    std::string name;
    Tensor tensor;
    uint32_t type;
  };
  void key(std::string_view name, uint32_t type);

  std::string facts_;  // as they stand in the file
  uint64_t facts_count_ = 0;
  std::vector<Entry> tensors_;
};

// Writes a model for llama.cpp: matrices in that type, vectors and the table of places in f32.
void write_gguf(Model& model, const std::string& type, const std::string& path);

// The name with each of its parts that stands in the list replaced.
std::string renamed(std::string name, std::span<const std::pair<const char*, const char*>> parts);

// What Family::gguf gives: the architecture's facts, and tensors by llama.cpp's names, matrices as (out, in).
struct GgufModel {
  std::string architecture;
  std::vector<std::pair<std::string, uint32_t>> numbers;  // without the architecture's name before them
  std::vector<std::pair<std::string, float>> fractions;
  NamedTensors tensors;
};

}  // namespace chapbook
