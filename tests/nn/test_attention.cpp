// Attention: the op against its definition in small steps, and generation with a cache against the full
// forward pass.
#include <doctest/doctest.h>

#include "tests/nn/models.h"

using namespace chapbook;

// y and d sum(y * dy) / d qkv.
static std::pair<Tensor, Tensor> with_gradient(Variable (*f)(const Variable&, int64_t), const Tensor& qkv,
                                               int64_t heads, const Tensor& dy) {
  const Variable x = Variable::parameter(qkv);
  const Variable y = f(x, heads);
  backward(y, dy);
  return {y.value(), x.gradient()};
}

TEST_CASE("attention is what its definition says, value and gradient") {
  struct Case {
    int64_t B, T, heads, D;
  };
  for (const std::string_view name : backend_names()) {
    for (const auto& [B, T, heads, D] :
         {Case{2, 7, 3, 4}, {1, 1, 2, 8}, {3, 16, 1, 5}, {1, 67, 4, 16}, {2, 130, 2, 32}}) {
      for (const DType dtype : {DType::f64, DType::f32}) {
        CAPTURE(name);
        CAPTURE(T);
        CAPTURE(name_of(dtype));
        Random random{static_cast<uint64_t>(T)};
        const Tensor qkv = normal({B, T, 3 * heads * D}, random, dtype, backend(name)) * 2;
        const Tensor dy = normal({B, T, heads * D}, random, dtype, backend(name));
        const auto [y, dqkv] = with_gradient(attention, qkv, heads, dy);
        const auto [expected, dexpected] = with_gradient(attention_in_steps, qkv, heads, dy);
        const double tolerance = dtype == DType::f64 ? 1e-12 : 2e-6;
        CHECK(relative_error(y, expected) <= tolerance);
        CHECK(relative_error(dqkv, dexpected) <= tolerance);
      }
    }
  }
}

// y and the gradients of q, k and v.
static std::vector<Tensor> with_gradients(Variable (*f)(const Variable&, const Variable&, const Variable&),
                                          const std::vector<Tensor>& q_k_v, const Tensor& dy) {
  std::vector<Variable> x;
  for (const Tensor& each : q_k_v) x.push_back(Variable::parameter(each));
  const Variable y = f(x[0], x[1], x[2]);
  backward(y, dy);
  return {y.value(), x[0].gradient(), x[1].gradient(), x[2].gradient()};
}

TEST_CASE("attention with fewer heads of keys is what its definition says, and moves no keys") {
  struct Case {
    int64_t B, H, K, T, S, D;
  };
  for (const std::string_view name : backend_names()) {
    for (const auto& [B, H, K, T, S, D] :
         {Case{2, 6, 3, 7, 7, 4}, {2, 4, 1, 1, 9, 8}, {3, 4, 4, 3, 5, 4}, {1, 6, 2, 67, 67, 16}}) {
      CAPTURE(name);
      CAPTURE(T);
      Backend& device = backend(name);
      Random random{static_cast<uint64_t>(T)};
      // As they come from a product: (B, T, heads D), of which (B, heads, T, D) is a view.
      const auto drawn = [&](int64_t places, int64_t heads) {
        return split_heads(normal({B, places, heads * D}, random, DType::f64, device), heads).value();
      };
      const std::vector<Tensor> q_k_v = {drawn(T, H), drawn(S, K), drawn(S, K)};
      const Tensor dy = normal({B, T, H * D}, random, DType::f64, device);
      const auto ours = with_gradients(attention, q_k_v, dy),
                 expected = with_gradients(attention_in_steps, q_k_v, dy);
      for (size_t i = 0; i < ours.size(); ++i) CHECK(relative_error(ours[i], expected[i]) <= 1e-12);
    }
  }
}

TEST_CASE("attention looks back only") {
  for (const std::string_view name : backend_names()) {
    Random random{5};
    const Tensor qkv = normal({1, 9, 3 * 8}, random, DType::f32, backend(name));
    const Tensor before = attention(Variable(qkv), 2).value().contiguous_copy();
    qkv.backend().fill(qkv.view().slice(1, 6, 9), 100);  // change the last three places
    const Tensor after = attention(Variable(qkv), 2).value();
    CHECK(same_bits(before.slice(1, 0, 6), after.slice(1, 0, 6)));
    CHECK_FALSE(same_bits(before.slice(1, 6, 7), after.slice(1, 6, 7)));
  }
}

