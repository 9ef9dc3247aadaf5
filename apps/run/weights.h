// The weights of a model that is asked and does not learn, in fewer bits: --weights.
#pragma once
#include <string>
#include <string_view>

#include "nn/language_model.h"

namespace chapbook {

// "f32": as they are; "bf16", "int8": packed (LanguageModel::pack_weights). Gives what was chosen in one
// line: how they lie, how much of them a token reads, what multiplies with them and why that. Throws for
// another name, and where the backend has no products of its own for them.
std::string choose_weights(LanguageModel& model, std::string_view name);

}  // namespace chapbook
