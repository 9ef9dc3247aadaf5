// What a model costs: the formulas against counts made another way.
#include <doctest/doctest.h>

#include "tests/nn/models.h"

using namespace chapbook;

// Every product of a forward and a backward pass over one sequence, counted one by one. A product of (m, k)
// with (k, n) costs 2 m k n; a product with a weight comes back as two such, one for each side's gradient.
static double counted_flops(int64_t layers, int64_t C, int64_t T, int64_t V) {
  const auto product = [](double m, double k, double n) { return 2 * m * k * n; };
  const auto linear = [&](int64_t in, int64_t out) { return 3 * product(T, in, out); };
  double total = linear(C, V);  // the head
  for (int64_t layer = 0; layer < layers; ++layer) {
    total += linear(C, 3 * C) + linear(C, C) + linear(C, 4 * C) + linear(4 * C, C);
    for (int64_t t = 0; t < T; ++t) {
      const int64_t seen = t + 1;
      total +=
          product(1, C, seen) + product(1, seen, C);  // scores and their weighted sum, all heads together
      total += product(1, C, seen);                   // backward: the scores again,
      total += product(1, C, seen);                   // d weights = dy v^T,
      total += product(seen, 1, C);                   // dv = weights^T dy,
      total += product(1, seen, C);                   // dq = d scores k,
      total += product(seen, 1, C);                   // dk = d scores^T q
    }
  }
  return total;
}

TEST_CASE("operations per token are the count of all products") {
  for (const GPTConfig& config :
       {GPTConfig{2, 2, 8, 5, 11}, GPTConfig{1, 1, 4, 1, 3}, GPTConfig{6, 6, 384, 128, 4096}}) {
    const double counted = counted_flops(config.layers, config.width, config.context, config.vocabulary);
    CHECK(training_flops_per_token(config) * static_cast<double>(config.context) ==
          doctest::Approx(counted).epsilon(1e-12));
  }
}

TEST_CASE("what a step keeps between forward and backward is what was planned") {
  for (const std::string_view name : backend_names()) {
    if (name != "cpu") continue;  // the same Tensors live on every backend; the reference is slow
    Backend& device = backend(name);
    for (const GPTConfig& config :
         {GPTConfig{.layers = 4, .heads = 4, .width = 64, .context = 64, .vocabulary = 512},
          GPTConfig{.layers = 4, .heads = 4, .width = 64, .context = 64, .vocabulary = 512, .dropout = 0.1},
          GPTConfig{.layers = 2, .heads = 2, .width = 128, .context = 32, .vocabulary = 64, .bias = false}})
      for (const DType dtype : {DType::f32, DType::bf16}) {
        const int64_t batch = 8;
        GPT model(config, device);
        scramble(model, 1, 0.1);
        Random random{1};
        model.train_with(&random);
        model.compute_in(dtype);
        const Tensor tokens = random_ids({batch, config.context}, config.vocabulary, random, device);
        const auto live = [&] { return static_cast<double>(device.blocks().live_bytes()); };

        const double before = live();
        device.blocks().reset_peak();
        const Variable loss = model.loss(tokens, tokens);
        const auto bytes = static_cast<double>(size_of(dtype));
        const double logits = bytes * static_cast<double>(tokens.count() * config.vocabulary);
        // The tile of logits and the result of the last norm are gone by then, and so are the head's rounded
        // weights; their gradient is there.
        const double norm = bytes * static_cast<double>(tokens.count() * config.width);
        const double head =
            (dtype == DType::f32 ? 4.0 : 4.0 - bytes) * static_cast<double>(config.vocabulary * config.width);
        const double kept = live() - before + logits + norm - head;
        backward(loss);
        const double peak = static_cast<double>(device.blocks().peak_bytes()) - before;
        const double gradients = 4.0 * static_cast<double>(count_parameters(model));
        const double planned = static_cast<double>(activation_bytes(config, batch, false, dtype, device));
        MESSAGE(name_of(dtype), ": planned ", planned, ", kept ", kept / planned, " of it, peak ",
                peak / planned);
        // Blocks are rounded up to shared sizes, and a step needs some room to work in.
        CHECK(kept >= 0.98 * planned);
        CHECK(kept <= 1.05 * planned);
        CHECK(peak >= 0.98 * planned);
        // Where half types are emulated, an op also has its operands in f32.
        if (dtype == DType::f32) CHECK(peak <= 1.1 * planned + gradients);
      }
  }
}

TEST_CASE("the loss from tiles of logits is the loss from all of them") {
  for (const std::string_view name : backend_names()) {
    if (name != "cpu") continue;  // large: the reference would take its time
    Backend& device = backend(name);
    const int64_t N = 1100, V = 8200, C = 3;
    CHECK(logits_at_once(N, V, device) < N);
    Random random{1};
    const Tensor x = normal({N, C}, random, DType::f32, device),
                 w = normal({V, C}, random, DType::f32, device);
    const Tensor targets = random_ids({N}, V, random, device);
    const auto run = [&](auto f) {
      const Variable rows = Variable::parameter(x), weight = Variable::parameter(w);
      const Variable loss = f(rows, weight);
      backward(loss);
      return std::array{loss.value(), rows.gradient(), weight.gradient()};
    };
    const auto tiled = run([&](const Variable& rows, const Variable& weight) {
      return linear_cross_entropy(rows, weight, targets);
    });
    const auto whole = run([&](const Variable& rows, const Variable& weight) {
      return cross_entropy(matmul(rows, transpose(weight, 0, 1)), targets);
    });
    for (size_t i = 0; i < tiled.size(); ++i) CHECK(relative_error(tiled[i], whole[i]) <= 2e-6);
    // Hidden states of a half type and weights in f32, whose rounded copy is filled up to 8,208 rows.
    const Variable rows = Variable::parameter(x.to(DType::bf16)), weight = Variable::parameter(w);
    const Variable loss = linear_cross_entropy(rows, weight, targets);
    backward(loss);
    CHECK(relative_error(loss.value(), whole[0]) <= 0x1p-6);
    CHECK(relative_error(rows.gradient().to(DType::f32), whole[1]) <= 0x1p-6);
    CHECK(relative_error(weight.gradient(), whole[2]) <= 0x1p-6);
    NoGrad no_grad;
    CHECK(relative_error(linear_cross_entropy(x, w, targets).value(), whole[0]) <= 2e-6);
  }
}
