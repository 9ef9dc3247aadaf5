// A model on disk is a Hugging Face model directory: config.json, model.safetensors, and the files of the
// tokenizer. transformers opens what is written here, and a model of a family that Chapbook knows (family.h)
// opens here from there, with no step in between.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/bpe.h"
#include "nn/language_model.h"

namespace chapbook {

struct Model {
  std::unique_ptr<LanguageModel> network;
  Tokenizer tokenizer;
  std::vector<int32_t> ends = {};  // ids that end a text, by generation_config.json or else config.json
  bool after_end = true;           // it was trained on texts that begin after <|endoftext|>
};

// Writes into an existing directory. Of a model with ways of low rank (nn/adapt.h) only these are written,
// and
// ../base is named as the model they belong to. Texts end and begin as in what Chapbook trains, unless told.
void save_model(LanguageModel& model, const Tokenizer& tokenizer, const std::string& directory,
                const std::vector<int32_t>& ends = {}, bool after_end = true);

// A model directory (or one with nanoGPT's ckpt.pt), or a run: its `best` model, else its `last`. Throws one
// line naming the file that is missing or malformed, asks for what Chapbook does not do, or does not fit the
// others.
Model load_model(const std::string& path);
std::unique_ptr<LanguageModel> load_network(const std::string& directory);
std::string model_directory(const std::string& path);  // where load_model looks

}  // namespace chapbook
