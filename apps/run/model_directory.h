// A model on disk is a Hugging Face model directory: config.json, model.safetensors with GPT-2's names and
// layouts, and the files of the tokenizer. transformers opens what is written here, and a GPT-2 from there is
// opened here, with no step in between.
#pragma once
#include <memory>
#include <string>

#include "data/bpe.h"
#include "nn/gpt.h"

namespace chapbook {

struct Model {
  std::unique_ptr<GPT> gpt;
  Tokenizer tokenizer;
  bool after_end = true;  // it was trained on texts that begin after <|endoftext|>
};

// Writes into an existing directory.
void save_model(GPT& gpt, const Tokenizer& tokenizer, const std::string& directory);

// A model directory, or a run: its `best` model, else its `last`. Throws one line naming the file that is
// missing or malformed, asks for what Chapbook does not do, or does not fit the others.
Model load_model(const std::string& path);
std::unique_ptr<GPT> load_gpt(const std::string& directory);
std::string model_directory(const std::string& path);  // where load_model looks

}  // namespace chapbook