TEST_CASE("the cache gives what the full forward pass gives, at every place, however the text is cut") {
  const GPTConfig config{.layers = 3, .heads = 4, .width = 32, .context = 16, .vocabulary = 61};
  for (const std::string_view name : backend_names()) {
    for (const bool bias : {true, false}) {
      GPTConfig each = config;
      each.bias = bias;
      GPT model(each, backend(name));
      scramble(model, 11);
      Random random{12};
      const int64_t B = 2, T = config.context;
      const Tensor tokens = random_ids({B, T}, config.vocabulary, random, backend(name));
      const Tensor logits = model(tokens).value();
      for (const std::vector<int64_t>& chunks :
           {std::vector<int64_t>(T, 1), {5, 1, 3, 7}, {1, 15}, {15, 1}, {16}}) {
        GPT::Caches first = model.caches(), second = model.caches();
        GPT::Caches* const caches[] = {&first, &second};
        int64_t at = 0;
        for (const int64_t chunk : chunks) {
          const Tensor next = model.next(tokens.slice(1, at, at + chunk).contiguous_copy(), caches);
          at += chunk;
          CAPTURE(name);
          CAPTURE(chunks.size());
          CAPTURE(at);
          // Two float32 passes of three layers, products of other shapes: measured below 1e-6.
          CHECK(relative_error(next, logits.select(1, at - 1)) <= 5e-6);
        }
        CHECK(at == T);
      }
    }
  }
}

// Servers compute the tokens of different texts together, and the text of one must not depend on the others.
TEST_CASE("a token computed together with others has the bits of one computed alone") {
  for (const std::string_view name : backend_names()) {
    if (name == "cuda") continue;  // cuBLAS chooses its products by their shapes, and promises nothing
    CAPTURE(name);
    const GPTConfig config{.layers = 2, .heads = 4, .width = 48, .context = 20, .vocabulary = 61};
    GPT model(config, backend(name));
    scramble(model, 11);
    Random random{12};
    const int64_t most = name == "simt" ? 3 : GPT::together;
    std::vector<GPT::Caches> alone, joined;
    std::vector<GPT::Caches*> pointers;
    const auto ids = [&](int64_t count) {
      return random_ids({1, count}, config.vocabulary, random, backend(name));
    };
    for (int64_t b = 0; b < most; ++b) {  // texts of different lengths
      const Tensor prompt = ids(1 + b);
      alone.push_back(model.caches()), joined.push_back(model.caches());
      model.next(prompt, alone[b]), model.next(prompt, joined[b]);
    }
    for (GPT::Caches& caches : joined) pointers.push_back(&caches);
    for (int64_t rows = 1; rows <= most; ++rows) {  // one more joins at each step
      if (rows > 4 && rows % 4) continue;
      std::vector<Tensor> tokens;
      for (int64_t b = 0; b < rows; ++b) tokens.push_back(ids(1));
      const Tensor logits = model.next(concatenate(tokens, 0), std::span(pointers).first(rows));
      for (int64_t b = 0; b < rows; ++b)
        CHECK(same_bits(logits.slice(0, b, b + 1), model.next(tokens[b], alone[b])));
    }
  }
}

TEST_CASE("a full cache says so") {
  GPT model({.layers = 1, .heads = 1, .width = 4, .context = 4, .vocabulary = 5});
  GPT::Caches caches = model.caches();
  const Tensor tokens = Tensor::zeros({1, 3}, DType::i32);
  model.next(tokens, caches);
  CHECK_THROWS_WITH_AS(model.next(tokens, caches), "model: 6 tokens are more than the context of 4", Error);
  CHECK_THROWS_WITH_AS(model(Tensor::zeros({1, 5}, DType::i32)),
                       "model: 5 tokens are more than the context of 4", Error);
  CHECK_THROWS_WITH_AS(model(Tensor::zeros({4}, DType::i32)), "model: tokens of shape (4,), not (B, T)",
                       Error);
}
