// safetensors: named tensors in a file (https://github.com/huggingface/safetensors). Eight bytes of header
// length (little-endian), a JSON header of names, dtypes, shapes and places, the numbers. Reading is strict:
// every malformed file is one clear Error.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace chapbook {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

struct TensorFile {
  NamedTensors tensors;                         // in the order of the header
  std::map<std::string, std::string> metadata;  // free text, as in {"format": "pt"}
};

// Reads all tensors; beside them it needs memory for the header and a few megabytes. Throws naming `path`
// when there is no such file, when it is cut short or in any way not what the format asks for, and when a
// tensor has a dtype or rank that a Tensor cannot have.
// What is not `wanted` is passed over, whatever its dtype.
TensorFile load_tensors(
    const std::string& path, Backend& backend = default_backend(),
    const std::function<bool(const std::string& name)>& wanted = [](const std::string&) { return true; });

// Writes the file in that order; it is there whole or, after a failure (a full disk), as it was before. Names
// must differ.
void save_tensors(const std::string& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata = {});

}  // namespace chapbook
