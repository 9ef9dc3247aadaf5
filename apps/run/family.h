// The families of models: what each makes of a run's settings, and how it lies in Hugging Face's files. All
// else knows a LanguageModel. A new family is its model in nn/, a file like family_gpt2.cpp, and its name in
// family.cpp.
#pragma once
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/run/config_file.h"
#include "apps/run/settings.h"
#include "nn/language_model.h"
#include "tensor/json.h"

namespace chapbook {

struct GgufModel;  // apps/run/gguf.h

// What training a model costs, counted from its sizes before there is one.
struct ModelCosts {
  int64_t parameters, embeddings;  // of which in embeddings, the head's table with them
  double flops_per_token;          // forward and backward
  int64_t activation_bytes;        // of a batch, see activation_bytes() in nn/gpt.h
};

struct Family {
  const char* name;                        // the setting `family`, and config.json's "model_type"
  const char* usual;                       // a setting that choosing the family sets, as name=value
  bool matrices_in_out;                    // so they lie in its files; else (out, in), as PyTorch has them
  std::array<std::string_view, 2> tables;  // tensors of its files that have a row for each token
  std::string_view attention;              // the part of a block that looks at other places, by its name
  std::span<const std::string_view> own_settings = {};  // those of its own, which other families refuse
  std::span<const std::string_view> no_faults = {};     // of faults.h, those in parts that it has not
  std::span<const std::string_view> passed_over = {};   // how names of tensors end that are no weights

  void (*check)(const Settings& settings) = [](const Settings&) {};  // throws for sizes that cannot be
  // A model of these sizes, whose numbers are yet to be drawn or read.
  std::unique_ptr<LanguageModel> (*make)(const Settings& settings, Backend& backend);
  ModelCosts (*costs)(const Settings& settings, const Backend& backend);
  // The settings of a model that is there, as far as settings can say them.
  void (*describe)(const LanguageModel& model, Settings& settings);

  // Files: the model's config.json, without what only the tokenizer knows, and its tensors as
  // model.safetensors has them.
  Json (*config)(const LanguageModel& model);
  NamedTensors (*to_file)(LanguageModel& model);
  GgufModel (*gguf)(LanguageModel& model);  // for llama.cpp
  // And back. Throws for what config.json asks for and Chapbook does not do.
  std::unique_ptr<LanguageModel> (*open)(const ConfigFile& config, NamedTensors tensors);
};

const std::vector<Family>& families();
std::vector<std::string> family_names();
const Family& family(std::string_view name);     // throws and lists the names there are
const Family& family(const ConfigFile& config);  // by its "model_type"

std::string family_unless_usual(const Settings& settings);  // "llama, ", for a line that says what a model is

std::unique_ptr<LanguageModel> make_model(const Settings& settings, Backend& backend = default_backend());
ModelCosts model_costs(const Settings& settings, const Backend& backend = default_backend());

// For Family::open: takes away the head of a file that holds it although it is the table of tokens, whose
// name ends in `table`. Throws where it is another.
void take_tied_head(NamedTensors& tensors, std::string_view table, const std::string& path);

// For Family::open: a model with the numbers of its file. One that is larger than the file is refused before
// memory is taken for it.
template <class Model, class Config>
std::unique_ptr<LanguageModel> filled(const Config& config, const NamedTensors& tensors,
                                      const ConfigFile& file) {
  int64_t there = 0;
  for (const auto& [name, tensor] : tensors) there += tensor.count();
  const int64_t wanted = parameter_count(config);
  check(wanted <= there, "{}: describes a model of {} numbers, but there are only {}", file.path(), wanted,
        there);
  try {
    auto model = std::make_unique<Model>(config);
    load(*model, tensors);
    return model;
  } catch (const Error& error) {
    fail("{}: {}", file.path(), error.what());
  }
}

}  // namespace chapbook
