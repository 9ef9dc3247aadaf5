// Texts that are questions with answers: which tokens are to be learned, and which are only read.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/loader.h"

namespace chapbook {

// Of each token whether it is part of an answer: those of a story after the first `marker` in it, its end
// with them. Stories end with `end`. Throws where no story has the marker.
std::vector<bool> answers(TokenIds tokens, std::span<const int32_t> marker, int32_t end);

}  // namespace chapbook
