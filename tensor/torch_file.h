// Files that torch.save writes: a zip archive of a pickle, and of the numbers of its tensors. A pickle is a
// program; here only what makes dictionaries, lists, numbers, texts and tensors is obeyed, and all else is
// refused by its name, so that a file from anywhere can be looked at.
#pragma once
#include <functional>
#include <string>

#include "tensor/json.h"
#include "tensor/safetensors.h"

namespace chapbook {

struct TorchFile {
  Json values;           // where a tensor stands, null
  NamedTensors tensors;  // named by their keys, as "model.transformer.wte.weight"
};

// Of the tensors, only the `wanted`. Throws one line naming `path` for what is not such a file, is damaged,
// or holds what Chapbook does not know.
TorchFile load_torch(const std::string& path, Backend& backend,
                     const std::function<bool(const std::string& name)>& wanted);

}  // namespace chapbook
