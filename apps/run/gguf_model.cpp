// A model with its tokenizer as a GGUF file; gguf.cpp has the file itself.
#include <fmt/format.h>

#include <array>

#include "apps/run/family.h"
#include "apps/run/gguf.h"
#include "data/byte_alphabet.h"
#include "nn/adapt.h"

namespace chapbook {

static void set_tokenizer(GgufFile& file, const Model& model) {
  const Tokenizer& tokenizer = model.tokenizer;
  enum : int32_t { normal = 1, control = 3, unused = 5 };
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  for (int32_t id = 0; id < model.network->vocabulary(); ++id) {
    const bool there = id < tokenizer.vocabulary_size(), special = there && tokenizer.is_special(id);
    tokens.push_back(!there    ? fmt::format("[UNUSED{}]", id)
                     : special ? std::string(tokenizer.token_bytes(id))
                               : to_printable(tokenizer.token_bytes(id)));
    types.push_back(!there ? unused : special ? control : normal);
  }
  for (const auto& [left, right] : tokenizer.merges()) merges.push_back(tokens[left] + " " + tokens[right]);
  file.set("tokenizer.ggml.model", "gpt2");
  file.set("tokenizer.ggml.pre", "gpt-2");
  file.set("tokenizer.ggml.tokens", tokens);
  file.set("tokenizer.ggml.token_type", types);
  file.set("tokenizer.ggml.merges", merges);
  const auto end = static_cast<uint32_t>(tokenizer.end_of_text());
  file.set("tokenizer.ggml.bos_token_id", end);
  // llama.cpp has three names for what ends a text, and stops at each.
  constexpr std::array names = {"eos", "eot", "eom"};
  check(model.ends.size() <= names.size(), "{} tokens end a text of this model; a GGUF file names up to {}",
        model.ends.size(), names.size());
  if (model.ends.empty()) file.set("tokenizer.ggml.eos_token_id", end);
  for (size_t i = 0; i < model.ends.size(); ++i)
    file.set(fmt::format("tokenizer.ggml.{}_token_id", names[i]), static_cast<uint32_t>(model.ends[i]));
  file.set("tokenizer.ggml.add_bos_token", model.after_end);
}

void write_gguf(Model& model, const std::string& type, const std::string& path) {
  merge_low_rank(*model.network);
  const GgufModel parts = family(model.network->family()).gguf(*model.network);
  GgufFile file;
  const std::string before = parts.architecture + ".";
  file.set("general.architecture", parts.architecture);
  file.set("general.file_type", type == "f32" ? 0u : type == "f16" ? 1u : 7u);
  for (const auto& [name, value] : parts.numbers) file.set(before + name, value);
  for (const auto& [name, value] : parts.fractions) file.set(before + name, value);
  set_tokenizer(file, model);
  for (const auto& [name, tensor] : parts.tensors) {
    const bool exact = tensor.rank() < 2 || name == "position_embd.weight";
    file.add(name, tensor, exact ? "f32" : type);
  }
  file.write(path);
}

}  // namespace chapbook
