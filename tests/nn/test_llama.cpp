// Llama: the same numbers as PyTorch from a model that transformers wrote (tests/golden/llama.py), its
// parameters, what it costs, and generation with caches against the full forward pass.
#include <doctest/doctest.h>

#include <array>

#include "nn/llama.h"
#include "tests/nn/models.h"

using namespace chapbook;

static const LlamaConfig tiny{.layers = 2,
                              .heads = 6,
                              .key_heads = 3,
                              .width = 24,
                              .head_width = 6,
                              .inner = 20,
                              .context = 16,
                              .vocabulary = 61};

// tests/golden/llama/grouped; matrices lie as (out, in) in the file.
static Llama golden_llama(Backend& backend) {
  Llama model({.layers = 2,
               .heads = 4,
               .key_heads = 2,
               .width = 24,
               .head_width = 10,
               .inner = 40,
               .context = 16,
               .vocabulary = 101,
               .attention_bias = true,
               .mlp_bias = true,
               .tied = false,
               .rope_theta = 500},
              backend);
  NamedTensors tensors = load_tensors(golden_path("llama/grouped/model.safetensors"), backend).tensors;
  for (auto& [name, tensor] : tensors)
    if (name.ends_with("_proj.weight")) tensor = tensor.transpose(0, 1);
  load(model, tensors);
  return model;
}

TEST_CASE("a Llama of transformers gives the same logits, loss and gradients") {
  for (const std::string_view name : backend_names()) {
    CAPTURE(name);
    Llama model = golden_llama(backend(name));
    const auto golden = golden_tensors("llama/grouped/golden.safetensors", backend(name));
    const Tensor &tokens = golden.at("tokens"), &targets = golden.at("targets");
    // As in test_golden.cpp: PyTorch in float32 is itself 1.1e-6 off for the worst gradient.
    constexpr double tolerance = 1e-5;
    CHECK(relative_error(model(tokens).value(), golden.at("logits")) <= tolerance);
    const Variable loss = model.loss(tokens, targets);
    CHECK(relative_error(loss.value(), golden.at("loss")) <= tolerance);
    backward(loss);
    for (const Parameter& parameter : parameters(model)) {
      CAPTURE(parameter.name);
      const Tensor& gradient = parameter.variable.gradient();
      const bool turned = parameter.name.ends_with("_proj.weight");
      CHECK(relative_error(turned ? gradient.transpose(0, 1) : gradient,
                           golden.at("gradient." + parameter.name)) <= tolerance);
    }
    CHECK(golden.size() == 4 + parameters(model).size());
  }
}

