// Ops that are several in one against those several, and against PyTorch: values, and the gradients of all
// operands.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tensor/safetensors.h"
#include "tests/support/run_case.h"

using namespace chapbook;

namespace {

struct FusedCase {
  std::string name;
  std::vector<Shape> shapes;
  std::function<Variable(const Variables&x)> fused, parts;
};

std::vector<FusedCase> fused_cases() {
  const auto affine = [](const Variable& x, const Variable& w, const Variable& b) {
    return matmul(x, w) + b;
  };
  return {
      {"linear",
       {{5, 7, 31}, {31, 33}, {33}},
       [](const Variables& x) { return linear(x[0], x[1], x[2]); },
       [=](const Variables& x) { return affine(x[0], x[1], x[2]); }},
      {"linear with a residual",
       {{35, 31}, {31, 33}, {33}, {35, 33}},
       [](const Variables& x) { return linear(x[0], x[1], x[2], x[3]); },
       [=](const Variables& x) { return affine(x[0], x[1], x[2]) + x[3]; }},
      {"linear without a bias",
       {{1, 31}, {31, 1}},
       [](const Variables& x) { return linear(x[0], x[1], {}); },
       [](const Variables& x) { return matmul(x[0], x[1]); }},
      {"linear of many rows",
       {{1037, 5}, {5, 3}, {3}},
       [](const Variables& x) { return linear(x[0], x[1], x[2]); },
       [=](const Variables& x) { return affine(x[0], x[1], x[2]); }},
      {"mlp",
       {{3, 11, 17}, {17, 65}, {65}, {65, 17}, {17}, {3, 11, 17}},
       [](const Variables& x) { return mlp(x[0], x[1], x[2], x[3], x[4], x[5]); },
       [=](const Variables& x) { return affine(gelu(affine(x[0], x[1], x[2])), x[3], x[4]) + x[5]; }},
      {"mlp alone",
       {{19, 3}, {3, 31}, {31, 7}},
       [](const Variables& x) { return mlp(x[0], x[1], {}, x[2], {}); },
       [](const Variables& x) { return matmul(gelu(matmul(x[0], x[1])), x[2]); }},
  };
}

struct Outcome64 {
  Numbers64 y;
  std::vector<Numbers64> gradients;
};

Outcome64 outcome_of(const std::function<Variable(const Variables& x)>& f, const FusedCase& row, DType dtype,
                     Backend& here) {
  Variables x;
  for (size_t i = 0; i < row.shapes.size(); ++i)
    x.push_back(Variable::parameter(
        tensor_of(numbers_for({-1, 1}, row.shapes[i], static_cast<int>(i)), row.shapes[i], dtype, here)));
  const Variable y = f(x);
  backward(y, tensor_of(numbers_for(dy_domain, y.shape(), 9), y.shape(), dtype, here));
  Outcome64 outcome{y.value().to_vector<double>(), {}};
  for (const Variable& each : x) outcome.gradients.push_back(each.gradient().to_vector<double>());
  return outcome;
}

}  // namespace

TEST_CASE("linear and mlp are their compositions") {
  for (const FusedCase& row : fused_cases())
    for (Backend* here : tested_backends())
      for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
        INFO(row.name, " in ", name_of(dtype), " on ", here->name());
        const Outcome64 fused = outcome_of(row.fused, row, dtype, *here),
                        parts = outcome_of(row.parts, row, dtype, *here);
        // Both round, the composition once for each op: each may be off by a tolerance.
        CHECK(relative_error(fused.y, parts.y) <= 2 * tolerance(dtype));
        for (size_t i = 0; i < fused.gradients.size(); ++i) {
          CAPTURE(i);
          CHECK(relative_error(fused.gradients[i], parts.gradients[i]) <= 2 * tolerance(dtype));
        }
      }
}

// tests/golden/fused.py. Errors are allowed to be four times those of PyTorch, which adds in another order,
// and one rounding, since PyTorch's may happen to be exact.
TEST_CASE("linear, mlp and attention are PyTorch's, in f32 and bf16, at sizes that fill no vector") {
  const TensorFile file =
      load_tensors(CHAPBOOK_SOURCE_DIR "/tests/golden/fused.safetensors", backend("reference"));
  const std::map<std::string, Tensor> golden(file.tensors.begin(), file.tensors.end());
  const auto errors = nlohmann::json::parse(file.metadata.at("errors"));
  const std::map<std::string, std::function<Variable(const Variables& x)>> ops = {
      {"linear", [](const Variables& x) { return linear(x[0], x[1], x[2], x[3]); }},
      {"mlp", [](const Variables& x) { return mlp(x[0], x[1], x[2], x[3], x[4], x[5]); }},
      {"attention", [](const Variables& x) { return attention(x[0], 2); }}};
  for (Backend* here : tested_backends())
    for (const auto& [name, f] : ops)
      for (const auto& [dtype, rounding] : {std::pair{DType::f32, 0x1p-23}, {DType::bf16, 0x1p-8}}) {
        INFO(name, " in ", name_of(dtype), " on ", here->name());
        const auto number = [&](const std::string& what) {
          return golden.at(name + "." + what).to(*here).to(dtype);
        };
        Variables x;
        for (size_t i = 0; golden.count(fmt::format("{}.input.{}", name, i)); ++i)
          x.push_back(Variable::parameter(number(fmt::format("input.{}", i))));
        const Variable y = f(x);
        backward(y, number("dy"));
        const auto& off = errors.at(fmt::format("{} in {}", name, name_of(dtype)));
        for (size_t i = 0; i <= x.size(); ++i) {
          CAPTURE(i);  // 0: y; then the gradients
          const Numbers64 got = (i == 0 ? y.value() : x[i - 1].gradient()).to_vector<double>();
          const Numbers64 wanted =
              golden.at(i == 0 ? name + ".y" : fmt::format("{}.gradient.{}", name, i - 1))
                  .to_vector<double>();
          REQUIRE(got.size() == wanted.size());
          double squares = 0, largest = 0;
          for (size_t j = 0; j < got.size(); ++j) {
            squares += (got[j] - wanted[j]) * (got[j] - wanted[j]);
            largest = std::max(largest, std::abs(got[j] - wanted[j]));
          }
          const double size = norm(wanted), usual = size / std::sqrt(static_cast<double>(wanted.size()));
          CHECK(std::sqrt(squares) / size <= 4 * off[i][0].get<double>() + rounding);
          CHECK(largest / usual <= 4 * off[i][1].get<double>() + 2 * rounding);
        }
      }
}
