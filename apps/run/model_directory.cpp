#include "apps/run/model_directory.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "apps/run/adapter.h"
#include "apps/run/family.h"
#include "apps/run/nanogpt.h"
#include "data/tokenizer_file.h"
#include "nn/adapt.h"
#include "tensor/files.h"
#include "tensor/json.h"
#include "tensor/safetensors.h"

namespace chapbook {

namespace fs = std::filesystem;

void save_model(LanguageModel& model, const Tokenizer& tokenizer, const std::string& directory,
                const std::vector<int32_t>& ends, bool after_end) {
  check(!model.packed(), "{}: a model whose weights are packed is not saved; it is a rounded copy",
        directory);
  const int32_t end = tokenizer.end_of_text();
  const Json eos = ends.empty() ? Json(end) : ends.size() == 1 ? Json(ends[0]) : Json(ends);
  if (has_low_rank(model)) {
    save_adapter(model, "../base", directory);
  } else {
    const Family& its = family(model.family());
    Json config = its.config(model);
    config.update({{"bos_token_id", end}, {"eos_token_id", eos}, {"dtype", "float32"}});
    write_file(directory + "/config.json", config.dump(2) + "\n");
    save_tensors(directory + "/model.safetensors", its.to_file(model), {{"format", "pt"}});
  }
  const Json generation = {
      {"bos_token_id", end}, {"eos_token_id", eos}, {"do_sample", true}, {"chapbook_after_end", after_end}};
  write_file(directory + "/generation_config.json", generation.dump(2) + "\n");
  save_tokenizer(tokenizer, directory);
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

// Of one file, or of the several that an index names: {"weight_map": {tensor: file}}. Where there is another
// kind only, one line says what to do with it.
static NamedTensors load_weights(const std::string& directory, const Family& its) {
  const std::string whole = directory + "/model.safetensors", index = whole + ".index.json";
  const auto is_weight = [&](const std::string& name) {
    return std::ranges::none_of(its.passed_over, [&](std::string_view end) { return name.ends_with(end); });
  };
  const auto read = [&](const std::string& path) {
    return load_tensors(path, default_backend(), is_weight).tensors;
  };
  if (fs::exists(whole)) return read(whole);
  const auto there = [&](const char* name) { return fs::exists(directory + "/" + name); };
  check(fs::exists(index) || !(there("pytorch_model.bin") || there("pytorch_model.bin.index.json")),
        "{}: its weights are in pytorch_model.bin, and Chapbook reads model.safetensors; transformers writes "
        "that with save_pretrained()",
        directory);
  check(fs::exists(index), "{}: has no model.safetensors, the model's weights", directory);

  const Json map = ConfigFile(index).json().value("weight_map", Json());
  check(map.is_object() && !map.empty(), "{}: no \"weight_map\" of tensors and their files", index);
  std::set<std::string> files;
  size_t named = 0;
  for (const auto& [name, file] : map.items()) {
    check(file.is_string() && file == fs::path(file.get<std::string>()).filename().string(),
          "{}: the file of {} is {}, not a name in this directory", index, name, file.dump());
    files.insert(file.get<std::string>());
    named += is_weight(name);
  }
  NamedTensors all;
  for (const std::string& file : files)
    for (auto& [name, tensor] : read(directory + "/" + file)) {
      check(map.value(name, Json()) == file, "{}: {} has a tensor {} that stands elsewhere in the index",
            index, file, name);
      all.emplace_back(name, std::move(tensor));
    }
  check(all.size() == named, "{}: names {} tensors, but its files hold {}", index, named, all.size());
  return all;
}

std::unique_ptr<LanguageModel> load_network(const std::string& directory) {
  if (has_adapter(directory)) {
    const std::string below = base_of_adapter(directory);
    check(!has_adapter(below), "{}: an adapter of an adapter; export the one below first", directory);
    std::unique_ptr<LanguageModel> model = load_network(below);
    load_adapter(*model, directory);
    return model;
  }
  if (has_nanogpt(directory)) return load_nanogpt(directory);
  const ConfigFile config(directory + "/config.json");
  const Family& its = family(config);
  return its.open(config, load_weights(directory, its));
}

std::string model_directory(const std::string& path) {
  for (const std::string& candidate : {path, path + "/best", path + "/last"})
    if (const std::string directory = whole_directory(candidate);
        fs::exists(directory + "/config.json") || has_adapter(directory) || has_nanogpt(directory))
      return directory;
  check(fs::exists(path), "there is no '{}'", path);
  fail("'{}' is no model and no run: it has no config.json, and neither has a 'best' or 'last' inside", path);
}

// What a text is put after is a property of the model. Where a GPT-2 from elsewhere says nothing, it is given
// what its tokenizer makes of a text.
static bool begins_after_end(const std::string& directory) {
  const std::string path = directory + "/generation_config.json";
  return fs::exists(path) && ConfigFile(path).flag_or("chapbook_after_end", false);
}

Model load_model(const std::string& path) {
  const std::string directory = model_directory(path);
  // An adapter from elsewhere mostly comes without a tokenizer.
  const bool without = has_adapter(directory) && !fs::exists(directory + "/tokenizer.json");
  const std::string texts = without ? base_of_adapter(directory) : directory;
  check(!has_nanogpt(directory) || fs::exists(texts + "/tokenizer.json") || fs::exists(texts + "/vocab.json"),
        "{}: nanoGPT keeps no tokenizer beside its checkpoint; put GPT-2's vocab.json and merges.txt there",
        directory);
  Tokenizer tokenizer = load_tokenizer(texts);
  std::unique_ptr<LanguageModel> network = load_network(directory);
  check(tokenizer.vocabulary_size() <= network->vocabulary(),
        "{}: the tokenizer has {} tokens, the model only {}", directory, tokenizer.vocabulary_size(),
        network->vocabulary());
  std::vector<int32_t> ends = ends_in(texts, network->vocabulary());
  return {std::move(network), std::move(tokenizer), std::move(ends), begins_after_end(texts)};
}

}  // namespace chapbook
