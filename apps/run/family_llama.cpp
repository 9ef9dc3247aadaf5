// The family llama: its settings, and its files, which are those of LlamaForCausalLM in Hugging Face's
// transformers. Names of tensors are the same here and there; matrices lie as (out, in) there.
#include "apps/run/family.h"
#include "apps/run/gguf.h"
#include "nn/llama.h"
#include "tensor/json.h"

namespace chapbook::llama {
namespace {

LlamaConfig of_settings(const Settings& settings) {
  LlamaConfig config{.layers = settings.layers,
                     .heads = settings.heads,
                     .key_heads = settings.key_heads == 0 ? settings.heads : settings.key_heads,
                     .width = settings.width,
                     .head_width = settings.width / settings.heads,
                     .inner = settings.inner,
                     .context = settings.context,
                     .vocabulary = settings.vocabulary,
                     .attention_bias = settings.bias,
                     .mlp_bias = settings.bias,
                     .tied = settings.tied,
                     .rope_theta = settings.rope_theta,
                     .dropout = settings.dropout};
  // Three matrices then hold as many numbers as a GPT's two, 8 C^2.
  if (config.inner == 0) config.inner = (8 * config.width / 3 + 31) / 32 * 32;
  return config;
}

void check_sizes(const Settings& settings) {
  const LlamaConfig config = of_settings(settings);
  check(config.heads % config.key_heads == 0, "key_heads ({}) must divide heads ({})", config.key_heads,
        config.heads);
  check(config.head_width % 2 == 0, "family llama: width / heads is {}; it must be even to be turned",
        config.head_width);
}

std::unique_ptr<LanguageModel> make(const Settings& settings, Backend& backend) {
  return std::make_unique<Llama>(of_settings(settings), backend);
}

ModelCosts costs(const Settings& settings, const Backend& backend) {
  const LlamaConfig config = of_settings(settings);
  return {.parameters = parameter_count(config),
          .embeddings = (config.tied ? 1 : 2) * config.vocabulary * config.width,
          .flops_per_token = training_flops_per_token(config),
          .activation_bytes = activation_bytes(config, settings.batch, settings.recompute,
                                               dtype_named(settings.precision), backend)};
}

void describe(const LanguageModel& model, Settings& settings) {
  const LlamaConfig config = dynamic_cast<const Llama&>(model).config();
  settings.layers = config.layers, settings.heads = config.heads, settings.width = config.width;
  settings.key_heads = config.key_heads, settings.inner = config.inner, settings.tied = config.tied;
  settings.context = config.context, settings.vocabulary = config.vocabulary;
  settings.bias = config.attention_bias, settings.dropout = config.dropout;
  settings.rope_theta = config.rope_theta;
}

Json config_json(const LanguageModel& model) {
  const LlamaConfig config = dynamic_cast<const Llama&>(model).config();
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"num_hidden_layers", config.layers},
          {"num_attention_heads", config.heads},
          {"num_key_value_heads", config.key_heads},
          {"hidden_size", config.width},
          {"head_dim", config.head_width},
          {"intermediate_size", config.inner},
          {"max_position_embeddings", config.context},
          {"vocab_size", config.vocabulary},
          {"hidden_act", "silu"},
          {"rms_norm_eps", config.norm_epsilon},
          // transformers 4 reads the one, 5 the other.
          {"rope_theta", config.rope_theta},
          {"rope_parameters", {{"rope_theta", config.rope_theta}, {"rope_type", "default"}}},
          {"attention_bias", config.attention_bias},
          {"mlp_bias", config.mlp_bias},
          {"attention_dropout", 0.0},
          {"initializer_range", 0.02},
          {"tie_word_embeddings", config.tied},
          {"chapbook_dropout", config.dropout}};
}

// The base of the angles. Other ways to stretch them over long texts are refused by their name.
double rope_theta(const ConfigFile& file) {
  double theta = file.number_or("rope_theta", 10000);
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const Json rope = file.json().value(name, Json());
    if (rope.is_null()) continue;
    check(rope.is_object(), "{}: '{}' is {}, not an object", file.path(), name, rope.dump());
    for (const auto& [key, value] : rope.items()) {
      const bool known = ((key == "rope_type" || key == "type") && value == "default") ||
                         (key == "partial_rotary_factor" && value == 1) ||
                         (key == "rope_theta" && value.is_number());
      check(known, "{}: '{}' has \"{}\": {}; Chapbook only knows angles of the default type", file.path(),
            name, key, value.dump());
      if (key == "rope_theta") theta = value.get<double>();
    }
  }
  check(theta > 1, "{}: 'rope_theta' is {}; it must be more than 1", file.path(), theta);
  return theta;
}

