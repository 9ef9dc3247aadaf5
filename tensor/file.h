// safetensors: named tensors in a file (https://github.com/huggingface/safetensors). Eight bytes of header
// length, a JSON header, the numbers. Reading is strict: every malformed header is one clear Error, never a
// crash.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace chapbook {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;  // in the order of the file

struct TensorFile {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;
};

TensorFile load_tensors(const std::string& path, Backend& backend = default_backend());

// Writes and syncs the file; throws when the disk is full. Names must differ.
void save_tensors(const std::string& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata = {});

}  // namespace chapbook
