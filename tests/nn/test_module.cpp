// Parameters: their names, counts, loading and initialisation.
#include <doctest/doctest.h>

#include <array>
#include <numbers>

#include "tests/nn/models.h"

using namespace chapbook;

static const GPTConfig tiny{.layers = 2, .heads = 2, .width = 8, .context = 6, .vocabulary = 11};

TEST_CASE("names are those of GPT-2's checkpoints, in reading order") {
  GPTConfig config = tiny;
  config.layers = 1;
  const std::string h = "transformer.h.0.";
  const std::vector<std::string> with_bias{
      "transformer.wte.weight", "transformer.wpe.weight", h + "ln_1.weight",         h + "ln_1.bias",
      h + "attn.c_attn.weight", h + "attn.c_attn.bias",   h + "attn.c_proj.weight",  h + "attn.c_proj.bias",
      h + "ln_2.weight",        h + "ln_2.bias",          h + "mlp.c_fc.weight",     h + "mlp.c_fc.bias",
      h + "mlp.c_proj.weight",  h + "mlp.c_proj.bias",    "transformer.ln_f.weight", "transformer.ln_f.bias"};
  for (const bool bias : {true, false}) {
    config.bias = bias;
    GPT model(config);
    std::vector<std::string> names, expected = with_bias;
    for (const Parameter& parameter : parameters(model)) names.push_back(parameter.name);
    if (!bias) std::erase_if(expected, [](const std::string& name) { return name.ends_with("bias"); });
    CHECK(names == expected);
  }
}

