#include "apps/run/model_directory.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/tokenizer_file.h"
#include "tensor/files.h"
#include "tensor/json.h"
#include "tensor/safetensors.h"

namespace chapbook {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

static Json config_json(const GPTConfig& config, const Tokenizer& tokenizer) {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"n_layer", config.layers},
          {"n_head", config.heads},
          {"n_embd", config.width},
          {"n_positions", config.context},
          {"n_ctx", config.context},
          {"n_inner", nullptr},
          {"vocab_size", config.vocabulary},
          {"activation_function", "gelu_new"},
          {"layer_norm_epsilon", LayerNorm::epsilon},
          {"initializer_range", 0.02},
          {"embd_pdrop", config.dropout},
          {"resid_pdrop", config.dropout},
          {"attn_pdrop", 0.0},
          {"scale_attn_weights", true},
          {"tie_word_embeddings", true},
          {"bos_token_id", tokenizer.end_of_text()},
          {"eos_token_id", tokenizer.end_of_text()},
          {"dtype", "float32"},
          {"chapbook_bias", config.bias}};
}

// GPT-2 always has biases; a model without them is written with zeros, which compute the same.
static NamedTensors with_biases(GPT& gpt) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : state(gpt)) {
    tensors.emplace_back(name, tensor);
    if (gpt.config().bias || tensor.rank() > 2 || !name.ends_with(".weight") ||
        name.find("wte") != std::string::npos || name.find("wpe") != std::string::npos)
      continue;
    tensors.emplace_back(name.substr(0, name.size() - 6) + "bias",
                         Tensor::zeros({tensor.size(-1)}, DType::f32, tensor.backend()));
  }
  return tensors;
}

void save_model(GPT& gpt, const Tokenizer& tokenizer, const std::string& directory) {
  write_file(directory + "/config.json", config_json(gpt.config(), tokenizer).dump(2) + "\n");
  const Json generation = {{"bos_token_id", tokenizer.end_of_text()},
                           {"eos_token_id", tokenizer.end_of_text()},
                           {"do_sample", true},
                           {"chapbook_after_end", true}};
  write_file(directory + "/generation_config.json", generation.dump(2) + "\n");
  save_tensors(directory + "/model.safetensors", with_biases(gpt), {{"format", "pt"}});
  save_tokenizer(tokenizer, directory);
}

// A whole number above 0 of config.json.
static int64_t size_in(const Json& config, const char* name, const std::string& path) {
  check(config.contains(name) && config[name].is_number_integer(), "{}: no whole number '{}'", path, name);
  const int64_t size = config[name].get<int64_t>();
  check(size > 0 && size <= 1 << 24, "{}: '{}' is {}", path, name, size);
  return size;
}

static GPTConfig read_config(const std::string& path) {
  const Json config = Json::parse(read_file(path), shallow, false);
  check(config.is_object(), "{}: not a JSON object", path);
  // What a GPT-2 may be told to do otherwise, and we do not.
  const Json fixed = {{"model_type", "gpt2"},        {"activation_function", "gelu_new"},
                      {"scale_attn_weights", true},  {"scale_attn_by_inverse_layer_idx", false},
                      {"tie_word_embeddings", true}, {"add_cross_attention", false}};
  check(config.contains("model_type"), "{}: no 'model_type'; is this a model's config?", path);
  for (const auto& [name, value] : fixed.items())
    if (config.contains(name) && config[name] != value)
      fail("{}: '{}' is {}; Chapbook only knows {}", path, name, config[name].dump(), value.dump());
  GPTConfig result;
  result.layers = size_in(config, "n_layer", path);
  result.heads = size_in(config, "n_head", path);
  result.width = size_in(config, "n_embd", path);
  result.context = size_in(config, "n_positions", path);
  result.vocabulary = size_in(config, "vocab_size", path);
  const auto number_or = [&](const char* name, double otherwise) {
    return config.contains(name) && config[name].is_number() ? config[name].get<double>() : otherwise;
  };
  check(std::abs(number_or("layer_norm_epsilon", LayerNorm::epsilon) - LayerNorm::epsilon) < 1e-9,
        "{}: 'layer_norm_epsilon' is {}; Chapbook only knows {}", path, number_or("layer_norm_epsilon", 0),
        LayerNorm::epsilon);
  check(number_or("n_inner", 4 * result.width) == 4 * result.width, "{}: 'n_inner' is not 4 n_embd", path);
  result.bias = !config.contains("chapbook_bias") || config["chapbook_bias"] != false;
  result.dropout = number_or("resid_pdrop", 0);
  check(result.dropout >= 0 && result.dropout < 1, "{}: 'resid_pdrop' is {}", path, result.dropout);
  return result;
}

