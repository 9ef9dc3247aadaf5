#include "apps/run/model_directory.h"

#include <filesystem>

#include "apps/run/family.h"
#include "data/tokenizer_file.h"
#include "tensor/files.h"
#include "tensor/safetensors.h"

namespace chapbook {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

void save_model(LanguageModel& model, const Tokenizer& tokenizer, const std::string& directory) {
  const Family& its = family(model.family());
  const int32_t end = tokenizer.end_of_text();
  Json config = its.config(model);
  config.update({{"bos_token_id", end}, {"eos_token_id", end}, {"dtype", "float32"}});
  write_file(directory + "/config.json", config.dump(2) + "\n");
  const Json generation = {{"bos_token_id", end}, {"eos_token_id", end}, {"do_sample", true}};
  write_file(directory + "/generation_config.json", generation.dump(2) + "\n");
  save_tensors(directory + "/model.safetensors", its.to_file(model), {{"format", "pt"}});
  save_tokenizer(tokenizer, directory);
}

// The file of weights; where there is another kind only, one line says what to do with it.
static std::string weights_in(const std::string& directory) {
  const std::string path = directory + "/model.safetensors";
  if (fs::exists(path)) return path;
  const auto there = [&](const char* name) { return fs::exists(directory + "/" + name); };
  check(!there("model.safetensors.index.json"),
        "{}: its weights are in several files, and Chapbook reads one; transformers writes it with "
        "save_pretrained(..., max_shard_size=\"100GB\")",
        directory);
  check(!there("pytorch_model.bin") && !there("pytorch_model.bin.index.json"),
        "{}: its weights are in pytorch_model.bin, and Chapbook reads model.safetensors; transformers writes "
        "that "
        "with save_pretrained()",
        directory);
  fail("{}: has no model.safetensors, the model's weights", directory);
}

// What ends a text, as transformers finds it: generation_config.json says, or else config.json.
static std::vector<int32_t> ends_in(const std::string& directory, int64_t vocabulary) {
  for (const char* name : {"/generation_config.json", "/config.json"}) {
    const std::string path = directory + name;
    if (!fs::exists(path)) continue;
    const Json ids = ConfigFile(path).json().value("eos_token_id", Json());
    if (ids.is_null()) continue;
    std::vector<int32_t> ends;
    for (const Json& id : ids.is_array() ? ids : Json::array({ids})) {
      check(id.is_number_integer() && id >= 0 && id < vocabulary,
            "{}: 'eos_token_id' is {}, not a token's id", path, ids.dump());
      ends.push_back(id.get<int32_t>());
    }
    return ends;
  }
  return {};
}

// Some files of GPT-2 hold the causal mask, in whatever dtype.
static bool is_no_mask(const std::string& name) {
  return !name.ends_with(".attn.bias") && !name.ends_with(".attn.masked_bias");
}

std::unique_ptr<LanguageModel> load_network(const std::string& directory) {
  const ConfigFile config(directory + "/config.json");
  return family(config).open(config,
                             load_tensors(weights_in(directory), default_backend(), is_no_mask).tensors);
}

std::string model_directory(const std::string& path) {
  for (const std::string& candidate : {path, path + "/best", path + "/last"})
    if (const std::string directory = whole_directory(candidate); fs::exists(directory + "/config.json"))
      return directory;
  check(fs::exists(path), "there is no '{}'", path);
  fail("'{}' is no model and no run: it has no config.json, and neither has a 'best' or 'last' inside", path);
}

Model load_model(const std::string& path) {
  const std::string directory = model_directory(path);
  Tokenizer tokenizer = load_tokenizer(directory);
  std::unique_ptr<LanguageModel> network = load_network(directory);
  check(tokenizer.vocabulary_size() <= network->vocabulary(),
        "{}: the tokenizer has {} tokens, the model only {}", directory, tokenizer.vocabulary_size(),
        network->vocabulary());
  std::vector<int32_t> ends = ends_in(directory, network->vocabulary());
  return {std::move(network), std::move(tokenizer), std::move(ends)};
}

}  // namespace chapbook
