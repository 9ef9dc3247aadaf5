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

std::unique_ptr<LanguageModel> load_network(const std::string& directory) {
  const ConfigFile config(directory + "/config.json");
  return family(config).open(config, load_tensors(directory + "/model.safetensors").tensors);
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
  return {std::move(network), std::move(tokenizer)};
}

}  // namespace chapbook
