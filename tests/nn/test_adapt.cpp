// A model that learns on: what does not learn has no gradient, what does has the gradient it always had, and
// a way of low rank computes what its product with the matrix would.
#include <doctest/doctest.h>

#include <map>
#include <memory>

#include "nn/adapt.h"
#include "nn/llama.h"
#include "tests/nn/models.h"

using namespace chapbook;

static std::vector<std::unique_ptr<LanguageModel>> families_of(Backend& backend) {
  std::vector<std::unique_ptr<LanguageModel>> models;
  models.push_back(std::make_unique<GPT>(
      GPTConfig{.layers = 3, .heads = 2, .width = 16, .context = 8, .vocabulary = 31}, backend));
  models.push_back(std::make_unique<Llama>(LlamaConfig{.layers = 3,
                                                       .heads = 4,
                                                       .key_heads = 2,
                                                       .width = 16,
                                                       .head_width = 4,
                                                       .inner = 24,
                                                       .context = 8,
                                                       .vocabulary = 31,
                                                       .tied = false},
                                           backend));
  for (auto& model : models) scramble(*model, 5, 0.2);
  return models;
}

static std::map<std::string, Tensor> gradients_of(LanguageModel& model, const Tensor& tokens,
                                                  const Tensor& targets) {
  clear_gradients(model);
  backward(model.loss(tokens, targets));
  std::map<std::string, Tensor> gradients;
  for (const Parameter& each : learning_parameters(model)) gradients[each.name] = each.variable.gradient();
  return gradients;
}

static bool everywhere(const std::string&) { return true; }

TEST_CASE("low rank: it begins as nothing, learns as its product with the matrix would, and merges into it") {
  for (const std::string_view name : backend_names()) {
    CAPTURE(name);
    for (auto& model : families_of(backend(name))) {
      CAPTURE(std::string(model->family()));
      Random random{3};
      const Tensor tokens = random_ids({2, 8}, 31, random, model->backend()),
                   targets = random_ids({2, 8}, 31, random, model->backend());
      const Tensor before = (*model)(tokens).value();
      add_low_rank(*model, {.rank = 2, .alpha = 6}, random, everywhere);
      // Products are no longer fused, which rounds otherwise.
      CHECK(relative_error((*model)(tokens).value(), before) <= 1e-6);
      for (const Parameter& each : learning_parameters(*model)) {
        CHECK(each.name.find(".lora_") != std::string::npos);
        if (each.name.ends_with("lora_B")) start_random(each.variable, 0.1, random);
      }
      const Tensor adapted = (*model)(tokens).value();
      CHECK(relative_error(adapted, before) > 1e-3);
      const auto ways = gradients_of(*model, tokens, targets);
      std::map<std::string, std::pair<Tensor, Tensor>> factors;  // A and B as they were
      for_each_linear(*model, [&](const std::string& linear, Linear& part) {
        factors[linear] = {part.lora_A.value(), part.lora_B.value()};
      });
      CHECK(factors.size() * 2 == ways.size());
      CHECK(has_low_rank(*model));
      merge_low_rank(*model);
      CHECK_FALSE(has_low_rank(*model));
      CHECK(relative_error((*model)(tokens).value(), adapted) <= 1e-6);

      // With dW of the merged matrix, dA = alpha / rank dW B^T and dB = alpha / rank A^T dW.
      std::map<std::string, Tensor> merged;
      PartVisitor all_learn([](const std::string&, Variable& parameter) {
        parameter = Variable::parameter(parameter.value());
      });
      model->parts(all_learn);
      merged = gradients_of(*model, tokens, targets);
      for (const auto& [linear, factor] : factors) {
        CAPTURE(linear);
        const Tensor dw = merged.at(linear + ".weight");
        CHECK(relative_error(ways.at(linear + ".lora_A"), matmul(dw, factor.second.transpose(0, 1)) * 3.0) <=
              1e-5);
        CHECK(relative_error(ways.at(linear + ".lora_B"), matmul(factor.first.transpose(0, 1), dw) * 3.0) <=
              1e-5);
      }
    }
  }
}

TEST_CASE("the last blocks learn with the gradients they always had, and nothing else has one") {
  for (auto& model : families_of(default_backend())) {
    CAPTURE(std::string(model->family()));
    Random random{3};
    const Tensor tokens = random_ids({2, 8}, 31, random), targets = random_ids({2, 8}, 31, random);
    const auto all = gradients_of(*model, tokens, targets);
    freeze_before_last(*model, 1);
    const auto some = gradients_of(*model, tokens, targets);
    CHECK(some.size() < all.size() / 2);
    for (const auto& [name, gradient] : all) {
      CAPTURE(name);
      const bool late = name.find(".2.") != std::string::npos || name.find("norm.") == 6 ||
                        name.find("ln_f") != std::string::npos || name.starts_with("lm_head");
      REQUIRE(some.contains(name) == late);
      if (late) CHECK(relative_error(some.at(name), gradient) <= 1e-6);
    }
    CHECK(state(*model).size() == all.size());
    CHECK_THROWS_WITH_AS(freeze_before_last(*model, 4), "the last 4 blocks cannot learn: the model has 3",
                         Error);
  }
}

TEST_CASE("low rank: what cannot be is refused") {
  const auto models = families_of(default_backend());
  Random random{3};
  CHECK_THROWS_WITH_AS(add_low_rank(*models[0], {}, random, [](const std::string&) { return false; }),
                       "no product is to have a way of low rank beside it", Error);
  CHECK_THROWS_WITH_AS(add_low_rank(*models[0], {.rank = 17}, random, everywhere),
                       doctest::Contains("a rank of 17 beside transformer.h.0.attn.c_attn"), Error);
}
