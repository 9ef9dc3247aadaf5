#include "apps/run/model_directory.h"

#include <algorithm>
#include <cstring>
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
                           {"do_sample", true}};
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

// Some files hold the causal mask, in whatever dtype.
static bool is_mask(const std::string& name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
}

static bool all_zero(const Tensor& x) {
  const std::vector<float> numbers = x.to(DType::f32).to_vector<float>();
  return std::all_of(numbers.begin(), numbers.end(), [](float number) { return number == 0; });
}

static bool same_bytes(const Tensor& x, const Tensor& y) {
  if (x.shape() != y.shape()) return false;
  const std::vector<float> a = x.to(DType::f32).to_vector<float>(), b = y.to(DType::f32).to_vector<float>();
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The tensors of a GPT-2 file under the names a GPT has here: some files leave the prefix away, and some hold
// the tied head a second time. What we wrote for a model without biases has zeros for them; where they are no
// longer, as another program has trained on, the model has biases from now on.
static NamedTensors as_named_here(NamedTensors tensors, GPTConfig& config, const std::string& path) {
  const auto is_bias = [](const std::string& name) { return name.ends_with(".bias"); };
  for (const auto& [name, tensor] : tensors)
    config.bias = config.bias || (is_bias(name) && !all_zero(tensor));
  NamedTensors result;
  Tensor head, table;
  for (auto& [name, tensor] : tensors) {
    if (name.ends_with("wte.weight")) table = tensor;
    if (name == "lm_head.weight")
      head = tensor;
    else if (config.bias || !is_bias(name))
      result.emplace_back(name.starts_with("transformer.") ? name : "transformer." + name, std::move(tensor));
  }
  check(!head || !table || same_bytes(head, table),
        "{}: 'lm_head.weight' is not the table of tokens 'wte.weight', but here a GPT-2's head is that table",
        path);
  return result;
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
    const Json config = Json::parse(read_file(path), shallow, false);
    check(config.is_object(), "{}: not a JSON object", path);
    if (!config.contains("eos_token_id") || config["eos_token_id"].is_null()) continue;
    const Json& ids = config["eos_token_id"];
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
  GPTConfig config = read_config(directory + "/config.json");
  const std::string path = weights_in(directory);
  const auto wanted = [](const std::string& name) { return !is_mask(name); };
  const NamedTensors tensors =
      as_named_here(load_tensors(path, default_backend(), wanted).tensors, config, path);
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

Model load_model(const std::string& path) {
  const std::string directory = model_directory(path);
  Tokenizer tokenizer = load_tokenizer(directory);
  std::unique_ptr<GPT> gpt = load_gpt(directory);
  check(tokenizer.vocabulary_size() <= gpt->config().vocabulary,
        "{}: the tokenizer has {} tokens, the model only {}", directory, tokenizer.vocabulary_size(),
        gpt->config().vocabulary);
  std::vector<int32_t> ends = ends_in(directory, gpt->config().vocabulary);
  return {std::move(gpt), std::move(tokenizer), std::move(ends)};
}

}  // namespace chapbook
