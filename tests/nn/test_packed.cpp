// Models whose weights are packed for generation: near the model they were, in every family, and only for
// that.
#include <doctest/doctest.h>

#include <array>

#include "nn/adapt.h"
#include "nn/llama.h"
#include "tests/nn/models.h"

using namespace chapbook;

namespace {

// Widths that are no multiples of 32; llama with a head of its own and shared keys.
std::unique_ptr<LanguageModel> model_of(std::string_view family, Backend& on) {
  std::unique_ptr<LanguageModel> model;
  if (family == "gpt2")
    model = std::make_unique<GPT>(
        GPTConfig{.layers = 2, .heads = 3, .width = 42, .context = 24, .vocabulary = 71}, on);
  else
    model = std::make_unique<Llama>(LlamaConfig{.layers = 2,
                                                .heads = 4,
                                                .key_heads = 2,
                                                .width = 40,
                                                .head_width = 10,
                                                .inner = 100,
                                                .context = 24,
                                                .vocabulary = 71,
                                                .tied = family == "llama, tied"},
                                    on);
  scramble(*model, 5, 0.1);
  return model;
}

}  // namespace

TEST_CASE(
    "a packed model's scores are near the model's, in full and with caches, and the same alone and "
    "together") {
  for (const std::string_view on : {"cpu", "reference"})
    for (const std::string_view family : {"gpt2", "llama", "llama, tied"})
      for (const Packing packing : {Packing::bf16, Packing::int8}) {
        INFO(family, " as ", name_of(packing), " on ", on);
        const auto whole = model_of(family, backend(on)), packed = model_of(family, backend(on));
        packed->pack_weights(packing);
        CHECK(packed->packed());
        // 1 + 1/8 bytes a number and not 4, and what fills panels and groups up: at these widths as much as 2
        // bytes a number would save. tests/tensor/test_packed.cpp counts both.
        if (packing == Packing::int8) CHECK(packed->weight_bytes() < whole->weight_bytes() * 0.65);
        NoGrad no_grad;
        Random random{12};
        const Tensor tokens = random_ids({2, 16}, 71, random, backend(on));
        const Tensor exact = (*whole)(tokens).value(), rounded = (*packed)(tokens).value();
        // bf16 keeps 8 bits of a number; int8 7 and a sign of the largest of 32, on both sides.
        const double error = relative_error(rounded, exact);
        CHECK(error <= (packing == Packing::bf16 ? 0.01 : 0.03));
        CHECK(error > 1e-4);  // it was rounded
        packed->each_logits(tokens, [&](int64_t first, const Tensor& logits) {
          const Tensor rows = rounded.reshape({32, 71});
          CHECK(same_bits(logits, rows.slice(0, first, first + logits.size(0)).contiguous_copy()));
        });
        const auto part = [&](int64_t b, int64_t from, int64_t to) {
          return tokens.slice(0, b, b + 1).slice(1, from, to).contiguous_copy();
        };
        LanguageModel::Caches first = packed->caches(), second = packed->caches(), alone = packed->caches();
        LanguageModel::Caches* const both[] = {&first, &second};
        packed->next(part(0, 0, 3), first);
        for (int64_t at = 0; at + 3 < 16; ++at) {
          const Tensor next =
              packed->next(concatenate(std::array{part(0, at + 3, at + 4), part(1, at, at + 1)}, 0), both);
          CHECK(same_bits(next.slice(0, 1, 2).contiguous_copy(), packed->next(part(1, at, at + 1), alone)));
          // Attention's sums over caches are ordered otherwise, and a number may then round to its neighbour;
          // and in full there are more than few rows, of which bf16 may round both sides.
          CHECK(relative_error(next.select(0, 0), rounded.select(0, 0).select(0, at + 3)) <=
                (packing == Packing::bf16 ? 1e-2 : 5e-3));
        }
      }
}

TEST_CASE("a packed model says what it is not for") {
  for (const std::string_view family : {"gpt2", "llama"}) {
    const auto model = model_of(family, default_backend());
    Random random{1};
    const Tensor tokens = random_ids({1, 4}, 71, random);
    model->pack_weights(Packing::int8);
    CHECK_THROWS_WITH(model->pack_weights(Packing::bf16), "the model's weights are packed already, as int8");
    CHECK_THROWS_WITH(model->loss(tokens, tokens), doctest::Contains("packed as int8"));
    CHECK_THROWS_WITH((*model)(tokens), doctest::Contains("has no gradients; open it with weights in f32"));
    NoGrad no_grad;
    CHECK((*model)(tokens).shape() == Shape{1, 4, 71});
  }
}

TEST_CASE("ways of low rank stay beside packed matrices") {
  const auto whole = model_of("gpt2", default_backend()), packed = model_of("gpt2", default_backend());
  for (LanguageModel* model : {whole.get(), packed.get()}) {
    Random random{3};
    add_low_rank(*model, {}, random, [](const std::string& name) { return name.ends_with("c_fc"); });
    for (const Parameter& each : parameters(*model))
      if (each.name.ends_with("lora_B")) start_at(each.variable, 0.3);
  }
  packed->pack_weights(Packing::bf16);
  NoGrad no_grad;
  Random random{4};
  const Tensor tokens = random_ids({1, 9}, 71, random);
  CHECK(relative_error((*packed)(tokens).value(), (*whole)(tokens).value()) <= 0.01);
}
