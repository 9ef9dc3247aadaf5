// What the functions of tensor/ops.h and the views of a Tensor say when they are used wrongly: another dtype,
// backend, shape, axis or range, or no tensor at all. One row or more for each, with the whole line; a
// function without a row fails.
#include <doctest/doctest.h>

#include <fstream>
#include <limits>
#include <regex>
#include <set>

#include "tests/support/misuse.h"
#include "tests/support/run_case.h"

using namespace chapbook;

namespace {

// Right operands on a backend, of which each row changes one.
struct Operands {
  Backend& here;
  Backend& elsewhere;
  Tensor make(const Shape& shape, DType dtype = DType::f32) const {
    return Tensor::full(shape, 1, dtype, here);
  }
  Tensor far(const Shape& shape, DType dtype = DType::f32) const {
    return Tensor::full(shape, 1, dtype, elsewhere);
  }
};

std::vector<Misuse> misuses(const Operands& o) {
  const std::string mixed = fmt::format(": one operand is on '{}', the other on '{}'; move one with to()",
                                        o.here.name(), o.elsewhere.name());
  const std::string nothing = "tensor: an empty Tensor is on no backend; it was never given numbers";
  const std::string dtypes = ": f32 and f64 do not mix; convert one with to()";
  const Tensor x = o.make({2, 3}), f64 = o.make({2, 3}, DType::f64), i32 = o.make({2, 3}, DType::i32),
               far = o.far({2, 3}), one = o.make({}), three = o.make({3}), two = o.make({2}), none;
  const Tensor ids = o.make({2}, DType::i32), far_ids = o.far({2}, DType::i32),
               f64_two = o.make({2}, DType::f64);
  const Tensor high = Tensor::full({2}, 3, DType::i32, o.here),
               low = Tensor::full({2}, -1, DType::i32, o.here);
  const Tensor q = o.make({1, 2, 2, 4}), k = o.make({1, 1, 3, 4}), log_sum = o.make({1, 2, 2});
  const LayerNormed normed{x, two, two};
  const Attended attended{q, log_sum};
  Random random{1};
  std::vector<Misuse> rows;
  const auto row = [&](const char* function, const std::string& says, std::function<void()> call) {
    rows.push_back({function, says.starts_with(":") ? function + says : says, std::move(call)});
  };

// Every elementwise op: of integers those that have a meaning, of two kinds or shapes none.
#define CHAPBOOK_ROW(name, operations, formula) \
  row(#name, nothing, [=] { (name)(none); });   \
  if (takes_integers(Unary::name))              \
    (name)(i32);                                \
  else                                          \
    row(#name, ": wants floating-point numbers, not i32", [=] { (name)(i32); });
  CHAPBOOK_UNARY_OPS(CHAPBOOK_ROW)
#undef CHAPBOOK_ROW
#define CHAPBOOK_ROW(name, operations, formula)                                             \
  row(#name, nothing, [=] { (name)(x, none); });                                            \
  row(#name, dtypes, [=] { (name)(x, f64); });                                              \
  row(#name, mixed, [=] { (name)(x, far); });                                               \
  row(#name, ": shapes (2, 3) and (2,) do not stretch to each other (axis 1 from the end)", \
      [=] { (name)(x, two); });                                                             \
  if (takes_integers(Binary::name))                                                         \
    (name)(i32, i32);                                                                       \
  else                                                                                      \
    row(#name, ": wants floating-point numbers, not i32", [=] { (name)(i32, i32); });
  CHAPBOOK_BINARY_OPS(CHAPBOOK_ROW)
  CHAPBOOK_COMPARISONS(CHAPBOOK_ROW)
#undef CHAPBOOK_ROW
  row("unary", "exp: wants floating-point numbers, not i32", [=] { unary(Unary::exp, i32); });
  row("binary", "add: f32 and f64 do not mix; convert one with to()", [=] { binary(Binary::add, x, f64); });
  row("operator-", nothing, [=] { -none; });
  row("operator-", "sub: f32 and f64 do not mix; convert one with to()", [=] { x - f64; });
  row("operator+", "add: f32 and f64 do not mix; convert one with to()", [=] { x + f64; });
  row("operator*", "mul: f32 and f64 do not mix; convert one with to()", [=] { x* f64; });
  row("operator/", "div: f32 and f64 do not mix; convert one with to()", [=] { x / f64; });
  row("scalar", nothing, [=] { scalar(1, none); });
  row("scalar", ": i32 does not hold 0.5; convert the tensor with to()", [=] { scalar(0.5, i32); });
  row("scalar", ": f16 does not hold 70000; convert the tensor with to()",
      [=] { scalar(7e4, x.to(DType::f16)); });
  row("scalar", ": i32 does not hold 3000000000; convert the tensor with to()", [=] { scalar(3e9, i32); });
  row("scalar", ": u8 does not hold -1; convert the tensor with to()",
      [=] { scalar(-1, o.make({}, DType::u8)); });
  row("scalar", ": i32 does not hold nan; convert the tensor with to()", [=] { scalar(NAN, i32); });
  row("operator*", "scalar: i32 does not hold 0.5; convert the tensor with to()", [=] { i32 * 0.5; });
  row("where", ": the condition is f32, not u8", [=] { where(x, x, x); });
  row("where", dtypes, [=] { where(o.make({2, 3}, DType::u8), x, f64); });
  row("where",
      fmt::format("where: one operand is on '{}', the other on '{}'; move one with to()", o.elsewhere.name(),
                  o.here.name()),
      [=] {
        where(o.far({2, 3}, DType::u8), far, x);
      });
  row("triangle", "tensor: shape (-1, 2) has a negative size or too many numbers",
      [=] { triangle(-1, 2, 0, o.here); });

  // Reductions.
  row("sum", ": no axis 2 in shape (2, 3)", [=] { sum(x, {2}); });
  row("sum", ": no axis 0 in shape ()", [=] { sum(one, {0}); });
  row("sum", nothing, [=] { sum(none); });
  row("mean", ": wants floating-point numbers, not i32", [=] { mean(i32); });
  row("mean", "sum: no axis -3 in shape (2, 3)", [=] { mean(x, {-3}); });
  row("var", "mean: wants floating-point numbers, not i32", [=] { var(i32); });
  row("max", ": no numbers to choose from in shape (0, 3)", [=] { max(o.make({0, 3})); });
  row("max", ": no axis 5 in shape (2, 3)", [=] { max(x, {5}); });
  row("min", ": no numbers to choose from in shape (3, 0)", [=] { min(o.make({3, 0}), {1}); });
  row("argmax", ": no axis 2 in shape (2, 3)", [=] { argmax(x, 2); });
  row("argmax", ": no axis -1 in shape ()", [=] { argmax(one); });
  row("argmax", ": no numbers to choose from in shape (3, 0)", [=] { argmax(o.make({3, 0})); });
  row("sum_to", ": (2,) does not stretch to (2, 3)", [=] { sum_to(x, {2}); });
  row("sum_to", ": (2, 2, 3) does not stretch to (2, 3)", [=] { sum_to(x, {2, 2, 3}); });
  row("global_norm", mixed, [=] { global_norm(std::array{x, far}); });
  row("global_norm", ": wants floating-point numbers, not i32", [=] { global_norm(std::array{i32}); });
  row("global_norm", nothing, [=] { global_norm(std::array{x, none}); });

  // Products and rows.
  row("matmul", ": (2, 3) times (2, 3): inner sizes 3 and 2 differ", [=] { matmul(x, x); });
  row("matmul", ": (2, 3) times (3,): both need at least two axes", [=] { matmul(x, three); });
  row("matmul", dtypes, [=] { matmul(x, f64); });
  row("matmul", mixed, [=] { matmul(x, far); });
  row("matmul", ": wants floating-point numbers, not i32", [=] { matmul(i32, i32); });
  row("matmul", ": products of f32 are kept in it or in f32, not bf16",
      [=] { matmul(x, x.transpose(0, 1), {}, DType::bf16); });
  row("matmul", ": the bias (3,) is not a contiguous (2,) of f32",
      [=] { matmul(x, x.transpose(0, 1), {.bias = three.view()}); });
  row("matmul", ": the residual (2, 3) is not a contiguous (2, 2) of f32",
      [=] { matmul(x, x.transpose(0, 1), {.residual = f64.view()}); });
  row("matmul", ": the sum of rows (3,) is not a contiguous (2,) of f32",
      [=] { matmul(x, x.transpose(0, 1), {.b_sums = three.view()}); });
  row("matmul", ": the GELU's x (2,) is not a contiguous (2, 2) of f32",
      [=] { matmul(x, x.transpose(0, 1), {.activation = Activation::gelu, .before = two.view()}); });
  row("matmul", ": the way back of a GELU wants its x in `before`",
      [=] { matmul(x, x.transpose(0, 1), {.activation = Activation::gelu_backward}); });
  row("concatenate", ": nothing to join", [=] { concatenate(std::vector<Tensor>{}, 0); });
  row("concatenate", ": shapes (2, 3) and (2,) differ in more than axis 0", [=] {
    concatenate(std::array{x, two}, 0);
  });
  row("concatenate", ": no axis 0 in shape ()", [=] { concatenate(std::array{one, one}, 0); });
  row("concatenate", mixed, [=] { concatenate(std::array{x, far}, 0); });
  row("softmax", ": wants floating-point numbers, not i32", [=] { softmax(i32); });
  row("softmax", ": no axis -1 in shape ()", [=] { softmax(one); });
  row("softmax", ": no axis -1 in shape ()", [=] { softmax(none); });
  row("log_softmax", ": wants floating-point numbers, not i32", [=] { log_softmax(i32); });
  row("log_softmax", ": no axis 2 in shape (2, 3)", [=] { log_softmax(x, 2); });
  row("softmax_backward", dtypes, [=] { softmax_backward(x, f64); });
  row("softmax_backward", mixed, [=] { softmax_backward(x, far); });
  row("softmax_backward", ": shapes (2, 3) and (3,) differ", [=] { softmax_backward(x, three); });
  row("softmax_backward", ": no axis 2 in shape (2, 3)", [=] { softmax_backward(x, x, 2); });
  row("log_softmax_backward", dtypes, [=] { log_softmax_backward(x, f64); });
  row("log_softmax_backward", mixed, [=] { log_softmax_backward(x, far); });
  row("log_softmax_backward", ": wants floating-point numbers, not i32",
      [=] { log_softmax_backward(i32, i32); });
  row("layer_norm", ": weight (2,) does not fit the last axis of (2, 3)",
      [=] { layer_norm(x, two, {}, 1e-5); });
  row("layer_norm", ": bias (2,) and weight (3,) differ", [=] { layer_norm(x, three, two, 1e-5); });
  row("layer_norm", ": a weight of f64 does not go with f32; convert it with to()",
      [=] { layer_norm(x, three.to(DType::f64), {}, 1e-5); });
  row("layer_norm", ": weight (3,) does not fit the last axis of ()",
      [=] { layer_norm(one, three, {}, 1e-5); });
  row("layer_norm", mixed, [=] { layer_norm(x, o.far({3}), {}, 1e-5); });
  row("layer_norm", dtypes, [=] { layer_norm(x, three, three.to(DType::f64), 1e-5); });
  row("layer_norm", mixed, [=] { layer_norm(x, three, o.far({3}), 1e-5); });
  row("layer_norm", ": wants floating-point numbers, not i32",
      [=] { layer_norm(i32, three.to(DType::i32), {}, 1e-5); });
  row("layer_norm_backward", ": weight (2,) does not fit the last axis of (2, 3)",
      [=] { layer_norm_backward(x, two, normed, x); });
  row("layer_norm_backward", dtypes, [=] { layer_norm_backward(x, three, normed, f64); });
  row("layer_norm_backward", mixed, [=] { layer_norm_backward(x, three, normed, far); });
  row("layer_norm_backward", ": shapes (2, 3) and (3,) differ",
      [=] { layer_norm_backward(x, three, normed, three); });
  row("layer_norm_backward", ": mean is (3,) of f32, not (2,) of f32", [=] {
    layer_norm_backward(x, three, {x, three, two}, x);
  });
  row("layer_norm_backward", ": rstd is (2,) of f64, not (2,) of f32", [=] {
    layer_norm_backward(x, three, {x, two, f64_two}, x);
  });
  row("layer_norm_backward", nothing, [=] { layer_norm_backward(x, three, {x, none, two}, x); });
  row("gather_rows", ": id 3 is not in 0..1", [=] { gather_rows(x, high); });
  row("gather_rows", ": ids are f32, not i32", [=] { gather_rows(x, two); });
  row("gather_rows", ": the table has shape (3,), not (rows, columns)", [=] { gather_rows(three, ids); });
  row("gather_rows", mixed, [=] { gather_rows(x, far_ids); });
  row("scatter_add_rows", ": id 3 is not in 0..2", [=] { scatter_add_rows(x, high, 3); });
  row("scatter_add_rows", ": id -1 is not in 0..2", [=] { scatter_add_rows(x, low, 3); });
  row("scatter_add_rows", ": ids are f32, not i32", [=] { scatter_add_rows(x, two, 3); });
  row("scatter_add_rows", ": id 1 is not in 0..-1", [=] { scatter_add_rows(x, ids, 0); });
  row("scatter_add_rows", ": wants floating-point numbers, not i32", [=] { scatter_add_rows(i32, ids, 3); });
  row("scatter_add_rows", ": rows (2, 3) do not fit ids (3,)",
      [=] { scatter_add_rows(x, o.make({3}, DType::i32), 3); });
  row("scatter_add_rows", mixed, [=] { scatter_add_rows(x, far_ids, 3); });
  row("cross_entropy", ": id 3 is not in 0..2", [=] { cross_entropy(x, high); });
  row("cross_entropy", ": ids are f32, not i32", [=] { cross_entropy(x, two); });
  row("cross_entropy", ": wants floating-point numbers, not i32", [=] { cross_entropy(i32, ids); });
  row("cross_entropy", ": targets (2,) do not fit logits ()", [=] { cross_entropy(one, ids); });
  row("cross_entropy", ": a smoothing of -0.1; it is a share, 0 to 1",
      [=] { cross_entropy(x, ids, {.smoothing = -0.1}); });
  row("cross_entropy", mixed, [=] { cross_entropy(x, far_ids); });
  row("cross_entropy", ": the count is () of f32, not one f64",
      [=] { cross_entropy(x, ids, {.count = one.view()}); });
  row("cross_entropy", ": the count is (2,) of f64, not one f64",
      [=] { cross_entropy(x, ids, {.count = f64_two.view()}); });
  row("cross_entropy_backward", ": the count is () of f32, not one f64",
      [=] { cross_entropy_backward(x, ids, {.count = one.view()}, two, one); });
  row("counted", ": ids are f32, not i32", [=] { counted(two, {}); });
  row("cross_entropy_backward", ": id 3 is not in 0..2",
      [=] { cross_entropy_backward(x, high, {}, two, one); });
  row("cross_entropy_backward", ": log_sum is (3,) of f32, not (2,) of f32",
      [=] { cross_entropy_backward(x, ids, {}, three, one); });
  row("cross_entropy_backward", ": the loss's gradient is (2,) of f32, not () of f32",
      [=] { cross_entropy_backward(x, ids, {}, two, two); });
  row("cross_entropy_backward", ": log_sum is (2,) of f64, not (2,) of f32",
      [=] { cross_entropy_backward(x, ids, {}, f64_two, one); });
  row("cross_entropy_backward", mixed, [=] { cross_entropy_backward(x, ids, {}, two, o.far({})); });

  const auto head = [](const Tensor& x, const Tensor& weight, const Tensor& targets) {
    return linear_cross_entropy(x, weight, targets, {}, false, false);
  };
  row("linear_cross_entropy", ": a weight of i32 does not go with f32", [=] { head(x, i32, ids); });
  row("linear_cross_entropy", ": a weight of f64 does not go with f32", [=] { head(x, f64, ids); });
  row("linear_cross_entropy", ": a weight of i32 does not go with i32", [=] { head(i32, i32, ids); });
  row("linear_cross_entropy", ": x (2, 3) and weight (2,) do not fit (..., C) and (V, C)",
      [=] { head(x, two, ids); });
  row("linear_cross_entropy", ": x () and weight (2, 3) do not fit (..., C) and (V, C)",
      [=] { head(one, x, ids); });
  row("linear_cross_entropy", ": targets (3,) do not fit x (2, 3)",
      [=] { head(x, x, o.make({3}, DType::i32)); });
  row("linear_cross_entropy", mixed, [=] { head(x, far, ids); });
  row("linear_cross_entropy", mixed, [=] { head(x, x, far_ids); });
  row("linear_cross_entropy", "counted: ids are f32, not i32", [=] { head(x, x, two); });
  row("linear_cross_entropy", "cross_entropy: id 3 is not in 0..1", [=] { head(x, x, high); });
  row("linear_cross_entropy", ": it counts the rows itself; a count is for cross_entropy",
      [=] { linear_cross_entropy(x, x, ids, {.count = o.make({}, DType::f64).view()}, false, false); });
  row("linear_cross_entropy", ": there are no rows in (0, 3)", [=] {
    head(o.make({0, 3}), x, o.make({0}, DType::i32));
  });
  row("linear_cross_entropy_backward", ": the gradients were not wanted on the way forward",
      [=] { linear_cross_entropy_backward(head(x, x, ids), one); });
  row("linear_cross_entropy_backward", ": the loss's gradient is (2,), not one number",
      [=] { linear_cross_entropy_backward(linear_cross_entropy(x, x, ids, {}, true, true), two); });
  row("linear_cross_entropy_backward", "div: f64 and f32 do not mix; convert one with to()", [=] {
    linear_cross_entropy_backward(linear_cross_entropy(x, x, ids, {}, true, true), one.to(DType::f64));
  });
  row("logits_at_once", ": a vocabulary of 0", [=] { (void)logits_at_once(1, 0, o.here); });

  // Attention.
  const std::string no_fit =
      " do not fit (B, H, T, D), (B, K, S, D), (B, K, S, D) with T <= S and H a multiple of K";
  row("attention", ": q (1, 1, 3, 4), k (1, 2, 2, 4) and v (1, 2, 2, 4)" + no_fit,
      [=] { attention(k, q, q, 1); });
  row("attention", ": a scale of 0; it must be positive", [=] { attention(q, k, k, 0); });
  row("attention", dtypes, [=] { attention(q, k, k.to(DType::f64), 1); });
  row("attention", mixed, [=] { attention(q, k, k.to(o.elsewhere), 1); });
  const auto backward = [=](const Tensor& v, double scale, const Attended& saved, const Tensor& dy, Tensor dq,
                            Tensor dk) {
    Tensor dv = Tensor::like(k);
    attention_backward(q, k, v, scale, saved, dy, dq, dk, dv);
  };
  row("attention_backward", ": q (1, 2, 2, 4), k (1, 1, 3, 4) and v (1, 2, 2, 4)" + no_fit,
      [=] { backward(q, 1, attended, q, q, k); });
  row("attention_backward", ": a scale of -1; it must be positive",
      [=] { backward(k, -1, attended, q, q, k); });
  row("attention_backward", ": log_sum is (2,) of f32, not (1, 2, 2) of f32", [=] {
    backward(k, 1, {q, two}, q, q, k);
  });
  row("attention_backward", ": shapes (1, 2, 2, 4) and (1, 1, 3, 4) differ", [=] {
    backward(k, 1, {k, log_sum}, q, q, k);
  });
  row("attention_backward", dtypes, [=] { backward(k, 1, attended, q.to(DType::f64), q, k); });
  row("attention_backward", ": shapes (1, 2, 2, 4) and (1, 1, 3, 4) differ",
      [=] { backward(k, 1, attended, q, k, k); });
  row("attention_backward", mixed, [=] { backward(k, 1, attended, q, q, k.to(o.elsewhere)); });
  row("uniform", ": wants floating-point numbers, not i32",
      [=]() mutable { uniform({2}, random, DType::i32, o.here); });
  row("normal", ": wants floating-point numbers, not u8",
      [=]() mutable { normal({2}, random, DType::u8, o.here); });

  // Tensors and their views.
  row("Tensor::empty", "tensor: shape (2, -1) has a negative size or too many numbers", [=] {
    Tensor::empty({2, -1}, DType::f32, o.here);
  });
  row("Tensor::full", "tensor: shape (1152921504606846976,) has a negative size or too many numbers",
      [=] { Tensor::full({int64_t{1} << 60}, 0, DType::f32, o.here); });
  row("Tensor::arange", "arange: -1 numbers", [=] { Tensor::arange(-1, DType::i32, o.here); });
  row("Tensor::from", "tensor: 5 values do not fill shape (2, 3)", [=] {
    Tensor::from(std::vector<float>(5), {2, 3}, o.here);
  });
  row("Tensor::like", nothing, [=] { Tensor::like(none); });
  row("Tensor::backend", nothing, [=] { (void)none.backend(); });
  row("Tensor::size", "size: no axis -1 in shape ()", [=] { (void)one.size(-1); });
  row("Tensor::size", "size: no axis 2 in shape (2, 3)", [=] { (void)x.size(2); });
  row("Tensor::transpose", "transpose: no axis 2 in shape (2, 3)", [=] { x.transpose(0, 2); });
  row("Tensor::slice", "slice: 1 to 3 of axis 0 in shape (2, 3)", [=] { x.slice(0, 1, 3); });
  row("Tensor::slice", "slice: no axis -3 in shape (2, 3)", [=] { x.slice(-3, 0, 1); });
  row("Tensor::slice", "slice: no axis 0 in shape ()", [=] { none.slice(0, 0, 1); });
  row("Tensor::select", "select: no index 3 in axis 1 of shape (2, 3)", [=] { x.select(1, 3); });
  row("Tensor::select", "select: no index -1 in axis 1 of shape (2, 3)", [=] { x.select(1, -1); });
  row("Tensor::broadcast_to", "broadcast_to: shape (2, 3) does not stretch to (3, 2)", [=] {
    x.broadcast_to({3, 2});
  });
  row("Tensor::broadcast_to", "broadcast_to: shape (2, 3) has more axes than (3,)",
      [=] { x.broadcast_to({3}); });
  row("Tensor::reshape", "reshape: (2, 3) has 6 numbers, (4,) has 4", [=] { x.reshape({4}); });
  row("Tensor::reshape", "reshape: 6 numbers of (2, 3) do not divide into (-1, -1)", [=] {
    x.reshape({-1, -1});
  });
  row("Tensor::to", nothing, [=] { none.to(o.here); });
  row("Tensor::contiguous_copy", nothing, [=] { none.contiguous_copy(); });
  row("Tensor::to_vector", nothing, [=] { none.to_vector<float>(); });
  row("Tensor::item", "item: a tensor of shape (2, 3) holds 6 numbers, not one", [=] { (void)x.item(); });
  row("Tensor::item", nothing, [=] { (void)none.item(); });
  row("Tensor::upload", "upload: the tensor is a view with gaps",
      [=] { Tensor(x.transpose(0, 1)).upload(nullptr); });
  row("Tensor::download", nothing, [=] { none.download(nullptr); });

  // Shapes.
  row("Shape", "shape: 7 axes, at most 6 are possible", [=] { (void)Shape{1, 2, 3, 4, 5, 6, 7}; });
  row("Shape::with", "shape: no axis -1 in shape ()", [=] { (void)Shape{}.with(-1, 2); });
  row("Shape::without", "shape: no axis 1 in shape (2,)", [=] { (void)Shape{2}.without(1); });
  row("broadcast", "add: shapes (2, 3) and (2,) do not stretch to each other (axis 1 from the end)", [=] {
    (void)broadcast({2, 3}, {2}, "add");
  });
  row("reduced", "sum: no axis 1 in shape (2,)", [=] { (void)reduced({2}, {1}, true, "sum"); });
  return rows;
}

}  // namespace

TEST_CASE("every function of tensor/ops.h says in one line how it was used wrongly") {
  std::set<std::string> tested;
  for (Backend* here : tested_backends()) {
    const Operands operands{*here, backend(here->name() == "cpu" ? "reference" : "cpu")};
    check_misuses(misuses(operands), *here, tested);
  }
  // A declaration begins a line with its type: "Tensor softmax(const Tensor& x, ...".
  std::ifstream file(CHAPBOOK_SOURCE_DIR "/tensor/ops.h");
  const std::regex declaration(
      R"(^(?:inline )?(?:void|int64_t|std::array<.*>|[A-Z]\w+) (operator.|\w+)\(.*)");
  int found = 0;
  for (std::string line; std::getline(file, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, declaration) || match[1] == "wide") continue;
    ++found;
    CHECK_MESSAGE(tested.count(match[1]), match[1].str() << " has no row in this table");
  }
  CHECK(found > 30);
}

TEST_CASE("what integers cannot hold becomes the nearest they can, on every backend") {
  const double infinity = std::numeric_limits<double>::infinity(),
               nan = std::numeric_limits<double>::quiet_NaN();
  const Numbers64 numbers = {2.9,   -2.9,         255.9,      256,           65535.5,
                             65536, 2147483647.5, 2147483648, -2147483648.9, -1e300,
                             1e300, infinity,     -infinity,  nan,           -0.0};
  const struct {
    DType dtype;
    Numbers64 becomes;
  } rows[] = {
      {DType::i32,
       {2, -2, 255, 256, 65535, 65536, 2147483647, 2147483647, -2147483648.0, -2147483648.0, 2147483647,
        2147483647, -2147483648.0, 0, 0}},
      {DType::u16, {2, 0, 255, 256, 65535, 65535, 65535, 65535, 0, 0, 65535, 65535, 0, 0, 0}},
      {DType::u8, {2, 0, 255, 255, 255, 255, 255, 255, 0, 0, 255, 255, 0, 0, 0}},
  };
  const Shape shape{static_cast<int64_t>(numbers.size())};
  for (Backend* here : tested_backends())
    for (const auto& [dtype, becomes] : rows) {
      INFO(name_of(dtype), " on ", here->name());
      CHECK(tensor_of(numbers, shape, DType::f64, *here).to(dtype).to_vector<double>() == becomes);
      for (size_t i = 0; i < numbers.size(); ++i)
        CHECK(Tensor::full({}, numbers[i], dtype, *here).to_vector<double>() == Numbers64{becomes[i]});
      // f32 and half types hold fewer of these numbers exactly, but the same rule.
      for (const DType from : {DType::f32, DType::bf16, DType::f16}) {
        const Tensor x = tensor_of(numbers, shape, from, *here);
        CHECK(x.to(dtype).to_vector<double>() == x.to(DType::f64).to(dtype).to_vector<double>());
      }
    }
}

TEST_CASE("arithmetic of integers is that of real numbers, cut off, on every backend") {
  const double low = -2147483648.0, high = 2147483647;
  const Numbers64 a = {7, -7, 1, -1, 0, low, low, high, high, low, 5, 2, 2},
                  b = {2, 2, 0, 0, 0, -1, 1, 1, high, low, -3, 10, -1};
  const Shape shape{static_cast<int64_t>(a.size())};
  const struct {
    Binary op;
    Numbers64 wanted;
  } rows[] = {
      {Binary::div, {3, -3, high, low, 0, high, low, high, 1, 1, -1, 0, -2}},
      {Binary::add, {9, -5, 1, -1, 0, low, low + 1, high, high, low, 2, 12, 1}},
      {Binary::sub, {5, -9, 1, -1, 0, low + 1, low, high - 1, 0, 0, 8, -8, 3}},
      {Binary::mul, {14, -14, 0, 0, 0, high, low, high, high, high, -15, 20, -2}},
  };
  for (Backend* here : tested_backends()) {
    const Tensor x = tensor_of(a, shape, DType::i32, *here), y = tensor_of(b, shape, DType::i32, *here);
    for (const auto& [op, wanted] : rows) {
      INFO(name_of(op), " on ", here->name());
      CHECK(binary(op, x, y).to_vector<double>() == wanted);
    }
    const Tensor lowest = Tensor::full({}, low, DType::i32, *here);
    CHECK(abs(lowest).to_vector<double>() == Numbers64{high});
    CHECK((-lowest).to_vector<double>() == Numbers64{high});
    CHECK((Tensor::full({}, 3, DType::u8, *here) - 5).to_vector<double>() == Numbers64{0});
    CHECK(sum(Tensor::full({300}, 1, DType::u8, *here)).to_vector<double>() == Numbers64{255});
  }
}

TEST_CASE("abs of -0 is 0, which has no sign") {
  for (Backend* here : tested_backends())
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
      INFO(name_of(dtype), " on ", here->name());
      const Numbers64 y = abs(tensor_of({-0.0, 0.0, -1.5}, {3}, dtype, *here)).to_vector<double>();
      CHECK(!std::signbit(y[0]));
      CHECK(y == Numbers64{0, 0, 1.5});
    }
}