TEST_CASE("llama: the counts from the configuration are those of the model") {
  for (const bool bias : {true, false})
    for (const bool tied : {true, false}) {
      LlamaConfig config = tiny;
      config.attention_bias = bias, config.mlp_bias = !bias, config.tied = tied;
      Llama model(config);
      CHECK(parameter_count(config) == count_parameters(model));
    }
  // Published sizes: Llama 2 7B, and Llama 3.2 1B, whose head is tied.
  CHECK(parameter_count(LlamaConfig{.layers = 32,
                                    .heads = 32,
                                    .key_heads = 32,
                                    .width = 4096,
                                    .head_width = 128,
                                    .inner = 11008,
                                    .context = 4096,
                                    .vocabulary = 32000,
                                    .tied = false}) == 6'738'415'616);
  CHECK(parameter_count(LlamaConfig{.layers = 16,
                                    .heads = 32,
                                    .key_heads = 8,
                                    .width = 2048,
                                    .head_width = 64,
                                    .inner = 8192,
                                    .context = 131072,
                                    .vocabulary = 128256}) == 1'235'814'400);
  // Each weight of a product three times 2; attention over half the square, 7 products.
  double products = 0;
  Llama model(tiny);
  for (const auto& [name, tensor] : state(model))
    if (tensor.rank() == 2) products += 6.0 * static_cast<double>(tensor.count());
  CHECK(training_flops_per_token(tiny) == doctest::Approx(products + 7.0 * 2 * 6 * 6 * 17).epsilon(1e-12));
}

TEST_CASE("llama: what cannot be is refused") {
  LlamaConfig config = tiny;
  config.key_heads = 4;
  CHECK_THROWS_WITH_AS(Llama{config}, "llama: 4 heads of keys do not divide 6 heads of queries", Error);
  config = tiny;
  config.head_width = 5;
  CHECK_THROWS_WITH_AS(Llama{config}, "llama: a head of 5 numbers cannot be turned; it must be even", Error);
}

TEST_CASE("llama: what a step keeps between forward and backward is what was planned") {
  Backend& device = backend("cpu");  // the same Tensors live on every backend
  for (const bool tied : {true, false})
    for (const double dropout : {0.0, 0.1})
      for (const DType dtype : {DType::f32, DType::bf16}) {
        const LlamaConfig config{.layers = 4,
                                 .heads = 4,
                                 .key_heads = 2,
                                 .width = 64,
                                 .head_width = 16,
                                 .inner = 160,
                                 .context = 64,
                                 .vocabulary = 512,
                                 .tied = tied,
                                 .dropout = dropout};
        const int64_t batch = 8;
        Llama model(config, device);
        Random random{1};
        model.initialise(random);
        model.train_with(&random);
        model.compute_in(dtype);
        const Tensor tokens = random_ids({batch, config.context}, config.vocabulary, random, device);
        const auto live = [&] { return static_cast<double>(device.blocks().live_bytes()); };
        const double before = live();
        device.blocks().reset_peak();
        const Variable loss = model.loss(tokens, tokens);
        // As in test_cost.cpp: the tile of logits and the result of the last norm are gone by then.
        const auto bytes = static_cast<double>(size_of(dtype));
        const double logits = bytes * static_cast<double>(tokens.count() * config.vocabulary),
                     norm = bytes * static_cast<double>(tokens.count() * config.width);
        const double head =
            (dtype == DType::f32 ? 4.0 : 4.0 - bytes) * static_cast<double>(config.vocabulary * config.width);
        const double kept = live() - before + logits + norm - head;
        backward(loss);
        const double peak = static_cast<double>(device.blocks().peak_bytes()) - before;
        const double planned = static_cast<double>(activation_bytes(config, batch, false, dtype, device));
        MESSAGE(name_of(dtype), ": kept ", kept / planned, " of what was planned, peak ", peak / planned);
        CHECK(kept >= 0.98 * planned);
        CHECK(kept <= 1.05 * planned);
        CHECK(peak >= 0.98 * planned);
      }
}

TEST_CASE("llama: recomputed blocks give the same bits") {
  std::vector<std::vector<float>> gradients[2];
  for (const bool recompute : {false, true}) {
    LlamaConfig config = tiny;
    config.dropout = 0.2;
    Llama model(config);
    scramble(model, 3, 0.1);
    Random random{4};
    const Tensor tokens = random_ids({2, 16}, tiny.vocabulary, random);
    model.train_with(&random, recompute);
    backward(model.loss(tokens, tokens));
    for (const Parameter& each : parameters(model))
      gradients[recompute].push_back(each.variable.gradient().to_vector<float>());
  }
  CHECK(gradients[0] == gradients[1]);
}

TEST_CASE("llama: caches give what the full forward pass gives, for texts of different lengths together") {
  for (const std::string_view name : backend_names()) {
    CAPTURE(name);
    Llama model(tiny, backend(name));
    scramble(model, 11);
    Random random{12};
    const Tensor tokens = random_ids({2, 16}, tiny.vocabulary, random, backend(name));
    const Tensor logits = model(tokens).value();
    const auto part = [&](int64_t b, int64_t from, int64_t to) {
      return tokens.slice(0, b, b + 1).slice(1, from, to).contiguous_copy();
    };
    Llama::Caches first = model.caches(), second = model.caches();
    Llama::Caches* const both[] = {&first, &second};
    model.next(part(0, 0, 3), first);  // the first is three places ahead, from here on
    for (int64_t at = 0; at + 3 < 16; ++at) {
      const Tensor next =
          model.next(concatenate(std::array{part(0, at + 3, at + 4), part(1, at, at + 1)}, 0), both);
      // Two float32 passes, products of other shapes.
      CHECK(relative_error(next.select(0, 0), logits.select(0, 0).select(0, at + 3)) <= 5e-6);
      CHECK(relative_error(next.select(0, 1), logits.select(0, 1).select(0, at)) <= 5e-6);
    }
  }
}

TEST_CASE("llama: a fresh model knows nothing, and its scores know only how far apart places are") {
  for (const std::string_view name : backend_names()) {
    Llama model({.vocabulary = 1000}, backend(name));
    Random random{3};
    model.initialise(random);
    const Tensor tokens = random_ids({4, 32}, 1000, random, backend(name));
    const Tensor targets = random_ids({4, 32}, 1000, random, backend(name));
    // Logits have a deviation of 0.02 sqrt(C) = 0.23; the score of the token just read is larger.
    CHECK(std::abs(model.loss(tokens, targets).value().item() - std::log(1000.0)) <= 0.1);
    // q at place p + 2 times k at place p is the same for every p.
    const Rotary rotary(16, 8, 100, backend(name));
    const Variable x = broadcast_to(normal({1, 1, 1, 8}, random, DType::f32, backend(name)), {1, 1, 16, 8});
    const Tensor q = rotary(x, {}).value().select(0, 0).select(0, 0);
    const std::vector<double> scores = sum(q.slice(0, 2, 16) * q.slice(0, 0, 14), {1}).to_vector<double>();
    for (const double score : scores) CHECK(std::abs(score - scores[0]) <= 1e-5 * std::abs(scores[0]) + 1e-5);
  }
}