TEST_CASE("the count from the configuration is the count of the model") {
  for (const bool bias : {true, false}) {
    for (const GPTConfig& config : {tiny, GPTConfig{3, 4, 20, 9, 37}, GPTConfig{}}) {
      GPTConfig each = config;
      each.bias = bias;
      GPT model(each);
      CHECK(parameter_count(each) == count_parameters(model));
    }
  }
  // GPT-2's published sizes, small to XL (Radford et al. 2019; as transformers counts them).
  CHECK(parameter_count({12, 12, 768, 1024, 50257}) == 124'439'808);
  CHECK(parameter_count({24, 16, 1024, 1024, 50257}) == 354'823'168);
  CHECK(parameter_count({48, 25, 1600, 1024, 50257}) == 1'557'611'200);
}

TEST_CASE("a model that cannot be is refused") {
  CHECK_THROWS_WITH_AS(GPT({.heads = 3, .width = 8}), "gpt: width 8 does not divide into 3 heads", Error);
  CHECK_THROWS_WITH_AS(GPT({.layers = 0}),
                       "gpt: layers 0, width 128, context 128 and vocabulary 2048 must all be positive",
                       Error);
}

TEST_CASE("loading is strict: all that is wrong in one error, and nothing changes") {
  GPTConfig config = tiny;
  config.layers = 1;
  GPT model(config);
  scramble(model, 1);
  NamedTensors tensors;
  for (const auto& [name, tensor] : state(model)) tensors.emplace_back(name, tensor * 2);
  const std::vector<float> before = state(model)[0].second.to_vector<float>();

  NamedTensors wrong;
  for (const auto& [name, tensor] : tensors) {
    if (name == "transformer.h.0.ln_1.bias" || name == "transformer.ln_f.weight") continue;
    wrong.emplace_back(name, name == "transformer.h.0.mlp.c_fc.weight" ? tensor.transpose(0, 1) : tensor);
  }
  wrong.emplace_back("lm_head.weight", Tensor::zeros({11, 8}));
  CHECK_THROWS_WITH_AS(load(model, wrong),
                       "load: the tensors are not this model's:\n"
                       "  missing: transformer.h.0.ln_1.bias (8,)\n"
                       "  misshapen: transformer.h.0.mlp.c_fc.weight is (32, 8), the model has (8, 32)\n"
                       "  missing: transformer.ln_f.weight (8,)\n"
                       "  extra: lm_head.weight (11, 8)",
                       Error);
  CHECK(state(model)[0].second.to_vector<float>() == before);

  load(model, tensors);
  for (size_t i = 0; i < tensors.size(); ++i) CHECK(same_bits(state(model)[i].second, tensors[i].second));
}

TEST_CASE("loading converts dtypes, moves between backends and takes views, and copies") {
  for (const std::string_view from : backend_names()) {
    for (const std::string_view to : backend_names()) {
      Linear layer(3, 2, true, backend(to));
      const Tensor weight =
          Tensor::from(std::vector<double>{1, 2, 3, 4, 5, 6}, {2, 3}, backend(from)).transpose(0, 1);
      const Tensor bias = Tensor::full({2}, 0.5, DType::bf16, backend(from));
      load(layer, {{"bias", bias}, {"weight", weight}});
      CHECK(layer.weight.value().dtype() == DType::f32);
      CHECK(layer.weight.value().to_vector<float>() == std::vector<float>{1, 4, 2, 5, 3, 6});
      CHECK(layer.bias.value().to_vector<float>() == std::vector<float>{0.5, 0.5});
      bias.backend().fill(bias.view(), 9);
      CHECK(layer.bias.value().to_vector<float>() == std::vector<float>{0.5, 0.5});
    }
  }
}

TEST_CASE("the head is the token embedding: one parameter whose gradient sums both uses") {
  for (const std::string_view name : backend_names()) {
    GPT model(tiny, backend(name));
    scramble(model, 3);
    Random random{4};
    const Tensor tokens = random_ids({2, 6}, tiny.vocabulary, random, backend(name));
    const Tensor targets = random_ids({2, 6}, tiny.vocabulary, random, backend(name));
    backward(model.loss(tokens, targets));
    const Variable wte = parameters(model)[0].variable;

    // By central differences, for tokens that are in the text and for the head alone. In float32 a difference
    // of losses is good to about three digits.
    const auto loss_with = [&](int64_t row, double change) {
      const View place = wte.value().view().select(0, row).select(0, 2);
      float* number = place.as<float>();
      const float before = *number;
      *number = static_cast<float>(before + change);
      NoGrad no_grad;
      const double loss = model.loss(tokens, targets).value().item();
      *number = before;
      return loss;
    };
    const std::vector<double> gradient = wte.gradient().select(1, 2).to_vector<double>();
    double distance = 0, length = 0;
    for (int64_t row = 0; row < tiny.vocabulary; ++row) {
      const double slope = (loss_with(row, 1e-2) - loss_with(row, -1e-2)) / 2e-2;
      distance += (gradient[row] - slope) * (gradient[row] - slope);
      length += slope * slope;
    }
    CHECK(std::sqrt(distance / length) <= 3e-3);
  }
}

TEST_CASE("initialisation is GPT-2's") {
  const GPTConfig config{.layers = 8, .heads = 4, .width = 96, .context = 128, .vocabulary = 300};
  for (const std::string_view name : backend_names()) {
    GPT model(config, backend(name));
    scramble(model, 1);  // what was there before is gone
    Random random{2};
    model.initialise(random);
    for (const Parameter& parameter : parameters(model)) {
      CAPTURE(parameter.name);
      const Tensor& value = parameter.variable.value();
      const double average = mean(value).item(), deviation = std::sqrt(var(value).item());
      if (value.rank() == 1) {
        CHECK(average == (parameter.name.ends_with("weight") ? 1 : 0));
        CHECK(deviation == 0);
      } else {
        const double expected = parameter.name.ends_with("c_proj.weight") ? 0.02 / std::sqrt(16.0)
                                : parameter.name.ends_with("wpe.weight")  ? 0.01
                                                                          : 0.02;
        // The deviation of n numbers is itself off by 1 / sqrt(2 n): 0.7 % for the smallest matrix, 9,216.
        CHECK(std::abs(deviation / expected - 1) <= 0.03);
        CHECK(std::abs(average) <= expected * 0.04);
      }
    }
    const auto weight_of = [&](const std::string& wanted) {
      for (const Parameter& each : parameters(model))
        if (each.name == wanted) return each.variable.value();
      return Tensor();
    };
    CHECK_FALSE(same_bits(weight_of("transformer.h.0.mlp.c_fc.weight"),
                          weight_of("transformer.h.1.mlp.c_fc.weight")));
  }
}

TEST_CASE("a layer begins by itself, and learns alone") {
  for (const std::string_view name : backend_names()) {
    Linear layer(64, 48, true, backend(name));
    scramble(layer, 1);
    Random random{2};
    layer.initialise(random);
    // 1 / sqrt(in); the deviation of 3,072 numbers is off by 1.3 %.
    CHECK(std::abs(std::sqrt(var(layer.weight.value()).item()) * 8 - 1) <= 0.05);
    CHECK(layer.bias.value().to_vector<float>() == std::vector<float>(48, 0));
    Embedding table(96, 32, backend(name));
    table.initialise(random);
    CHECK(std::abs(std::sqrt(var(table.weight.value()).item()) / 0.02 - 1) <= 0.05);
    // Two of them with nothing between are still no constant: a gradient comes through.
    const Variable x = normal({5, 64}, random, DType::f32, backend(name));
    Linear last(48, 1, false, backend(name));
    last.initialise(random);
    backward(mean(last(layer(x))));
    CHECK(global_norm(std::array{layer.weight.gradient()}).item() > 0.01);
  }
  struct Bare : Module {
    Variable weight = Variable::parameter(Tensor::zeros({2}));
    void parts(PartVisitor& visit) override { visit("weight", weight); }
  } bare;
  Random random{1};
  CHECK_THROWS_WITH_AS(bare.initialise(random), "initialise: a layer must say how its 'weight' begins",
                       Error);
}

TEST_CASE("a seed makes the weights it always made") {
  GPT model(tiny);
  Random random{7};
  model.initialise(random);
  // Of each matrix the last number: none is drawn in another order or multiplied with another deviation.
  std::vector<float> last;
  for (const auto& [name, tensor] : state(model))
    if (tensor.rank() == 2) last.push_back(tensor.to_vector<float>().back());
  CHECK(last == std::vector<float>{0.028243862, 0.00014666861, -0.035897307, -0.0024857575, 0.008548668,
                                   -0.003669817, -0.00021848535, -0.0015013231, 0.0014094454, 0.01704104});
}

TEST_CASE("the same seed makes the same weights on every backend") {
  std::vector<std::vector<float>> all;
  for (const std::string_view name : backend_names()) {
    GPT model(tiny, backend(name));
    Random random{7};
    model.initialise(random);
    std::vector<float> numbers;
    for (const auto& [each, tensor] : state(model))
      for (const float x : tensor.to_vector<float>()) numbers.push_back(x);
    all.push_back(numbers);
  }
  for (const auto& numbers : all) CHECK(numbers == all[0]);
}

TEST_CASE("a fresh model knows nothing: its loss is ln V") {
  const GPTConfig config{.layers = 4, .heads = 4, .width = 64, .context = 32, .vocabulary = 1000};
  for (const std::string_view name : backend_names()) {
    GPT model(config, backend(name));
    Random random{3};
    model.initialise(random);
    const Tensor tokens = random_ids({4, 32}, config.vocabulary, random, backend(name));
    const Tensor targets = random_ids({4, 32}, config.vocabulary, random, backend(name));
    // Logits have a deviation of 0.02 sqrt(C) = 0.16, which adds half its square, 0.013.
    CHECK(std::abs(model.loss(tokens, targets).value().item() - std::log(1000.0)) <= 0.05);
    const double smooth = model.loss(tokens, targets, 0.1).value().item();
    CHECK(std::abs(smooth - std::log(1000.0)) <= 0.05);
  }
}
