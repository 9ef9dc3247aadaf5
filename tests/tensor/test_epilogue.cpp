// A product with every part of an Epilogue, alone and together, on every backend and dtype: what a library
// does on the way to memory, and what is left to kernels of our own, must add up to the same.
#include <doctest/doctest.h>

#include "tests/support/run_case.h"

namespace chapbook {
namespace {

enum class Residual { none, other, y };
struct Parts {
  bool bias, sums, before;
  Residual residual;
  Activation activation;
};

struct Results {
  Numbers64 y, before, sums;
};

// Rounded to `dtype` by all, so that results in f64 are those of the same numbers.
Results results_of(const Parts& parts, int64_t m, int64_t n, int64_t k, DType dtype, DType computed,
                   Layout layout, Backend& backend) {
  const auto operand = [&](const Shape& shape, int which) {
    return tensor_of(numbers_for({-1, 1}, shape, which), shape, dtype, backend).to(computed);
  };
  const auto placed = [&](const Shape& shape, int which) { return Placed(operand(shape, which), layout); };
  const Placed a = placed({m, k}, 0), b = placed({k, n}, 1), bias = placed({n}, 2),
               residual = placed({m, n}, 3);
  const Placed y = placed({m, n}, 4), before = placed({m, n}, 5), sums = placed({n}, 6);
  Epilogue epilogue{.activation = parts.activation};
  if (parts.bias) epilogue.bias = bias.tensor().view();
  if (parts.residual != Residual::none)
    epilogue.residual = (parts.residual == Residual::y ? y : residual).tensor().view();
  if (parts.before) epilogue.before = before.tensor().view();
  if (parts.sums) epilogue.b_sums = sums.tensor().view();
  backend.matmul(a.tensor().view(), b.tensor().view(), y.tensor().view(), epilogue);
  for (const Placed* each : {&a, &b, &bias, &residual}) check(each->intact(), "an operand was written to");
  for (const Placed* each : {&y, &before, &sums}) check(each->intact_around(), "a stray write");
  return {y.tensor().to_vector<double>(), before.tensor().to_vector<double>(),
          sums.tensor().to_vector<double>()};
}

template <class F>
void for_all_parts(F f) {
  for (const Activation activation : {Activation::none, Activation::gelu, Activation::gelu_backward})
    for (const bool before : {false, true})
      for (const Residual residual : {Residual::none, Residual::other, Residual::y})
        for (const bool bias : {false, true})
          for (const bool sums : {false, true}) {
            if (before != (activation != Activation::none) && activation != Activation::gelu) continue;
            f(Parts{bias, sums, before, residual, activation});
          }
}

}  // namespace

TEST_CASE("every kernel writes its results: products with all parts of an epilogue") {
  struct Sizes {
    int64_t m, n, k;
  };
  for (const auto& [m, n, k] : {Sizes{9, 16, 5}, {17, 7, 8}})
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16})
      for_all_parts([&](const Parts& parts) {
        const Results wanted =
            results_of(parts, m, n, k, dtype, DType::f64, Layout::contiguous, backend("reference"));
        for (Backend* backend : tested_backends())
          for (const Layout layout : {Layout::contiguous, Layout::sliced}) {
            INFO(m, " ", n, " ", k, " ", name_of(dtype), " ", name_of(layout), " on ", backend->name(),
                 ": bias ", parts.bias, ", sums ", parts.sums, ", before ", parts.before, ", residual ",
                 static_cast<int>(parts.residual), ", activation ", static_cast<int>(parts.activation));
            const Results got = results_of(parts, m, n, k, dtype, dtype, layout, *backend);
            CHECK(relative_error(got.y, wanted.y) <= tolerance(dtype));
            CHECK(relative_error(got.before, wanted.before) <= tolerance(dtype));
            CHECK(relative_error(got.sums, wanted.sums) <= tolerance(dtype));
          }
      });
}

}  // namespace chapbook
