// What the functions of autograd/ops.h and the walk backward say when they are used wrongly. A function
// without a row, here or in the table of ops, fails.
#include <doctest/doctest.h>

#include <fstream>
#include <regex>
#include <set>

#include "cases/op_cases.h"
#include "tests/support/misuse.h"
#include "tests/support/run_case.h"

using namespace chapbook;

namespace {

std::vector<Misuse> misuses(Backend& here, Backend& elsewhere) {
  const auto make = [&](const Shape& shape, DType dtype = DType::f32) {
    return Variable::parameter(Tensor::full(shape, 1, dtype, here));
  };
  const auto far = [&](const Shape& shape) {
    return Variable::parameter(Tensor::full(shape, 1, DType::f32, elsewhere));
  };
  const std::string mixed = fmt::format(": one operand is on '{}', the other on '{}'; move one with to()",
                                        here.name(), elsewhere.name());
  const std::string nothing = "tensor: an empty Tensor is on no backend; it was never given numbers";
  const std::string dtypes = ": f32 and f64 do not mix; convert one with to()";
  const std::string integers = ": wants floating-point numbers, not i32";
  const Variable x = make({2, 3}), f64 = make({2, 3}, DType::f64), i32 = make({2, 3}, DType::i32),
                 two = make({2}), one = make({}), w = make({3, 2}), none;
  const Tensor ids = Tensor::full({2}, 1, DType::i32, here), high = Tensor::full({2}, 3, DType::i32, here),
               no_ids = Tensor::full({0}, 0, DType::i32, here);
  const Tensor yes = Tensor::full({2, 3}, 1, DType::u8, here);
  std::vector<Misuse> rows;
  const auto add = [&](const char* function, const std::string& says, std::function<void()> call) {
    rows.push_back({function, says.starts_with(":") ? function + says : says, std::move(call)});
  };
  add("operator-", nothing, [=] { -none; });
  add("operator-", "sub: f32 and f64 do not mix; convert one with to()", [=] { x - f64; });
  add("operator+", nothing, [=] { x + none; });
  add("operator*", "mul: shapes (2, 3) and (2,) do not stretch to each other (axis 1 from the end)",
      [=] { x* two; });
  add("operator/", "div: f32 and f64 do not mix; convert one with to()", [=] { x / f64; });
  add("pow", dtypes, [=] { pow(x, f64); });
  add("maximum", dtypes, [=] { maximum(x, f64); });
  add("minimum", mixed, [=] { minimum(x, far({2, 3})); });
  add("where", ": the condition is f32, not u8", [=] { where(x.value(), x, x); });
  add("where", dtypes, [=] { where(yes, x, f64); });
  add("abs", nothing, [=] { abs(none); });
  add("exp", integers, [=] { exp(i32); });
  add("log", integers, [=] { log(i32); });
  add("sqrt", integers, [=] { sqrt(i32); });
  add("rsqrt", integers, [=] { rsqrt(i32); });
  add("tanh", integers, [=] { tanh(i32); });
  add("sigmoid", integers, [=] { sigmoid(i32); });
  add("relu", nothing, [=] { relu(none); });
  add("silu", integers, [=] { silu(i32); });
  add("gelu", integers, [=] { gelu(i32); });
  add("gelu_erf", integers, [=] { gelu_erf(i32); });
  add("broadcast_to", ": shape (2, 3) does not stretch to (3, 2)", [=] { broadcast_to(x, {3, 2}); });
  add("reshape", ": (2, 3) has 6 numbers, (4,) has 4", [=] { reshape(x, {4}); });
  add("transpose", ": no axis 2 in shape (2, 3)", [=] { transpose(x, 0, 2); });
  add("slice", ": 2 to 1 of axis 0 in shape (2, 3)", [=] { slice(x, 0, 2, 1); });
  add("concatenate", ": nothing to join", [=] { concatenate(Variables{}, 0); });
  add("concatenate", ": no axis 0 in shape ()", [=] { concatenate(Variables{one, one}, 0); });
  add("to", nothing, [=] { to(none, DType::f64); });
  add("sum", ": no axis 2 in shape (2, 3)", [=] { sum(x, {2}); });
  add("mean", integers, [=] { mean(i32); });
  add("var", "mean" + integers, [=] { var(i32); });
  add("max", ": no numbers to choose from in shape (0, 3)", [=] { max(make({0, 3})); });
  add("min", ": no axis -3 in shape (2, 3)", [=] { min(x, {-3}); });
  add("matmul", ": (2, 3) times (2,): both need at least two axes", [=] { matmul(x, two); });
  add("linear", ": the weight has shape (1, 3, 2), not (in, out)", [=] { linear(x, make({1, 3, 2}), {}); });
  add("linear", "matmul: (2, 3) times (2, 3): inner sizes 3 and 2 differ", [=] { linear(x, x, {}); });
  add("linear", "matmul: the bias (3,) is not a contiguous (2,) of f32", [=] { linear(x, w, make({3})); });
  add("linear", mixed, [=] { linear(x, w, far({2})); });
  add("linear", mixed, [=] { linear(x, w, {}, far({2, 2})); });
  add("linear", mixed, [=] { linear(x, far({3, 2}), {}); });
  add("linear", "matmul: the residual (2, 3) is not a contiguous (2, 2) of f32",
      [=] { linear(x, w, {}, x); });
  add("mlp", ": a weight has shape (2,), not (in, out)", [=] { mlp(x, w, {}, two, {}); });
  add("mlp", "matmul: (2, 2) times (3, 2): inner sizes 2 and 3 differ", [=] { mlp(x, w, {}, w, {}); });
  add("mlp", mixed, [=] { mlp(x, w, far({2}), x, {}); });
  add("linear", dtypes, [=] { linear(x, w, make({2}, DType::f64)); });
  add("linear", "matmul: f32 and f64 do not mix; convert one with to()", [=] {
    linear(x, make({3, 2}, DType::f64), {});
  });
  add("linear", "matmul: the residual (2, 2) is not a contiguous (2, 2) of f32", [=] {
    linear(x, w, {}, make({2, 2}, DType::f64));
  });
  add("mlp", dtypes, [=] { mlp(x, w, make({2}, DType::f64), x, {}); });
  add("mlp", dtypes, [=] { mlp(x, w, {}, f64, {}); });
  add("mlp", dtypes, [=] { mlp(x, w, {}, x, make({3}, DType::f64)); });
  add("mlp", mixed, [=] { mlp(x, w, {}, x, {}, far({2, 3})); });
  add("mlp", "shape: no axis -1 in shape ()", [=] { mlp(one, w, {}, x, {}); });
  add("linear_cross_entropy", ": there are no rows in (0, 3)", [=] {
    linear_cross_entropy(make({0, 3}), x, no_ids);
  });
  add("linear_cross_entropy", "cross_entropy: id 3 is not in 0..1",
      [=] { linear_cross_entropy(x, x, high); });
  add("softmax", integers, [=] { softmax(i32); });
  add("log_softmax", ": no axis 2 in shape (2, 3)", [=] { log_softmax(x, 2); });
  add("layer_norm", ": weight (2,) does not fit the last axis of (2, 3)",
      [=] { layer_norm(x, two, {}, 1e-5); });
  add("rms_norm", ": weight (1,) does not fit the last axis of (2, 3)",
      [=] { rms_norm(x, make({1}), 1e-5); });
  add("rms_norm", ": weight () does not fit the last axis of ()", [=] { rms_norm(one, one, 1e-5); });
  add("rms_norm", ": a weight of f64 does not go with f32; convert it with to()",
      [=] { rms_norm(x, make({3}, DType::f64), 1e-5); });
  add("rms_norm", ": a weight of i32 does not go with f32; convert it with to()",
      [=] { rms_norm(x, make({3}, DType::i32), 1e-5); });
  add("rms_norm", mixed, [=] { rms_norm(x, far({3}), 1e-5); });
  add("rms_norm", integers, [=] { rms_norm(i32, make({3}, DType::i32), 1e-5); });
  add("gather_rows", ": id 3 is not in 0..1", [=] { gather_rows(x, high); });
  add("cross_entropy", ": id 3 is not in 0..2", [=] { cross_entropy(x, high); });
  const Tensor count = Tensor::full({}, 1, DType::f64, here);
  add("cross_entropy", ": a count is for Tensors; nothing would hold it until the way back",
      [=] { cross_entropy(x, ids, {.count = count.view()}); });
  add("gated_silu", "silu" + integers, [=] { gated_silu(i32, i32); });
  add("gated_silu", ": shapes (2, 3) and () differ", [=] { gated_silu(x, one); });
  add("gated_silu", dtypes, [=] { gated_silu(x, f64); });
  add("gated_silu", mixed, [=] { gated_silu(x, far({2, 3})); });
  const Tensor half = Tensor::full({2}, 1, DType::f32, here), three = Tensor::full({3}, 1, DType::f32, here),
               far_half = half.to(elsewhere);
  const Variable row = make({3, 4}), i32_row = make({3, 4}, DType::i32);
  const auto turn = [=](const Tensor& cos, const Tensor& sin) { rotate(row, cos, sin); };
  add("rotate", ": a table (5, 3, 2) does not stretch to (3, 2)", [=] {
    turn(half, half.broadcast_to({5, 3, 2}));
  });
  add("rotate", ": shapes (3,) and (3, 2) do not stretch to each other (axis 1 from the end)",
      [=] { turn(three, half); });
  add("rotate", integers, [=] { turn(half, half.to(DType::i32)); });
  add("rotate", mixed, [=] { turn(far_half, half); });
  add("rotate", integers, [=] { rotate(i32_row, half, half); });
  add("rotate", ": the last axis of (2, 3) is not even", [=] { rotate(x, x.value(), x.value()); });
  add("attention", ": qkv (2, 3) does not divide into three times 1 heads", [=] { attention(x, 1); });
  add("attention", ": q (2, 3) is not (B, H, T, D)", [=] { attention(x, x, x); });
  add("dropout", ": probability 1 is not in [0, 1)", [=] {
    Random random{1};
    dropout(x, 1, random);
  });
  add("dropout", integers, [=] {
    Random random{1};
    dropout(i32, 0.5, random);
  });
  add("operator*", "scalar: i32 does not hold 0.5; convert the tensor with to()", [=] { i32 * 0.5; });
  add("operator/", "scalar: i32 does not hold 0.5; convert the tensor with to()", [=] { i32 / 0.5; });
  // A gradient that is set.
  add("gradient", ": shapes (2, 3) and (2,) differ", [=] { x.set_gradient(two.value()); });
  add("gradient", dtypes, [=] { x.set_gradient(f64.value()); });
  add("gradient", mixed, [=] { x.set_gradient(far({2, 3}).value()); });
  // The walk.
  add("backward", ": starts from one number, not from shape (2, 3)", [=] { backward(x); });
  add("backward", ": nothing here wants a gradient", [=] { backward(sum(Variable(x.value()))); });
  add("backward", ": a gradient of shape (2,) for a value of shape (2, 3)",
      [=] { backward(x * 2, two.value()); });
  add("backward",
      fmt::format(": a gradient in f64 on '{}' for a value in f32 on '{}'", here.name(), here.name()),
      [=] { backward(x * 2, f64.value()); });
  add("backward",
      fmt::format(": a gradient in f32 on '{}' for a value in f32 on '{}'", elsewhere.name(), here.name()),
      [=] {
        backward(x * 2, far({2, 3}).value());
      });
  return rows;
}

}  // namespace

TEST_CASE("every function of autograd/ops.h says in one line how it was used wrongly") {
  std::set<std::string> tested;
  for (Backend* here : tested_backends())
    check_misuses(misuses(*here, backend(here->name() == "cpu" ? "reference" : "cpu")), *here, tested);
  // Rows of the table of ops are called with Tensors that were never given numbers, so that a new op has a
  // row.
  for (const OpCase& op : op_cases()) {
    if (op.name == "to f32") continue;  // which an empty Tensor is already
    CAPTURE(op.name);
    std::string said;
    try {
      op.f(Variables(8));
    } catch (const Error& error) {
      said = error.what();
    }
    CHECK_FALSE(said.empty());
    CHECK(said.find('\n') == said.npos);
    tested.insert(op.name.substr(0, op.name.find(' ')));
  }
  std::ifstream file(CHAPBOOK_SOURCE_DIR "/autograd/ops.h");
  const std::regex declaration(R"(^Variable (operator.|\w+)\(.*)");
  int found = 0;
  for (std::string line; std::getline(file, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, declaration)) continue;
    ++found;
    CHECK_MESSAGE(tested.count(match[1]), match[1].str(), " has no row in this table");
  }
  CHECK(found > 40);
}
