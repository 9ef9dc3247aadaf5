#include "apps/run/adapter.h"

#include <filesystem>
#include <map>
#include <set>

#include "apps/run/config_file.h"
#include "apps/run/family.h"
#include "nn/adapt.h"
#include "tensor/files.h"
#include "tensor/json.h"
#include "tensor/safetensors.h"

namespace chapbook {
namespace {

namespace fs = std::filesystem;

constexpr const char* config_name = "/adapter_config.json";
constexpr const char* weights_name = "/adapter_model.safetensors";
constexpr std::string_view before = "base_model.model.", after = ".weight";

// Of the names of PEFT's tensors: "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight".
std::string there(const std::string& name) { return fmt::format("{}{}{}", before, name, after); }

// What PEFT finds products by: "attn.c_proj" of "transformer.h.0.attn.c_proj".
std::string target(const std::string& name) { return name.substr(name.rfind('.', name.rfind('.') - 1) + 1); }

}  // namespace

void save_adapter(LanguageModel& model, const std::string& base, const std::string& directory) {
  std::set<std::string> targets;
  NamedTensors tensors;
  int64_t rank = 0;
  double alpha = 0;
  for_each_linear(model, [&](const std::string& name, Linear& linear) {
    if (!linear.lora_A) return;
    rank = linear.lora_A.size(1), alpha = linear.lora_alpha;
    targets.insert(target(name));
    // Matrices lie as (out, in) there.
    tensors.emplace_back(there(name + ".lora_A"), linear.lora_A.value().transpose(0, 1));
    tensors.emplace_back(there(name + ".lora_B"), linear.lora_B.value().transpose(0, 1));
  });
  const Json config = {{"peft_type", "LORA"},
                       {"task_type", "CAUSAL_LM"},
                       {"base_model_name_or_path", base},
                       {"r", rank},
                       {"lora_alpha", alpha},
                       {"lora_dropout", 0.0},
                       {"target_modules", targets},
                       {"fan_in_fan_out", family(model.family()).matrices_in_out},
                       {"bias", "none"},
                       {"inference_mode", true}};
  write_file(directory + config_name, config.dump(2) + "\n");
  save_tensors(directory + weights_name, tensors, {{"format", "pt"}});
}

bool has_adapter(const std::string& directory) { return fs::exists(directory + config_name); }

std::string base_of_adapter(const std::string& directory) {
  const ConfigFile file(directory + config_name);
  const Json name = file.json().value("base_model_name_or_path", Json());
  check(name.is_string(), "{}: no 'base_model_name_or_path', the model it belongs to", file.path());
  for (const std::string& path : {directory + "/" + name.get<std::string>(), name.get<std::string>()})
    if (fs::exists(path)) return fs::path(path).lexically_normal();
  fail("{}: the model it belongs to, '{}', is not here; put its directory there, or change the name",
       file.path(), name.get<std::string>());
}

void load_adapter(LanguageModel& model, const std::string& directory) {
  const ConfigFile file(directory + config_name);
  file.only("peft_type", "LORA");
  file.only("bias", "none");
  for (const char* name : {"use_dora", "use_rslora", "lora_bias"}) file.only(name, false);
  for (const char* name :
       {"modules_to_save", "trainable_token_indices", "target_parameters", "layer_replication"})
    if (const Json what = file.json().value(name, Json()); !what.is_null() && !what.empty())
      fail("{}: '{}' is {}; Chapbook only knows adapters without", file.path(), name, printable(what.dump()));
  for (const char* name : {"rank_pattern", "alpha_pattern"})
    if (const Json what = file.json().value(name, Json()); !what.is_null() && !what.empty())
      fail("{}: '{}' is {}; Chapbook only knows one rank for all", file.path(), name, printable(what.dump()));
  const LowRank low_rank{file.size("r"), file.number_or("lora_alpha", 8)};

  check(fs::exists(directory + weights_name) || !fs::exists(directory + "/adapter_model.bin"),
        "{}: its weights are in adapter_model.bin, and Chapbook reads adapter_model.safetensors; PEFT writes "
        "that with save_pretrained()",
        directory);
  check(fs::exists(directory + weights_name), "{}: has no adapter_model.safetensors, the adapter's weights",
        directory);
  std::map<std::string, Tensor> given;
  for (auto& [name, tensor] : load_tensors(directory + weights_name, model.backend()).tensors)
    given[name] = tensor;
  try {
    Random random{1};  // what is drawn is overwritten
    add_low_rank(model, low_rank, random,
                 [&](const std::string& name) { return given.contains(there(name + ".lora_A")); });
    for (const Parameter& each : learning_parameters(model)) {
      const std::string name = there(each.name);
      check(given.contains(name), "missing: {}", name);
      const Tensor &to = each.variable.value(), from = given.at(name).transpose(0, 1);
      check(from.shape() == to.shape(), "misshapen: {} is {}, not {}", name, given.at(name).shape(),
            Shape{to.size(1), to.size(0)});
      to.backend().copy(from.to(to.dtype()).view(), to.view());
      given.erase(name);
    }
    check(given.empty(), "extra: {}", given.empty() ? "" : given.begin()->first);
  } catch (const Error& error) {
    fail("{}{}: does not fit the model it names: {}", directory, weights_name, error.what());
  }
}

}  // namespace chapbook
