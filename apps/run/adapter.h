// Ways of low rank (nn/adapt.h) on disk, as PEFT keeps them: adapter_config.json and
// adapter_model.safetensors, beside the model they belong to and not with it. PEFT opens what is written
// here, and what it wrote opens here.
#pragma once
#include <string>

#include "nn/language_model.h"

namespace chapbook {

// Writes the two files. `base` is where the model is found without them, seen from `directory`.
void save_adapter(LanguageModel& model, const std::string& base, const std::string& directory);

bool has_adapter(const std::string& directory);
// The directory of the model below: as the adapter's file names it, seen from there, or from here.
std::string base_of_adapter(const std::string& directory);
// Puts the ways in `directory` beside the products of the model below. Throws for kinds of adapters that
// Chapbook does not do, and for one of another model.
void load_adapter(LanguageModel& model, const std::string& directory);

}  // namespace chapbook
