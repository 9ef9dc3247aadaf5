// The value of every op, on every backend, dtype and layout, against the reference in f64; and what the table
// of rows cannot say: special numbers, and that no op is missing from it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/support/run_case.h"

namespace chapbook {

// A row on one backend against the same on the reference in f64, whose inputs are those numbers as `dtype`
// holds them.
static void compare(const OpCase& row, const std::vector<Shape>& shapes, DType dtype,
                    const std::vector<Backend*>& backends, Tally& tally) {
  Backend& reference = backend("reference");
  OpCase values = row;
  values.gradient = false;
  const Domain domain =
      is_float(dtype) || row.domain.step ? row.domain : Domain{row.domain.low * 9, row.domain.high * 9, 1};
  std::vector<Tensor> exact, rounded;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Numbers64 numbers = numbers_for(domain, shapes[i], static_cast<int>(i));
    rounded.push_back(tensor_of(numbers, shapes[i], dtype, reference));
    exact.push_back(rounded.back().to(DType::f64));
  }
  const Computed wanted = run(values, exact);
  for (Backend* backend : backends) {
    std::vector<Tensor> inputs;
    for (const Tensor& x : rounded) inputs.push_back(x.to(*backend));
    for (Layout layout :
         {Layout::contiguous, Layout::transposed, Layout::sliced, Layout::scattered, Layout::mixed}) {
      INFO(row.name, " of ", shapes[0].to_string(), " ", name_of(dtype), " ", name_of(layout), " on ",
           backend->name());
      Computed got;
      REQUIRE_NOTHROW(got = run(values, inputs, layout));
      CHECK(got.shape == wanted.shape);
      const double error = relative_error(got.y, wanted.y);
      const bool exact_result = !is_float(got.dtype);
      if (!(error <= (exact_result ? 0 : row.sensitivity * tolerance(dtype))))
        FAIL_CHECK("value is off by ", error);
      tally.count(*backend, row.name);
    }
  }
}

TEST_CASE("every op gives on every backend, dtype and layout what the reference gives in f64") {
  const std::vector<Backend*> backends = tested_backends();
  Tally tally;
  for (const OpCase& row : tested_cases())
    for (const auto& shapes : row.shapes)
      for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i32})
        if (is_float(dtype) || row.integers) compare(row, shapes, dtype, backends, tally);
  MESSAGE("values: ", tally.to_string());
}

TEST_CASE("every name of tensor/elementwise.h has a row") {
  std::set<std::string> rows;
  for (const OpCase& row : op_cases()) rows.insert(row.name);
#define CHAPBOOK_CASE(name, operations, formula) CHECK_MESSAGE(rows.count(#name) == 1, "no row for ", #name);
  CHAPBOOK_UNARY_OPS(CHAPBOOK_CASE)
  CHAPBOOK_BINARY_OPS(CHAPBOOK_CASE)
  CHAPBOOK_COMPARISONS(CHAPBOOK_CASE)
#undef CHAPBOOK_CASE
}

// Whether two results are the same number, or close ones, or both NaN. Numbers below 1e-37 are as good as 0
// in f32.
static bool alike(double got, double wanted) {
  if (std::isnan(wanted) || std::isnan(got)) return std::isnan(wanted) && std::isnan(got);
  if (std::fabs(wanted) > 3.4028235e38) return got == std::copysign(INFINITY, wanted);
  return std::fabs(got - wanted) <= 1e-5 * std::fabs(wanted) + 1e-37;
}

TEST_CASE("special numbers mean the same everywhere") {
  const std::vector<float> special = {0.0f,  -0.0f, INFINITY, -INFINITY, NAN,    1e-30f, -1e-30f, 1e4f,
                                      -1e4f, 88.7f, 88.8f,    -87.4f,    -87.2f, 104.f,  -104.f,  0.625f,
                                      1.0f,  -1.0f, 12.0f,    -12.0f,    9.5f,   -30.0f, 1e-8f};
  const int64_t n = static_cast<int64_t>(special.size());
  const Tensor x = Tensor::from(special, {n}, backend("reference")), x64 = x.to(DType::f64);
  for (Backend* to : tested_backends()) {
    const auto same = [&](std::string_view name, const Tensor& got, const Tensor& wanted) {
      const auto g = got.to_vector<double>(), w = wanted.to_vector<double>();
      for (size_t i = 0; i < g.size(); ++i)
        if (!alike(g[i], w[i]))
          FAIL_CHECK(name, " number ", i, " on ", to->name(), ": ", g[i], ", not ", w[i]);
    };
    const Tensor here = x.to(*to);
#define CHAPBOOK_CASE(name, operations, formula) same(#name, name(here), name(x64));
    CHAPBOOK_UNARY_OPS(CHAPBOOK_CASE)
#undef CHAPBOOK_CASE
    const Tensor a = here.reshape({n, 1}), b = here.reshape({1, n});
    const Tensor a64 = x64.reshape({n, 1}), b64 = x64.reshape({1, n});
    for (Binary op :
         {Binary::add, Binary::maximum, Binary::minimum, Binary::pow, Binary::equal, Binary::not_equal,
          Binary::less, Binary::less_equal, Binary::greater, Binary::greater_equal})
      same(name_of(op), binary(op, a, b), binary(op, a64, b64));
    // A NaN wins over every number, wherever it stands.
    for (int64_t at : {0, 1, 35, 69}) {
      std::vector<float> row(70, 1);
      row[at] = NAN;
      const Tensor nan = Tensor::from(row, {70}, *to);
      CHECK(std::isnan(max(nan).item()));
      CHECK(std::isnan(min(nan).item()));
      CHECK(std::isnan(sum(nan).item()));
      CHECK(std::isnan(softmax(nan).to_vector<float>()[3]));
      CHECK(std::isnan(log_softmax(nan).to_vector<float>()[3]));
      CHECK(std::isnan(global_norm(std::vector{nan}).item()));
    }
  }
}

