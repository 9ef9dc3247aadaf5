// What layers and models say when they are used wrongly. A class or function of these headers without a row
// fails; what a configuration of a model must be stands in test_module.cpp and test_llama.cpp.
#include <doctest/doctest.h>

#include <fstream>
#include <limits>
#include <regex>
#include <set>

#include "models.h"
#include "nn/adapt.h"
#include "nn/embedding.h"
#include "nn/mlp.h"
#include "nn/norm.h"
#include "nn/rotary.h"
#include "tests/support/misuse.h"
#include "tests/support/run_case.h"

using namespace chapbook;

static std::vector<Misuse> misuses(Backend& here) {
  const auto make = [&](const Shape& shape, DType dtype = DType::f32) -> Variable {
    return Tensor::full(shape, 1, dtype, here);
  };
  const auto ids = [&](const Shape& shape, double id) { return Tensor::full(shape, id, DType::i32, here); };
  const Variable none, three = make({2, 3}), x = make({1, 2, 4}), q = make({1, 4, 2, 2}),
                       k = make({1, 3, 2, 2});
  const auto gpt = std::make_shared<GPT>(
      GPTConfig{.layers = 2, .heads = 2, .width = 8, .context = 4, .vocabulary = 11}, here);
  const Tensor token = ids({1, 1}, 3);
  const double nan = std::nan("");
  const std::string nothing = "tensor: an empty Tensor is on no backend; it was never given numbers";
  return {
      {"Linear", "tensor: shape (-1, 2) has a negative size or too many numbers",
       [&here] { Linear(-1, 2, true, here); }},
      {"Linear", "matmul: (2, 3) times (4, 2): inner sizes 3 and 4 differ",
       [=, &here] { Linear(4, 2, true, here)(three); }},
      {"Linear", nothing, [=, &here] { Linear(4, 2, true, here)(none); }},
      {"Linear", "matmul: f64 and f32 do not mix; convert one with to()",
       [=, &here] {
         Linear(3, 2, true, here)(make({2, 3}, DType::f64));
       }},
      {"times_packed", "matmul: the matrix was never packed", [=] { times_packed(three, {}, none, none); }},
      {"LayerNorm", "tensor: shape (-4,) has a negative size or too many numbers",
       [&here] { LayerNorm(-4, true, here); }},
      {"LayerNorm", "layer_norm: weight (4,) does not fit the last axis of (2, 3)",
       [=, &here] { LayerNorm(4, true, here)(three); }},
      {"RMSNorm", "rms_norm: weight (4,) does not fit the last axis of (2, 3)",
       [=, &here] { RMSNorm(4, 1e-5, here)(three); }},
      {"Embedding", "gather_rows: id 5 is not in 0..4", [=, &here] { Embedding(5, 2, here)(ids({2}, 5)); }},
      {"Embedding", "gather_rows: ids are f32, not i32",
       [=, &here] { Embedding(5, 2, here)(Tensor::full({2}, 1, DType::f32, here)); }},
      {"MLP", "matmul: (2, 3) times (4, 16): inner sizes 3 and 4 differ",
       [=, &here] {
         MLP(4, true, here)
         (three, three);
       }},
      {"GatedMLP", "matmul: (2, 3) times (4, 8): inner sizes 3 and 4 differ",
       [=, &here] { GatedMLP(4, 8, true, here)(three, three); }},
      {"Dropout", "dropout: probability 1 is not in [0, 1)",
       [=] {
         Random random{1};
         Dropout{1, &random}(three);
       }},
      {"Attention", "attention: width 4 does not divide into 3 heads",
       [&here] { Attention(4, 3, true, here); }},
      {"Attention", "attention: width 4 does not divide into 0 heads",
       [&here] { Attention(4, 0, true, here); }},
      {"split_heads", "attention: (1, 2, 4) does not divide into 3 heads", [=] { split_heads(x, 3); }},
      {"split_heads", "attention: (1, 2, 4) does not divide into 0 heads", [=] { split_heads(x, 0); }},
      {"split_heads", "attention: (2, 3) does not divide into 1 heads", [=] { split_heads(three, 1); }},
      {"attend", "attention: 1 sequences, but caches of 2",
       [=] {
         KeyValueCache cache;
         attend(q, q, q, std::array{&cache, &cache});
       }},
      {"attend", "attention: 2 places do not fit the cache of 1",
       [=] {
         KeyValueCache cache{make({1, 4, 1, 2}).value(), make({1, 4, 1, 2}).value()};
         attend(q, q, q, std::array{&cache});
       }},
      {"attention_weights", "attention: 4 heads do not share keys and values (1, 3, 2, 2)",
       [=] { attention_weights(q, k); }},
      {"attention_weights", "size: no axis 3 in shape (1, 2, 4)", [=] { attention_weights(x, x); }},
      {"attention_in_steps", "attention: 4 heads do not share keys and values (1, 3, 2, 2)",
       [=] { attention_in_steps(q, q, k); }},
      {"attention_in_steps", "attention: qkv (1, 2, 4) is not (B, T, 3 C)",
       [=] { attention_in_steps(x, 2); }},
      {"Rotary",
       "rotary: a context of 4, heads of 5 numbers and theta 10000; a head is even, none is negative",
       [&here] { Rotary(4, 5, 10000, here); }},
      {"Rotary",
       "rotary: a context of -1, heads of 2 numbers and theta 10000; a head is even, none is negative",
       [&here] { Rotary(-1, 2, 10000, here); }},
      {"Rotary", "rotary: a context of 4, heads of 2 numbers and theta nan; a head is even, none is negative",
       [=, &here] { Rotary(4, 2, nan, here); }},
      {"Rotary", "slice: 0 to 2 of axis 0 in shape (1, 1)", [=, &here] { Rotary(1, 2, 10000, here)(q, {}); }},
      {"Rotary", "gather_rows: id 4 is not in 0..3",
       [=, &here] {
         Rotary(4, 2, 10000, here)(q, ids({1, 2}, 4));
       }},
      {"LanguageModel", "model: tokens of shape (4,), not (B, T)", [=] { (*gpt)(ids({4}, 1)); }},
      {"LanguageModel", "model: 5 tokens are more than the context of 4",
       [=] {
         (*gpt)(ids({1, 5}, 1));
       }},
      {"LanguageModel", "gather_rows: id 11 is not in 0..10",
       [=] {
         (*gpt)(ids({1, 4}, 11));
       }},
      {"LanguageModel", "linear_cross_entropy: targets (1, 3) do not fit x (1, 4, 8)",
       [=] {
         gpt->loss(ids({1, 4}, 1), ids({1, 3}, 1));
       }},
      {"LanguageModel", "model: caches of 0 blocks, the model has 2",
       [=] {
         LanguageModel::Caches empty;
         gpt->next(token, empty);
       }},
      {"LanguageModel", "model: caches of 1 blocks, the model has 2",
       [=] {
         auto caches = gpt->caches();
         caches.pop_back();
         gpt->next(token, caches);
       }},
      {"LanguageModel", "model: caches of 0 blocks, the model has 2",
       [=] { gpt->next(token, std::array<LanguageModel::Caches*, 1>{nullptr}); }},
      {"LanguageModel", "model: 2 sequences, but caches of 1",
       [=] {
         auto caches = gpt->caches();
         gpt->next(ids({2, 1}, 1), caches);
       }},
      {"LanguageModel", "model: a dropout of nan is not in [0, 1)",
       [=, &here] {
         GPT one({.layers = 1, .heads = 1, .width = 2, .context = 2, .vocabulary = 3}, here);
         one.drop_out(nan);
         one.train_with(nullptr);
       }},
  };
}

TEST_CASE("layers and models say in one line how they were used wrongly") {
  std::set<std::string> tested;
  for (Backend* here : tested_backends()) check_misuses(misuses(*here), *here, tested);
  // What is declared at the beginning of a line, and computes: a class that is a Module, or a function of
  // Variables.
  const std::regex declaration(
      R"(^(?:struct|class) (\w+)(?: : public Module| : Module|).*\{$|^(?:inline )?Variable (\w+)\(.*)");
  const std::set<std::string> others = {"KeyValueCache", "ActivationLayer",
                                        "Sequential"};  // nothing is wrong with them
  int found = 0;
  for (const char* header :
       {"attention", "dropout", "embedding", "language_model", "linear", "mlp", "norm", "rotary"}) {
    std::ifstream file(CHAPBOOK_SOURCE_DIR + std::string("/nn/") + header + ".h");
    std::smatch match;
    for (std::string line; std::getline(file, line);) {
      if (!std::regex_match(line, match, declaration)) continue;
      const std::string name = match[1].matched ? match[1] : match[2];
      if (others.count(name)) continue;
      ++found;
      CHECK_MESSAGE(tested.count(name), name, " has no row in this table");
    }
  }
  CHECK(found == 16);
}
