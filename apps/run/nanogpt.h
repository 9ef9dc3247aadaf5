// nanoGPT's checkpoints (https://github.com/karpathy/nanoGPT): out/ckpt.pt, which opens as a model of the
// family gpt2. A tokenizer does not come with it: GPT-2's vocab.json and merges.txt are put beside it.
#pragma once
#include <memory>
#include <string>

#include "nn/language_model.h"

namespace chapbook {

bool has_nanogpt(const std::string& directory);
std::unique_ptr<LanguageModel> load_nanogpt(const std::string& directory);

}  // namespace chapbook