// The formulas are the reference's too: these must be compared with something else.
TEST_CASE("comparisons are those of C++, of equals and NaN too; maximum and minimum keep a NaN") {
  const std::vector<float> values = {1, 2, 0.0f, -0.0f, NAN, INFINITY};
  const auto n = static_cast<int64_t>(values.size());
  using Compare = bool (*)(float, float);
  const std::pair<Binary, Compare> comparisons[] = {
      {Binary::equal, [](float a, float b) { return a == b; }},
      {Binary::not_equal, [](float a, float b) { return a != b; }},
      {Binary::less, [](float a, float b) { return a < b; }},
      {Binary::less_equal, [](float a, float b) { return a <= b; }},
      {Binary::greater, [](float a, float b) { return a > b; }},
      {Binary::greater_equal, [](float a, float b) { return a >= b; }}};
  for (Backend* to : tested_backends()) {
    CAPTURE(to->name());
    const Tensor a = Tensor::from(values, {n, 1}, *to), b = Tensor::from(values, {1, n}, *to);
    for (const auto& [op, wanted] : comparisons) {
      const auto got = binary(op, a, b).to_vector<int>();
      for (size_t i = 0; i < got.size(); ++i)
        CHECK_MESSAGE(got[i] == wanted(values[i / n], values[i % n]), name_of(op), " of ", values[i / n],
                      " and ", values[i % n]);
    }
    const auto most = maximum(a, b).to_vector<float>(), least = minimum(a, b).to_vector<float>();
    for (size_t i = 0; i < most.size(); ++i) {
      const float x = values[i / n], y = values[i % n];
      const bool nan = std::isnan(x) || std::isnan(y);
      CHECK((nan ? std::isnan(most[i]) : most[i] == std::max(x, y)));
      CHECK((nan ? std::isnan(least[i]) : least[i] == std::min(x, y)));
    }
  }
}

TEST_CASE("softmax and cross-entropy survive large numbers and masked places") {
  for (Backend* to : tested_backends()) {
    CAPTURE(to->name());
    const Tensor x = Tensor::from(std::vector<float>{1e4f, 1e4f, -1e4f, -INFINITY}, {1, 4}, *to);
    CHECK(softmax(x).to_vector<float>() == std::vector<float>{0.5f, 0.5f, 0, 0});
    const auto logs = log_softmax(x).to_vector<float>();
    CHECK(logs[0] == doctest::Approx(-std::log(2.0)).epsilon(1e-3));  // 1e4 has steps of 1e-3
    CHECK(logs[3] == -INFINITY);
    const Tensor target = Tensor::from(std::vector<int32_t>{1}, {1}, *to);
    CHECK(cross_entropy(x, target).loss.item() == doctest::Approx(std::log(2.0)).epsilon(2e-3));
    // No row counts: a loss of 0 with a gradient of 0, not 0 / 0.
    const Tensor none = Tensor::from(std::vector<int32_t>{-100}, {1}, *to);
    const Entropy empty = cross_entropy(x, none);
    CHECK(empty.loss.item() == 0);
    const Tensor dx =
        cross_entropy_backward(x, none, {}, empty.log_sum, Tensor::full({}, 1, DType::f32, *to));
    CHECK(dx.to_vector<float>() == std::vector<float>(4, 0.0f));
  }
}

TEST_CASE("triangles: ones up to the diagonal, and above or below it") {
  for (Backend* to : tested_backends()) {
    CHECK(triangle(2, 3, 0, *to).to_vector<int>() == std::vector<int>{1, 0, 0, 1, 1, 0});
    CHECK(triangle(2, 3, 1, *to).to_vector<int>() == std::vector<int>{1, 1, 0, 1, 1, 1});
    CHECK(triangle(3, 2, -1, *to).to_vector<int>() == std::vector<int>{0, 0, 1, 0, 1, 1});
  }
}

TEST_CASE("the first of equals is the largest") {
  for (Backend* to : tested_backends()) {
    const Tensor x = Tensor::from(std::vector<float>{1, 3, 3, 2, 3, 0}, {6}, *to);
    CHECK(argmax(x).item() == 1);
    CHECK(argmax(Tensor::full({40}, 2, DType::f32, *to)).item() == 0);
    CHECK(argmax(Tensor::full({40}, -INFINITY, DType::f32, *to)).item() == 0);
  }
}

TEST_CASE("one wrong number among thousands is an error") {
  Numbers64 wanted(65536, 0.5);
  wanted[7] = 0;
  for (const double wrong : {1.0, -0.5, 0.0, std::nan("")}) {
    Numbers64 got = wanted;
    got[2000] = wrong;
    CHECK(!(relative_error(got, wanted) <= tolerance(DType::bf16)));
  }
  CHECK(relative_error(wanted, wanted) == 0);
}

}  // namespace chapbook
