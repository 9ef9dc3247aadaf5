// Attention in bf16 by instructions for pairs and tiles: the same as by f32, but for the roundings that this
// adds.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/operand.h"

using namespace chapbook;

// Shares of attention, and gradients of scores, are rounded to bf16 before they are multiplied: 2^-9 of
// themselves each, and results once more. With a factor of two for sums in which signs meet.
static constexpr double two_roundings = 0x1p-7;

TEST_CASE("cpu: attention of bf16 over slices of one tensor, in pairs and tiles and without") {
  struct Sizes {
    int64_t B, H, shared, T, S, D;
    double size;  // of the numbers: large ones make scores of which one takes all
  };
  with_vectors({"portable", "avx512bf16", "amx", "avx512bf16-as-written", "amx-as-written"}, [] {
    for (const auto& [B, H, shared, T, S, D, size] : {Sizes{1, 1, 1, 8, 8, 1, 1},
                                                      {2, 3, 1, 33, 33, 16, 1},
                                                      {1, 2, 1, 130, 130, 33, 1},
                                                      {1, 4, 2, 64, 64, 64, 1},
                                                      {1, 1, 1, 1, 75, 32, 1},
                                                      {1, 2, 2, 9, 200, 20, 1},
                                                      {1, 1, 1, 70, 140, 8, 6}}) {
      CAPTURE(T);
      CAPTURE(S);
      CAPTURE(D);
      const int64_t keys = H / shared;  // (B, T, 3, H, D) as a projection leaves q, k and v
      const auto slice = [](View x, int64_t which) { return x.select(2, which).transpose(1, 2); };
      const double scale = 1 / std::sqrt(static_cast<double>(D));
      const Call forward = [&](Backend& b, Operands& x) {
        b.attention(slice(x[0].view(), 0), slice(x[1].view(), 0), slice(x[1].view(), 1), scale, x[2].view(),
                    x[3].view());
      };
      const auto rows = [&] { return Operand({B, H, T, D}, DType::bf16, {0, 2, 1, 3}); };
      Operands operands = {Operand({B, T, 1, H, D}, DType::bf16).normal(1, size),
                           Operand({B, S, 2, keys, D}, DType::bf16).normal(2, size), rows(),
                           Operand({B, H, T})};
      agree("attention", operands, two_roundings, forward);
      forward(reference(), operands);
      Operands backward = operands;
      backward.push_back(rows().normal(3));
      backward.push_back(Operand({B, T, 1, H, D}, DType::bf16));
      backward.push_back(Operand({B, S, 2, keys, D}, DType::bf16));
      agree("attention_backward", backward, 2 * two_roundings, [&](Backend& b, Operands& x) {
        b.attention_backward(slice(x[0].view(), 0), slice(x[1].view(), 0), slice(x[1].view(), 1), scale,
                             x[2].view(), x[3].view(), x[4].view(), slice(x[5].view(), 0),
                             slice(x[6].view(), 0), slice(x[6].view(), 1));
      });
    }
  });
}

TEST_CASE("cpu: a query's bits in bf16 do not depend on what comes after it") {
  constexpr int64_t T = 70, D = 32;
  with_vectors({"avx512bf16", "amx", "avx512bf16-as-written", "amx-as-written"}, [] {
    Operand q = Operand({1, 1, T, D}, DType::bf16).normal(1),
            k = Operand({1, 1, T, D}, DType::bf16).normal(2),
            v = Operand({1, 1, T, D}, DType::bf16).normal(3), sums({1, 1, T});
    Operand whole({1, 1, T, D}, DType::bf16), part({1, 1, T, D}, DType::bf16);
    cpu_backend().attention(q.view(), k.view(), v.view(), 0.5, whole.view(), sums.view());
    constexpr int64_t some = 41;
    const auto first = [](Operand& x) { return x.view().slice(2, 0, some); };
    cpu_backend().attention(first(q), first(k), first(v), 0.5, first(part), sums.view().slice(2, 0, some));
    bool same = true;
    for (int64_t i = 0; i < some * D; ++i)
      same = same && whole.view().as<bf16>()[i].bits == part.view().as<bf16>()[i].bits;
    CHECK(same);
  });
}