LlamaConfig read_config(const ConfigFile& file) {
  file.only("hidden_act", "silu");
  file.only("quantization_config", nullptr);
  LlamaConfig config;
  config.layers = file.size("num_hidden_layers", 1 << 16);
  config.heads = file.size("num_attention_heads", 1 << 16);
  config.key_heads = file.size_or("num_key_value_heads", config.heads, 1 << 16);
  config.width = file.size("hidden_size", 1 << 16);
  config.head_width = file.size_or("head_dim", std::max<int64_t>(1, config.width / config.heads), 1 << 10);
  config.inner = file.size("intermediate_size", 1 << 20);
  config.context = file.size("max_position_embeddings");
  config.vocabulary = file.size("vocab_size");
  config.attention_bias = file.flag_or("attention_bias", false);
  config.mlp_bias = file.flag_or("mlp_bias", false);
  config.tied = file.flag_or("tie_word_embeddings", false);
  config.norm_epsilon = file.number_or("rms_norm_eps", 1e-6);
  check(config.norm_epsilon > 0 && config.norm_epsilon < 1, "{}: 'rms_norm_eps' is {}", file.path(),
        config.norm_epsilon);
  config.rope_theta = rope_theta(file);
  config.dropout = file.number_or("chapbook_dropout", 0);
  check(config.dropout >= 0 && config.dropout < 1, "{}: 'chapbook_dropout' is {}", file.path(),
        config.dropout);
  return config;
}

// Between our matrices, (in, out), and those of the file. Tables of embeddings and the head's lie alike.
Tensor turned(const std::string& name, const Tensor& tensor) {
  return name.ends_with("_proj.weight") && tensor.rank() == 2 ? tensor.transpose(0, 1) : tensor;
}

NamedTensors to_file(LanguageModel& model) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : state(model)) tensors.emplace_back(name, turned(name, tensor));
  return tensors;
}

// llama.cpp turns neighbours, transformers and we numbers half a head apart: rows of queries and keys change
// places.
Tensor with_neighbours(const Tensor& tensor, int64_t heads) {
  const int64_t rows = tensor.size(0);
  const Tensor apart = tensor.reshape({heads, 2, rows / heads / 2, tensor.count() / rows});
  return apart.transpose(1, 2).as_contiguous().reshape(tensor.shape());
}

GgufModel gguf(LanguageModel& model) {
  const LlamaConfig config = dynamic_cast<const Llama&>(model).config();
  const auto number = [](int64_t value) { return static_cast<uint32_t>(value); };
  GgufModel file{.architecture = "llama",
                 .numbers = {{"context_length", number(config.context)},
                             {"embedding_length", number(config.width)},
                             {"feed_forward_length", number(config.inner)},
                             {"block_count", number(config.layers)},
                             {"attention.head_count", number(config.heads)},
                             {"attention.head_count_kv", number(config.key_heads)},
                             {"attention.key_length", number(config.head_width)},
                             {"attention.value_length", number(config.head_width)},
                             {"rope.dimension_count", number(config.head_width)},
                             {"vocab_size", number(config.vocabulary)}},
                 .fractions = {{"attention.layer_norm_rms_epsilon", static_cast<float>(config.norm_epsilon)},
                               {"rope.freq_base", static_cast<float>(config.rope_theta)}},
                 .tensors = {}};
  const std::pair<const char*, const char*> parts[] = {{"model.embed_tokens.", "token_embd."},
                                                       {"model.norm.", "output_norm."},
                                                       {"lm_head.", "output."},
                                                       {"model.layers.", "blk."},
                                                       {".input_layernorm.", ".attn_norm."},
                                                       {".post_attention_layernorm.", ".ffn_norm."},
                                                       {".self_attn.q_proj.", ".attn_q."},
                                                       {".self_attn.k_proj.", ".attn_k."},
                                                       {".self_attn.v_proj.", ".attn_v."},
                                                       {".self_attn.o_proj.", ".attn_output."},
                                                       {".mlp.gate_proj.", ".ffn_gate."},
                                                       {".mlp.up_proj.", ".ffn_up."},
                                                       {".mlp.down_proj.", ".ffn_down."}};
  for (auto& [name, tensor] : to_file(model)) {
    const int64_t heads = name.find("q_proj") != std::string::npos   ? config.heads
                          : name.find("k_proj") != std::string::npos ? config.key_heads
                                                                     : 0;
    file.tensors.emplace_back(renamed(name, parts), heads > 0 ? with_neighbours(tensor, heads) : tensor);
  }
  return file;
}

std::unique_ptr<LanguageModel> open(const ConfigFile& file, NamedTensors tensors) {
  const LlamaConfig config = read_config(file);
  if (config.tied) take_tied_head(tensors, "embed_tokens.weight", file.path());
  for (auto& [name, tensor] : tensors) tensor = turned(name, tensor);
  return filled<Llama>(config, tensors, file);
}

constexpr std::string_view own_settings[] = {"key_heads", "inner", "tied", "rope_theta"};
constexpr std::string_view no_faults[] = {"no_norm", "no_gelu"};  // its norms and its MLP are others

}  // namespace

extern const Family family;
const Family family = {.name = "llama",
                       .usual = "bias=false",
                       .matrices_in_out = false,
                       .tables = {"model.embed_tokens.weight", "lm_head.weight"},
                       .attention = "self_attn",
                       .own_settings = own_settings,
                       .no_faults = no_faults,
                       .check = check_sizes,
                       .make = make,
                       .costs = costs,
                       .describe = describe,
                       .config = config_json,
                       .to_file = to_file,
                       .gguf = gguf,
                       .open = open};

}  // namespace chapbook::llama
