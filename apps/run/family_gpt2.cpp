// The family gpt2: its settings, and its files, which are those of GPT2LMHeadModel in Hugging Face's
// transformers. Names and layouts of tensors are the same here and there.
#include <cmath>

#include "apps/run/family.h"
#include "nn/gpt.h"

namespace chapbook {
namespace {

using Json = nlohmann::ordered_json;

GPTConfig of_settings(const Settings& settings) {
  return {.layers = settings.layers,
          .heads = settings.heads,
          .width = settings.width,
          .context = settings.context,
          .vocabulary = settings.vocabulary,
          .bias = settings.bias,
          .dropout = settings.dropout};
}

std::unique_ptr<LanguageModel> make(const Settings& settings, Backend& backend) {
  return std::make_unique<GPT>(of_settings(settings), backend);
}

ModelCosts costs(const Settings& settings, const Backend& backend) {
  const GPTConfig config = of_settings(settings);
  return {.parameters = parameter_count(config),
          .embeddings = (config.vocabulary + config.context) * config.width,
          .flops_per_token = training_flops_per_token(config),
          .activation_bytes = activation_bytes(config, settings.batch, settings.recompute,
                                               dtype_named(settings.precision), backend)};
}

Json config_json(const LanguageModel& model) {
  const GPTConfig& config = dynamic_cast<const GPT&>(model).config();
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
          {"chapbook_bias", config.bias}};
}

GPTConfig read_config(const ConfigFile& file) {
  // What a GPT-2 may be told to do otherwise, and we do not.
  file.only("activation_function", "gelu_new");
  file.only("scale_attn_weights", true);
  file.only("scale_attn_by_inverse_layer_idx", false);
  file.only("tie_word_embeddings", true);
  file.only("add_cross_attention", false);
  const double epsilon = file.number_or("layer_norm_epsilon", LayerNorm::epsilon);
  check(std::abs(epsilon - LayerNorm::epsilon) < 1e-9,
        "{}: 'layer_norm_epsilon' is {}; Chapbook only knows {}", file.path(), epsilon, LayerNorm::epsilon);
  GPTConfig config;
  config.layers = file.size("n_layer", 1 << 16);
  config.heads = file.size("n_head");
  config.width = file.size("n_embd", 1 << 16);
  config.context = file.size("n_positions");
  config.vocabulary = file.size("vocab_size");
  check(file.size_or("n_inner", 4 * config.width) == 4 * config.width, "{}: 'n_inner' is not 4 n_embd",
        file.path());
  config.bias = file.flag_or("chapbook_bias", true);
  config.dropout = file.number_or("resid_pdrop", 0);
  check(config.dropout >= 0 && config.dropout < 1, "{}: 'resid_pdrop' is {}", file.path(), config.dropout);
  return config;
}

// GPT-2 always has biases; a model without them is written with zeros, which compute the same.
NamedTensors to_file(LanguageModel& model) {
  const bool bias = dynamic_cast<const GPT&>(model).config().bias;
  NamedTensors tensors;
  for (const auto& [name, tensor] : state(model)) {
    tensors.emplace_back(name, tensor);
    if (bias || tensor.rank() > 2 || !name.ends_with(".weight") || name.find("wte") != std::string::npos ||
        name.find("wpe") != std::string::npos)
      continue;
    tensors.emplace_back(name.substr(0, name.size() - 6) + "bias",
                         Tensor::zeros({tensor.size(-1)}, DType::f32, tensor.backend()));
  }
  return tensors;
}

// The tensors of a GPT-2 file under the names a GPT has here: some files leave the prefix away, some hold the
// causal mask, and some hold the tied head a second time.
NamedTensors as_named_here(NamedTensors tensors, const GPTConfig& config) {
  NamedTensors result;
  for (auto& [name, tensor] : tensors) {
    const bool mask = name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
    const bool no_bias = !config.bias && name.ends_with(".bias");
    if (mask || no_bias || name == "lm_head.weight") continue;
    result.emplace_back(name.starts_with("transformer.") ? name : "transformer." + name, std::move(tensor));
  }
  return result;
}

std::unique_ptr<LanguageModel> open(const ConfigFile& file, NamedTensors tensors) {
  const GPTConfig config = read_config(file);
  return filled<GPT>(config, as_named_here(std::move(tensors), config), file);
}

}  // namespace

extern const Family gpt2_family;
const Family gpt2_family = {"gpt2", make, costs, config_json, to_file, open};

}  // namespace chapbook
