// A token as a text that JSON and people can have.
#pragma once
#include <string>

#include "data/bpe.h"

namespace chapbook {

// Its bytes where they are UTF-8, else as OpenAI writes them: "bytes:\xe2\x82".
std::string token_text(const Tokenizer& tokenizer, int32_t id);

}  // namespace chapbook
