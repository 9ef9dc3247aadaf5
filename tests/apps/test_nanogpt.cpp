// nanoGPT's checkpoints as models of ours (tests/golden/nanogpt.py).
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "apps/run/generator.h"
#include "apps/run/model_directory.h"
#include "data/bpe_train.h"
#include "data/tokenizer_file.h"
#include "nn/gpt.h"
#include "tensor/files.h"
#include "tensor/ops.h"
#include "tensor/safetensors.h"
#include "tests/apps/program.h"
#include "tests/nn/models.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

static const std::string golden = std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/nanogpt/";

TEST_CASE("a checkpoint of nanoGPT gives the logits that PyTorch computes") {
  for (const std::string name : {"with_bias", "no_bias"}) {
    CAPTURE(name);
    const NamedTensors of = load_tensors(golden + name + "/golden.safetensors").tensors;
    const std::map<std::string, Tensor> numbers(of.begin(), of.end());
    const std::unique_ptr<LanguageModel> model = load_network(golden + name);
    const Tensor logits = (*model)(numbers.at("tokens")).value();
    CHECK(relative_error(logits, numbers.at("logits")) <= 1e-6);
    // The other form of GELU, which a checkpoint does not tell from ours, is near.
    CHECK(relative_error(logits, numbers.at("logits_exact")) <= 1e-3);
    const GPTConfig config = dynamic_cast<const GPT&>(*model).config();
    CHECK(config.bias == (name == "with_bias"));
    CHECK(config.dropout == (name == "with_bias" ? 0 : 0.2));
  }
}

TEST_CASE("a directory of nanoGPT's with a tokenizer is a model: it speaks, and is exported") {
  const TemporaryDirectory directory;
  const std::string out = directory / "out";
  fs::create_directory(out);
  fs::copy(golden + "with_bias/ckpt.pt", out);
  const auto ran = [&](const std::string& arguments) {
    return run_program(arguments, "cd " + directory.path + ";");
  };
  CHECK(ran("generate out")
            .output.find("out: nanoGPT keeps no tokenizer beside its checkpoint; put GPT-2's "
                         "vocab.json and merges.txt there") != std::string::npos);
  save_tokenizer(train_bpe("to be or not to be", 258), out);
  fs::remove(out + "/tokenizer.json");
  CHECK(ran("generate out --prompt to --tokens 3").code == 0);
  REQUIRE(ran("export out --to ours").code == 0);
  const NamedTensors of = load_tensors(golden + "with_bias/golden.safetensors").tensors;
  const std::map<std::string, Tensor> numbers(of.begin(), of.end());
  const Model exported = load_model(directory / "ours");
  CHECK(relative_error((*exported.network)(numbers.at("tokens")).value(), numbers.at("logits")) <= 1e-6);
  CHECK_FALSE(exported.after_end);

  write_file(out + "/ckpt.pt", "no archive at all, and of more than 22 bytes");
  const Outcome outcome = ran("generate out");
  CHECK(outcome.code == 2);
  CHECK(outcome.output.find("out/ckpt.pt: no zip archive") != std::string::npos);
}
