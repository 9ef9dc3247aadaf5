// The gradient of every op: by central differences, and on every backend, dtype and layout against the
// reference's in f64.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/run_case.h"

namespace chapbook {

static double dot(const Numbers64& a, const Numbers64& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// d (y . dy) / d x for every number x of every input, by (f(x + h) - f(x - h)) / 2h, which is off by h^2 / 6
// times the third derivative and by the rounding of f over h: 1e-9 or so in f64 for h = 1e-5.
static std::vector<Numbers64> differences(const OpCase& row, const std::vector<Shape>& shapes,
                                          Backend& backend) {
  const double h = 1e-5;
  std::vector<Numbers64> numbers, slopes;
  for (size_t i = 0; i < shapes.size(); ++i)
    numbers.push_back(numbers_for(row.domain, shapes[i], static_cast<int>(i)));
  OpCase values = row;
  values.gradient = false;
  const auto value = [&] {
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < shapes.size(); ++i)
      inputs.push_back(tensor_of(numbers[i], shapes[i], DType::f64, backend));
    const Computed outcome = run(values, inputs);
    return dot(outcome.y, numbers_for(dy_domain, outcome.shape, 9));
  };
  for (Numbers64& input : numbers) {
    slopes.emplace_back();
    for (double& x : input) {
      const double here = x;
      x = here + h;
      const double above = value();
      x = here - h;
      slopes.back().push_back((above - value()) / (2 * h));
      x = here;
    }
  }
  return slopes;
}

TEST_CASE("gradients are slopes: central differences in f64 on every backend") {
  Tally tally;
  for (const OpCase& row : tested_cases()) {
    if (!row.gradient) continue;
    for (Backend* backend : tested_backends()) {
      const auto& shapes = row.shapes[0];
      std::vector<Tensor> inputs;
      for (size_t i = 0; i < shapes.size(); ++i)
        inputs.push_back(tensor_of(numbers_for(row.domain, shapes[i], static_cast<int>(i)), shapes[i],
                                   DType::f64, *backend));
      const Computed outcome = run(row, inputs);
      const auto slopes = differences(row, shapes, *backend);
      for (size_t i = 0; i < inputs.size(); ++i) {
        const double error = relative_error(outcome.gradients[i], slopes[i]);
        if (!(error <= 1e-7))
          FAIL_CHECK(row.name, " on ", backend->name(), ": the gradient of input ", i, " is off by ", error);
      }
      tally.count(*backend, row.name);
    }
  }
  MESSAGE("central differences: ", tally.to_string());
}

TEST_CASE("gradients are on every backend, dtype and layout what the reference gives in f64") {
  const std::vector<Backend*> backends = tested_backends();
  Backend& reference = backend("reference");
  Tally tally;
  for (const OpCase& row : tested_cases()) {
    if (!row.gradient) continue;
    for (const auto& shapes : row.shapes)
      for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
        std::vector<Tensor> exact, rounded;
        for (size_t i = 0; i < shapes.size(); ++i) {
          const Numbers64 numbers = numbers_for(row.domain, shapes[i], static_cast<int>(i));
          rounded.push_back(tensor_of(numbers, shapes[i], dtype, reference));
          exact.push_back(rounded.back().to(DType::f64));
        }
        const Computed usual = run(row, exact), repeated = run(row, exact, Layout::repeated);
        for (Backend* backend : backends) {
          std::vector<Tensor> inputs;
          for (const Tensor& x : rounded) inputs.push_back(x.to(*backend));
          for (Layout layout : all_layouts) {
            INFO(row.name, " of ", shapes[0].to_string(), " ", name_of(dtype), " ", name_of(layout), " on ",
                 backend->name());
            Computed got;
            REQUIRE_NOTHROW(got = run(row, inputs, layout));
            const Computed& wanted = layout == Layout::repeated ? repeated : usual;
            for (size_t i = 0; i < inputs.size(); ++i) {
              // The gradient of softmax is 0 where all that arrives is equal.
              const double error =
                  relative_error(got.gradients[i], wanted.gradients[i], norm(usual.gradients[i]));
              if (!(error <= row.sensitivity * tolerance(dtype)))
                FAIL_CHECK("the gradient of input ", i, " is off by ", error);
            }
            tally.count(*backend, row.name);
          }
        }
      }
  }
  MESSAGE("gradients: ", tally.to_string());
}

}  // namespace chapbook
