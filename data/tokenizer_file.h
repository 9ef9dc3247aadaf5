// Tokenizers on disk, in the formats of the field: GPT-2's vocab.json + merges.txt, and Hugging Face's
// tokenizer.json. A directory written here opens in transformers (AutoTokenizer) and in tokenizers
// (Tokenizer.from_file) with the same ids.
#pragma once
#include <array>
#include <filesystem>
#include <string_view>

#include "data/bpe.h"

namespace chapbook {

// Reads a tokenizer.json, by itself, or a directory: its tokenizer.json if there is one, else its vocab.json
// and merges.txt, with the special tokens that tokenizer_config.json, special_tokens_map.json and
// added_tokens.json beside them add. Throws, naming the file, if anything is missing, malformed, or asks for
// what Chapbook does not do (another pre-tokenizer, a normalizer, ...): whatever loads encodes exactly as it
// does elsewhere.
Tokenizer load_tokenizer(const std::filesystem::path& path);

// GPT-2's pair of files. vocab.json does not say which tokens are special: those no merge makes that are
// written <...>.
Tokenizer load_vocabulary_and_merges(const std::filesystem::path& vocabulary,
                                     const std::filesystem::path& merges);

// Writes tokenizer.json, vocab.json, merges.txt and tokenizer_config.json into the directory, which is
// created if needed.
inline constexpr std::array<std::string_view, 4> tokenizer_files = {"tokenizer.json", "vocab.json",
                                                                    "merges.txt", "tokenizer_config.json"};
void save_tokenizer(const Tokenizer& tokenizer, const std::filesystem::path& directory);

}  // namespace chapbook
