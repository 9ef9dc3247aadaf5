// GGUF files: byte by byte what llama.cpp's own library writes, and every family's model in them. That
// llama.cpp says the same as we do is seen with tests/golden/gguf_example.py.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "apps/run/family.h"
#include "apps/run/gguf.h"
#include "tensor/files.h"
#include "tests/apps/program.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

static const std::string golden = std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/";

TEST_CASE("a GGUF file has the bytes that llama.cpp's own library writes") {
  std::vector<float> numbers;
  for (int i = 0; i < 192; ++i) numbers.push_back(static_cast<float>(i * 37 % 101 - 50) / 7.0f);
  std::fill(numbers.begin() + 160, numbers.end(), 0.0f);
  const Tensor all = Tensor::from(numbers, {3, 64});
  GgufFile file;
  file.set("general.architecture", "gpt2");
  file.set("gpt2.block_count", 3u);
  file.set("gpt2.attention.layer_norm_epsilon", 1e-5f);
  file.set("tokenizer.ggml.add_bos_token", true);
  file.set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "\u0120b", "<|endoftext|>"});
  file.set("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 3});
  file.add("exact", all.select(0, 0).slice(0, 0, 5), "f32");
  file.add("half", all.slice(0, 0, 2).slice(1, 0, 33), "f16");
  file.add("packed", all, "q8_0");
  const TemporaryDirectory directory;
  file.write(directory / "example.gguf");
  CHECK(read_file(directory / "example.gguf") == read_file(golden + "example.gguf"));
  CHECK_THROWS_WITH_AS(file.add("odd", all.slice(1, 0, 33), "q8_0"),
                       "odd: q8_0 packs 32 numbers of a row together, but its rows have 33; f16 takes any",
                       Error);
  CHECK_THROWS_WITH_AS(file.add("odd", all, "q4_0"), "there is no type 'q4_0' here; there are f32, f16, q8_0",
                       Error);
}

TEST_CASE("a number that a GGUF type cannot hold is refused by name, and no file is left") {
  const TemporaryDirectory directory;
  const auto written = [&](float number, const std::string& type) -> std::string {
    std::vector<float> numbers(32, 1.0f);
    numbers[7] = number;
    GgufFile file;
    file.add("blk.0.up.weight", Tensor::from(numbers, {1, 32}), type);
    try {
      file.write(directory / "x.gguf");
    } catch (const Error& error) {
      CHECK_FALSE(std::filesystem::exists(directory / "x.gguf"));
      return error.what();
    }
    std::filesystem::remove(directory / "x.gguf");
    return "written";
  };
  CHECK(written(-65'504, "f16") == "written");
  CHECK(written(65'519, "f16") == "written");
  CHECK(written(65'520, "f16") == "blk.0.up.weight: holds 65520, beyond the range of f16; --type f32 has it");
  CHECK(written(-1e6f, "f16").starts_with("blk.0.up.weight: holds -1000000, beyond the range of f16"));
  CHECK(written(1e6f, "q8_0") == "written");
  CHECK(written(1e7f, "q8_0").starts_with("blk.0.up.weight: holds 10000000, beyond the range of q8_0"));
  CHECK(written(1e7f, "f32") == "written");
  for (const char* type : {"f32", "f16", "q8_0"}) {
    CHECK(written(NAN, type).find(": holds nan, beyond the range of ") != std::string::npos);
    CHECK(written(-INFINITY, type).ends_with(": the weights are broken"));
  }
}

TEST_CASE("every family has all of its numbers in the file, once, under names of llama.cpp") {
  for (const Family& each : families()) {
    CAPTURE(std::string(each.name));
    Settings settings;
    set(settings, "family", each.name);
    settings.layers = 2, settings.heads = 4, settings.width = 32, settings.vocabulary = 300;
    if (settings.family == "llama") settings.key_heads = 2, settings.tied = false;
    const std::unique_ptr<LanguageModel> model = make_model(settings);
    const GgufModel file = each.gguf(*model);
    int64_t count = 0;
    std::set<std::string> names;
    for (const auto& [name, tensor] : file.tensors) {
      count += tensor.count();
      names.insert(name);
      const bool known =
          name.starts_with("blk.") || name.starts_with("token_embd.") || name.starts_with("output");
      CHECK_MESSAGE((known || name == "position_embd.weight"), name);
      CHECK_MESSAGE(name.find("proj") == std::string::npos, name);
      CHECK(name.size() <= 64);
    }
    CHECK(count == count_parameters(*model));
    CHECK(names.size() == file.tensors.size());
  }
}

TEST_CASE("export keeps what ends a text, and whether texts begin after an end") {
  const TemporaryDirectory directory;
  const std::string from = directory / "model";
  std::filesystem::copy(golden + "llama/sharded", from);
  // A fact of the tokenizer as it stands in the file: its name, its type, its value.
  const auto holds = [&](const std::string& name, uint32_t type, const std::string& value) {
    const std::string key = "tokenizer.ggml." + name + std::string(reinterpret_cast<const char*>(&type), 4);
    return read_file(directory / "a.gguf").find(key + value) != std::string::npos;
  };
  const auto number = [](char value) { return std::string{value, 0, 0, 0}; };
  for (const bool after_end : {false, true}) {
    CAPTURE(after_end);
    write_file(from + "/generation_config.json",
               fmt::format(R"({{"eos_token_id": [7, 3], "chapbook_after_end": {}}})", after_end));
    const std::string to = directory / fmt::format("to_{}", after_end);
    REQUIRE(run_program("export " + from + " --to " + to).code == 0);
    const Model exported = load_model(to);
    CHECK(exported.ends == std::vector<int32_t>{7, 3});
    CHECK(exported.after_end == after_end);
    REQUIRE(run_program("export " + from + " --gguf " + directory / "a.gguf").code == 0);
    CHECK(holds("eos_token_id", 4, number(7)));
    CHECK(holds("eot_token_id", 4, number(3)));
    CHECK(holds("add_bos_token", 7, {static_cast<char>(after_end)}));
  }
  write_file(from + "/generation_config.json", R"({"eos_token_id": [1, 2, 3, 4]})");
  const Outcome outcome = run_program("export " + from + " --gguf " + directory / "b.gguf");
  CHECK(outcome.code == 2);
  CHECK(outcome.output.find("4 tokens end a text of this model; a GGUF file names up to 3") !=
        outcome.output.npos);
  CHECK_FALSE(std::filesystem::exists(directory / "b.gguf"));
}

TEST_CASE("export: a file for llama.cpp, a directory for transformers, or one line") {
  const TemporaryDirectory directory;
  const std::string before = "cd " + directory.path + ";", from = golden + "llama/sharded";
  const auto ran = [&](const std::string& arguments) {
    return run_program("export " + from + " " + arguments, before);
  };
  CHECK(ran("--gguf a.gguf --type q8_0").code == 0);
  CHECK(ran("--gguf b.gguf --type f32").code == 0);
  CHECK(std::filesystem::file_size(directory / "b.gguf") >
        2 * std::filesystem::file_size(directory / "a.gguf"));
  CHECK(read_file(directory / "a.gguf").starts_with("GGUF"));
  CHECK(ran("--to merged").code == 0);
  CHECK(load_model(directory / "merged").network->family() == "llama");
  CHECK(ran("--to merged").output.find("'merged' is there already") != std::string::npos);
  CHECK(ran("").code == 2);
  CHECK(ran("--gguf c.gguf --type q4").output.find("there is no type 'q4' here") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(directory / "c.gguf"));
}
