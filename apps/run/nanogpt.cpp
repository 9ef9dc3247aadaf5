#include "apps/run/nanogpt.h"

#include <filesystem>

#include "apps/run/family.h"
#include "tensor/torch_file.h"

namespace chapbook {

static std::string checkpoint_of(const std::string& directory) { return directory + "/ckpt.pt"; }

bool has_nanogpt(const std::string& directory) { return std::filesystem::exists(checkpoint_of(directory)); }

// "model._orig_mod.transformer.h.0.ln_1.weight": torch.compile puts in the middle part. Empty for what is not
// of the model, and for the causal mask, which older versions save.
static std::string name_here(std::string name) {
  for (const std::string_view before : {"model.", "_orig_mod."}) {
    if (name.starts_with(before))
      name.erase(0, before.size());
    else if (before == "model.")
      return "";
  }
  return name.ends_with(".attn.bias") ? "" : name;
}

std::unique_ptr<LanguageModel> load_nanogpt(const std::string& directory) {
  const std::string path = checkpoint_of(directory);
  TorchFile file =
      load_torch(path, default_backend(), [](const std::string& name) { return !name_here(name).empty(); });
  check(file.values.is_object() && file.values.value("model_args", Json()).is_object(),
        "{}: no 'model_args'; Chapbook knows nanoGPT's checkpoints only, and for other models "
        "model.safetensors",
        path);
  const ConfigFile given(path, file.values["model_args"]);
  const Json config = {{"model_type", "gpt2"},
                       {"n_layer", given.size("n_layer")},
                       {"n_head", given.size("n_head")},
                       {"n_embd", given.size("n_embd")},
                       {"n_positions", given.size("block_size")},
                       {"vocab_size", given.size("vocab_size")},
                       {"resid_pdrop", given.number_or("dropout", 0)},
                       {"chapbook_bias", given.flag_or("bias", true)}};
  NamedTensors tensors;
  for (auto& [name, tensor] : file.tensors) {
    const std::string here = name_here(name);
    // PyTorch's matrices lie as (out, in), GPT-2's and ours as (in, out).
    const bool turns = here.find(".c_") != std::string::npos && tensor.rank() == 2;
    tensors.emplace_back(here, turns ? tensor.transpose(0, 1).as_contiguous() : tensor);
  }
  return family("gpt2").open({path, config}, std::move(tensors));
}

}  // namespace chapbook
