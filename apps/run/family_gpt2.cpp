// The family gpt2: its settings, and its files, which are those of GPT2LMHeadModel in Hugging Face's
// transformers. Names and layouts of tensors are the same here and there.
#include <algorithm>
#include <cmath>

#include "apps/run/family.h"
#include "apps/run/gguf.h"
#include "nn/gpt.h"
#include "tensor/json.h"

namespace chapbook::gpt2 {
namespace {

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

void describe(const LanguageModel& model, Settings& settings) {
  const GPTConfig config = dynamic_cast<const GPT&>(model).config();
  settings.layers = config.layers, settings.heads = config.heads, settings.width = config.width;
  settings.context = config.context, settings.vocabulary = config.vocabulary;
  settings.bias = config.bias, settings.dropout = config.dropout;
}

Json config_json(const LanguageModel& model) {
  const GPTConfig config = dynamic_cast<const GPT&>(model).config();
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

GgufModel gguf(LanguageModel& model) {
  const GPTConfig config = dynamic_cast<const GPT&>(model).config();
  const auto number = [](int64_t value) { return static_cast<uint32_t>(value); };
  GgufModel file{.architecture = "gpt2",
                 .numbers = {{"context_length", number(config.context)},
                             {"embedding_length", number(config.width)},
                             {"feed_forward_length", number(4 * config.width)},
                             {"block_count", number(config.layers)},
                             {"attention.head_count", number(config.heads)}},
                 .fractions = {{"attention.layer_norm_epsilon", LayerNorm::epsilon}},
                 .tensors = {}};
  const std::pair<const char*, const char*> parts[] = {{"transformer.wte.", "token_embd."},
                                                       {"transformer.wpe.", "position_embd."},
                                                       {"transformer.ln_f.", "output_norm."},
                                                       {"transformer.h.", "blk."},
                                                       {".ln_1.", ".attn_norm."},
                                                       {".attn.c_attn.", ".attn_qkv."},
                                                       {".attn.c_proj.", ".attn_output."},
                                                       {".ln_2.", ".ffn_norm."},
                                                       {".mlp.c_fc.", ".ffn_up."},
                                                       {".mlp.c_proj.", ".ffn_down."}};
  for (auto& [name, tensor] : to_file(model)) {
    const bool turns = name.find(".c_") != std::string::npos && tensor.rank() == 2;
    file.tensors.emplace_back(renamed(name, parts), turns ? tensor.transpose(0, 1) : tensor);
  }
  return file;
}

bool all_zero(const Tensor& x) {
  const std::vector<float> numbers = x.to(DType::f32).to_vector<float>();
  return std::all_of(numbers.begin(), numbers.end(), [](float number) { return number == 0; });
}

// The tensors of a GPT-2 file under the names a GPT has here: some files leave the prefix away, and some hold
// the tied head a second time. What we wrote for a model without biases has zeros for them; where they are no
// longer, as another program has trained on, the model has biases from now on.
NamedTensors as_named_here(NamedTensors tensors, GPTConfig& config, const std::string& path) {
  const auto is_bias = [](const std::string& name) { return name.ends_with(".bias"); };
  for (const auto& [name, tensor] : tensors)
    config.bias = config.bias || (is_bias(name) && !all_zero(tensor));
  take_tied_head(tensors, "wte.weight", path);
  NamedTensors result;
  for (auto& [name, tensor] : tensors)
    if (config.bias || !is_bias(name))
      result.emplace_back(name.starts_with("transformer.") ? name : "transformer." + name, std::move(tensor));
  return result;
}

std::unique_ptr<LanguageModel> open(const ConfigFile& file, NamedTensors tensors) {
  GPTConfig config = read_config(file);
  const NamedTensors named = as_named_here(std::move(tensors), config, file.path());
  return filled<GPT>(config, named, file);
}

// Some files hold them, in whatever dtype.
constexpr std::string_view causal_masks[] = {".attn.bias", ".attn.masked_bias"};

}  // namespace

extern const Family family;
const Family family = {.name = "gpt2",
                       .usual = "bias=true",
                       .matrices_in_out = true,
                       .tables = {"transformer.wte.weight"},
                       .attention = "attn",
                       .passed_over = causal_masks,
                       .make = make,
                       .costs = costs,
                       .describe = describe,
                       .config = config_json,
                       .to_file = to_file,
                       .gguf = gguf,
                       .open = open};

}  // namespace chapbook::gpt2
