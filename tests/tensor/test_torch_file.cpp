// Files of torch.save: what is in one that PyTorch wrote, and that nothing else gets through.
#include <doctest/doctest.h>

#include <filesystem>
#include <map>

#include "tensor/files.h"
#include "tensor/pickle.h"
#include "tensor/torch_file.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

static const std::string checkpoint =
    std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/nanogpt/no_bias/ckpt.pt";

static TorchFile load_all(const std::string& path, const std::string& beginning = "") {
  return load_torch(path, backend("cpu"),
                    [&](const std::string& name) { return name.starts_with(beginning); });
}

TEST_CASE("a file of torch.save: numbers, texts and tensors under their keys") {
  const TorchFile file = load_all(checkpoint);
  const Json& values = file.values;
  CHECK(values.at("iter_num") == 2000);
  CHECK(values.at("model_args").at("dropout") == 0.2);
  CHECK(values.at("model_args").at("bias") == false);
  CHECK(values.at("config").at("out_dir") == "out");
  CHECK(values.at("config").at("learning_rate") == 6e-4);
  CHECK(values.at("optimizer").at("param_groups").at(0).at("params").at(1) == 1);
  CHECK(values.at("best_val_loss").is_null());  // a tensor without axes
  const std::map<std::string, Tensor> tensors(file.tensors.begin(), file.tensors.end());
  CHECK(tensors.at("best_val_loss").rank() == 0);
  CHECK(tensors.at("model._orig_mod.transformer.wpe.weight").shape() == Shape{8, 16});
  CHECK(tensors.at("optimizer.state.0.step").item() == 2);
  // The head is the table of tokens: one storage, twice.
  CHECK(tensors.at("model._orig_mod.lm_head.weight").to_vector<float>() ==
        tensors.at("model._orig_mod.transformer.wte.weight").to_vector<float>());
  for (const auto& [name, tensor] : load_all(checkpoint, "model.").tensors) CHECK(name.starts_with("model."));
}

TEST_CASE("a pickle that would run something, or that does not hold together, is refused in one line") {
  const auto refused = [](std::string_view bytes, const std::string& why) {
    CAPTURE(std::string(bytes));
    try {
      read_pickle("x.pt", std::as_bytes(std::span(bytes)));
      FAIL("was read");
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find(why) != std::string::npos);
    }
  };
  using namespace std::string_view_literals;
  refused(
      "\x80\x02"
      "cos\nsystem\nX\x02\0\0\0ls\x85R."sv,
      "its pickle wants 'os.system' to be called");
  refused("ccollections\nOrderedDict\nK\x01\x85R."sv, "'collections.OrderedDict' to be called");
  refused("cos\nsys\ttem\nK\x01\x85R."sv, "its pickle wants 'os.sys\\ttem' to be called");
  refused("i", "its pickle has an instruction 0x69 that Chapbook does not know");
  refused("", "its pickle is cut short");
  refused("X\xff\xff\xff\xff"sv, "its pickle is cut short");
  refused(".", "its pickle takes what is not there");
  refused("h\x03.", "its pickle takes what is not there");
  refused("u", "its pickle takes what is not there");
  refused("}(K\x01u.", "a key without a value");
  refused(
      "K\x01K\x02"
      "a.",
      "something else where a list should be");
  refused("\x80\x09.", "of a newer protocol");
  refused("\x8a\x09", "a number of 9 bytes");
  refused("(X\x07\0\0\0storageX\0\0\0\0tQ."sv, "no storage of numbers");
  // What numbers are.
  const auto number = [](std::string_view bytes) {
    const Pickle pickle = read_pickle("x", std::as_bytes(std::span(bytes)));
    return std::get<int64_t>(pickle.values[pickle.result]);
  };
  CHECK(number("K\xff."sv) == 255);
  CHECK(number("J\xfe\xff\xff\xff."sv) == -2);
  CHECK(number("\x8a\0."sv) == 0);
  CHECK(number("\x8a\x01\xff."sv) == -1);
  CHECK(number("\x8a\x05\0\0\0\0\x01."sv) == int64_t{1} << 32);
}

TEST_CASE("an archive that is damaged, cut short or something else is refused in one line") {
  const TemporaryDirectory directory;
  const std::string whole = read_file(checkpoint), path = directory / "x.pt";
  const auto refused = [&](const std::string& bytes, const std::string& why) {
    write_file(path, bytes);
    CAPTURE(why);
    CHECK_THROWS_WITH_AS(load_all(path), doctest::Contains((path + ": " + why).c_str()), Error);
  };
  refused("", "no zip archive");
  refused(std::string(100, 'x'), "no zip archive");
  refused(whole.substr(0, whole.size() / 2), "no zip archive, or cut short");
  // A bit of the numbers.
  std::string changed = whole;
  changed[whole.size() / 2] ^= 1;
  refused(changed, "'ckpt/data/14' is damaged: its checksum is another");
  // Every stretch of the file is either looked at or does not matter: nothing is read that is not in the
  // file.
  const size_t tensors = load_all(checkpoint).tensors.size();
  for (size_t at = 0; at < whole.size(); at += 97) {
    changed = whole;
    changed[at] ^= 0x10;
    write_file(path, changed);
    try {
      const size_t there = load_all(path).tensors.size();
      CHECK(there == tensors);
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find('\n') == std::string::npos);
    }
  }
}