// The tensors of a GPT-2 file under the names a GPT has here: some files leave the prefix away, some hold the
// causal mask, and some hold the tied head a second time.
static NamedTensors as_named_here(NamedTensors tensors, const GPTConfig& config) {
  NamedTensors result;
  for (auto& [name, tensor] : tensors) {
    const bool mask = name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
    const bool no_bias = !config.bias && name.ends_with(".bias");
    if (mask || no_bias || name == "lm_head.weight") continue;
    result.emplace_back(name.starts_with("transformer.") ? name : "transformer." + name, std::move(tensor));
  }
  return result;
}

// A model that is larger than its file is refused before memory is taken for it.
static void check_size(const GPTConfig& config, const NamedTensors& tensors, const std::string& path) {
  double there = 0;
  for (const auto& [name, tensor] : tensors) there += static_cast<double>(tensor.count());
  const double layers = config.layers, width = config.width, rows = config.vocabulary + config.context;
  const double weights = (rows + 12 * layers * width) * width;  // biases and norms aside
  check(weights <= there, "{}: holds {:.0f} numbers, but config.json is of a model of more than {:.0f}", path,
        there, weights);
}

std::unique_ptr<GPT> load_gpt(const std::string& directory) {
  const GPTConfig config = read_config(directory + "/config.json");
  const std::string path = directory + "/model.safetensors";
  const NamedTensors tensors = as_named_here(load_tensors(path).tensors, config);
  check_size(config, tensors, path);
  try {
    auto gpt = std::make_unique<GPT>(config);
    load(*gpt, tensors);
    return gpt;
  } catch (const Error& error) {
    fail("{}: {}", path, error.what());
  }
}

std::string model_directory(const std::string& path) {
  for (const std::string& candidate : {path, path + "/best", path + "/last"})
    if (const std::string directory = whole_directory(candidate); fs::exists(directory + "/config.json"))
      return directory;
  check(fs::exists(path), "there is no '{}'", path);
  fail("'{}' is no model and no run: it has no config.json, and neither has a 'best' or 'last' inside", path);
}

// What a text is put after is a property of the model. Where a GPT-2 from elsewhere says nothing, it is given
// what its tokenizer makes of a text.
static bool begins_after_end(const std::string& directory) {
  const std::string path = directory + "/generation_config.json";
  if (!fs::exists(path)) return false;
  const Json generation = Json::parse(read_file(path), shallow, false);
  check(generation.is_object(), "{}: not a JSON object", path);
  return generation.contains("chapbook_after_end") && generation["chapbook_after_end"] == true;
}

Model load_model(const std::string& path) {
  const std::string directory = model_directory(path);
  Tokenizer tokenizer = load_tokenizer(directory);
  std::unique_ptr<GPT> gpt = load_gpt(directory);
  check(tokenizer.vocabulary_size() <= gpt->config().vocabulary,
        "{}: the tokenizer has {} tokens, the model only {}", directory, tokenizer.vocabulary_size(),
        gpt->config().vocabulary);
  return {std::move(gpt), std::move(tokenizer), begins_after_end(directory)};
}

}  // namespace chapbook
