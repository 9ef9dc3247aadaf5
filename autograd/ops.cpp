#include "autograd/ops.h"

#include <array>
#include <cmath>
#include <utility>

#include "tensor/operands.h"

namespace chapbook {

// ---- Shapes: what moves forward moves back

Variable broadcast_to(const Variable& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  return record("broadcast_to", x.value().broadcast_to(shape),
                {{x, [from = x.shape()](const Tensor& dy) { return sum_to(dy, from); }}});
}

// Both operands in the shape they stretch to; since stretching is an op itself, the rules below see equal
// shapes.
static std::pair<Variable, Variable> broadcast(const Variable& a, const Variable& b, const char* op) {
  const Shape shape = broadcast(a.shape(), b.shape(), op);
  return {broadcast_to(a, shape), broadcast_to(b, shape)};
}

Variable reshape(const Variable& x, const Shape& shape) {
  return record("reshape", x.value().reshape(shape),
                {{x, [from = x.shape()](const Tensor& dy) { return dy.reshape(from); }}});
}

Variable transpose(const Variable& x, int axis, int other) {
  return record("transpose", x.value().transpose(axis, other),
                {{x, [axis, other](const Tensor& dy) { return dy.transpose(axis, other); }}});
}

Variable slice(const Variable& x, int axis, int64_t from, int64_t to) {
  return record("slice", x.value().slice(axis, from, to),
                {{x, [axis, from, to, shape = x.shape()](const Tensor& dy) {
                    const Tensor dx = Tensor::zeros(shape, dy.dtype(), dy.backend());
                    dy.backend().copy(dy.view(), dx.view().slice(axis, from, to));
                    return dx;
                  }}});
}

Variable concatenate(const std::vector<Variable>& xs, int axis) {
  std::vector<Tensor> values;
  Edges edges;
  int64_t from = 0;
  for (const Variable& x : xs) values.push_back(x.value());
  const Tensor joined = concatenate(values, axis);
  for (const Variable& x : xs) {
    const int64_t to = from + x.size(axis);
    edges.push_back({x, [axis, from, to](const Tensor& dy) { return dy.slice(axis, from, to); }});
    from = to;
  }
  return record("concatenate", joined, std::move(edges));
}

Variable to(const Variable& x, DType dtype) {
  if (x.value().dtype() == dtype) return x;
  return record("to", x.value().to(dtype),
                {{x, [from = x.value().dtype()](const Tensor& dy) { return dy.to(from); }}});
}

// ---- Elementwise, two operands

Variable operator+(const Variable& p, const Variable& q) {
  const auto [a, b] = broadcast(p, q, "add");
  return record("add", a.value() + b.value(),
                {{a, [](const Tensor& dy) { return dy; }}, {b, [](const Tensor& dy) { return dy; }}});
}

Variable operator-(const Variable& p, const Variable& q) {
  const auto [a, b] = broadcast(p, q, "sub");
  return record("sub", a.value() - b.value(),
                {{a, [](const Tensor& dy) { return dy; }}, {b, [](const Tensor& dy) { return -dy; }}});
}

Variable operator*(const Variable& p, const Variable& q) {
  const auto [a, b] = broadcast(p, q, "mul");
  return record("mul", a.value() * b.value(),
                {{a, [y = b.value()](const Tensor& dy) { return dy * y; }},
                 {b, [x = a.value()](const Tensor& dy) { return dy * x; }}});
}

Variable operator/(const Variable& p, const Variable& q) {
  const auto [a, b] = broadcast(p, q, "div");
  const Tensor z = a.value() / b.value();
  return record("div", z,
                {{a, [y = b.value()](const Tensor& dy) { return dy / y; }},
                 {b, [z, y = b.value()](const Tensor& dy) { return -dy * z / y; }}});
}

Variable pow(const Variable& p, const Variable& q) {
  const auto [a, b] = broadcast(p, q, "pow");
  const Tensor z = pow(a.value(), b.value());
  return record("pow", z,
                {{a, [x = a.value(), y = b.value()](const Tensor& dy) { return dy * y * pow(x, y - 1); }},
                 {b, [x = a.value(), z](const Tensor& dy) { return dy * z * log(x); }}});
}

// Where `condition` holds the gradient goes to a, elsewhere to b.
static Variable choose(const char* name, const Tensor& value, const Tensor& condition, const Variable& a,
                       const Variable& b) {
  return record(name, value,
                {{a, [condition](const Tensor& dy) { return where(condition, dy, scalar(0, dy)); }},
                 {b, [condition](const Tensor& dy) { return where(condition, scalar(0, dy), dy); }}});
}

Variable maximum(const Variable& p, const Variable& q) {
  const auto [a, b] = broadcast(p, q, "maximum");
  const Tensor larger = maximum(a.value(), b.value());
  return choose("maximum", larger, greater_equal(a.value(), b.value()), a, b);
}

Variable minimum(const Variable& p, const Variable& q) {
  const auto [a, b] = broadcast(p, q, "minimum");
  const Tensor smaller = minimum(a.value(), b.value());
  return choose("minimum", smaller, less_equal(a.value(), b.value()), a, b);
}

Variable where(const Tensor& condition, const Variable& p, const Variable& q) {
  const Tensor value = where(condition, p.value(), q.value());
  return choose("where", value, condition, broadcast_to(p, value.shape()), broadcast_to(q, value.shape()));
}

Variable operator+(const Variable& a, double b) {
  return record("add", a.value() + b, {{a, [](const Tensor& dy) { return dy; }}});
}
Variable operator-(const Variable& a, double b) {
  return record("sub", a.value() - b, {{a, [](const Tensor& dy) { return dy; }}});
}
Variable operator*(const Variable& a, double b) {
  return record("mul", a.value() * b, {{a, [b](const Tensor& dy) { return dy * b; }}});
}
Variable operator/(const Variable& a, double b) {
  return record("div", a.value() / b, {{a, [b](const Tensor& dy) { return dy / b; }}});
}

// ---- Elementwise, one operand

Variable operator-(const Variable& x) {
  return record("neg", -x.value(), {{x, [](const Tensor& dy) { return -dy; }}});
}

Variable abs(const Variable& x) {
  return record("abs", abs(x.value()),
                {{x, [x = x.value()](const Tensor& dy) { return where(less(x, scalar(0, x)), -dy, dy); }}});
}

Variable exp(const Variable& x) {
  const Tensor y = exp(x.value());
  return record("exp", y, {{x, [y](const Tensor& dy) { return dy * y; }}});
}

Variable log(const Variable& x) {
  return record("log", log(x.value()), {{x, [x = x.value()](const Tensor& dy) { return dy / x; }}});
}

Variable sqrt(const Variable& x) {
  const Tensor y = sqrt(x.value());
  return record("sqrt", y, {{x, [y](const Tensor& dy) { return dy / (y * 2); }}});
}

Variable rsqrt(const Variable& x) {
  const Tensor y = rsqrt(x.value());
  return record("rsqrt", y, {{x, [y](const Tensor& dy) { return dy * -0.5 * y * y * y; }}});
}

Variable tanh(const Variable& x) {
  const Tensor y = tanh(x.value());
  return record("tanh", y, {{x, [y](const Tensor& dy) { return dy - dy * y * y; }}});
}

Variable sigmoid(const Variable& x) {
  const Tensor y = sigmoid(x.value());
  return record("sigmoid", y, {{x, [y](const Tensor& dy) { return dy * (y - y * y); }}});
}

Variable relu(const Variable& x) {
  return record("relu", relu(x.value()), {{x, [x = x.value()](const Tensor& dy) {
                                             return where(greater(x, scalar(0, x)), dy, scalar(0, dy));
                                           }}});
}

Variable silu(const Variable& x) {
  return record("silu", silu(x.value()),
                {{x, [x = x.value()](const Tensor& dy) { return silu_backward(x, dy); }}});
}

Variable gelu(const Variable& x) {
  return record("gelu", gelu(x.value()),
                {{x, [x = x.value()](const Tensor& dy) { return gelu_backward(x, dy); }}});
}

Variable gelu_erf(const Variable& x) {
  return record("gelu_erf", gelu_erf(x.value()),
                {{x, [x = x.value()](const Tensor& dy) { return gelu_erf_backward(x, dy); }}});
}

Variable gated_silu(const Variable& gate, const Variable& x) {
  check_same_kind("gated_silu", gate.value(), x.value());
  check_same_shape("gated_silu", gate.value(), x.value());
  return record(
      "gated_silu", silu(gate.value()) * x.value(),
      {{gate, [gate = gate.value(), x = x.value()](const Tensor& dy) { return silu_backward(gate, dy * x); }},
       {x, [gate = gate.value()](const Tensor& dy) { return dy * silu(gate); }}});
}

Variable dropout(const Variable& x, double p, Random& random) {
  check_float("dropout", x.value());
  check(p >= 0 && p < 1, "dropout: probability {} is not in [0, 1)", p);
  if (p == 0) return x;
  const Tensor u = uniform(x.shape(), random, DType::f32, x.value().backend());
  const Tensor keep = greater_equal(u, scalar(p, u)).to(x.value().dtype()) * (1 / (1 - p));
  return record("dropout", x.value() * keep, {{x, [keep](const Tensor& dy) { return dy * keep; }}});
}

// ---- Reductions

Variable sum(const Variable& x, const std::vector<int>& axes, bool keep) {
  const Shape from = x.shape(), kept = reduced(from, axes, true, "sum");
  return record("sum", sum(x.value(), axes, keep),
                {{x, [from, kept](const Tensor& dy) { return dy.reshape(kept).broadcast_to(from); }}});
}

Variable mean(const Variable& x, const std::vector<int>& axes, bool keep) {
  const Shape from = x.shape(), kept = reduced(from, axes, true, "mean");
  const double share = static_cast<double>(kept.count()) / static_cast<double>(from.count());
  return record(
      "mean", mean(x.value(), axes, keep),
      {{x, [from, kept, share](const Tensor& dy) { return (dy * share).reshape(kept).broadcast_to(from); }}});
}

Variable var(const Variable& x, const std::vector<int>& axes, bool keep) {
  const Variable centred = x - mean(x, axes, true);
  return mean(centred * centred, axes, keep);
}

// y is one of the x: the gradient goes there, in equal shares where several are equal.
static Variable extreme(const char* name, const Variable& x, const Tensor& y, bool keep,
                        const std::vector<int>& axes) {
  return record(name, keep ? y : y.reshape(reduced(x.shape(), axes, false, name)),
                {{x, [x = x.value(), y](const Tensor& dy) {
                    const Tensor chosen = equal(x, y.broadcast_to(x.shape())).to(x.dtype());
                    return chosen * (dy.reshape(y.shape()) / sum_to(chosen, y.shape()));
                  }}});
}

Variable max(const Variable& x, const std::vector<int>& axes, bool keep) {
  return extreme("max", x, max(x.value(), axes, true), keep, axes);
}

Variable min(const Variable& x, const std::vector<int>& axes, bool keep) {
  return extreme("min", x, min(x.value(), axes, true), keep, axes);
}

// ---- Products

// y = a b:  da = dy b^T,  db = a^T dy,  summed over whatever was stretched. A batch of rows times one matrix
// is one product.
Variable matmul(const Variable& a, const Variable& b) {
  const Tensor &x = a.value(), &w = b.value();
  const auto rows = [](const Tensor& t) { return t.rank() == 2 ? t : t.reshape({-1, t.size(-1)}); };
  return record(
      "matmul", matmul(x, w),
      {{a, [w, from = x.shape()](const Tensor& dy) { return sum_to(matmul(dy, w.transpose(-1, -2)), from); }},
       {b, [x, from = w.shape(), rows](const Tensor& dy) {
          if (from.rank == 2) return matmul(rows(x).transpose(0, 1), rows(dy));
          return sum_to(matmul(x.transpose(-1, -2), dy), from);
        }}});
}

// Gradients of y = x W + b, given that of y: dW = x^T dy, db = the sum of dy's rows, which the product finds
// while it reads them. Both are of the weight's dtype, f32 even where x and dy are of a half type.
static std::array<Tensor, 2> linear_gradients(const Tensor& x, const Tensor& dy, bool with_bias,
                                              DType dtype) {
  const auto rows = [](const Tensor& t) { return t.reshape({-1, t.size(-1)}); };
  const Tensor db = with_bias ? Tensor::empty({dy.size(-1)}, dtype, dy.backend()) : Tensor();
  return {matmul(rows(x).transpose(0, 1), rows(dy), {.b_sums = db.view()}, dtype), db};
}

// What is read with x lies where x does: an epilogue is given as views, and these do not say.
static const Tensor& beside(const Variable& operand, const Tensor& x, const char* op) {
  if (operand) check_same_backend(op, x, operand.value());
  return operand.value();
}

// All parameters of a product are of the first one's dtype, as their gradients will be.
static void check_parameters(const char* op, std::initializer_list<Variable> parameters) {
  for (const Variable& each : parameters)
    if (each) check_same_kind(op, parameters.begin()->value(), each.value());
}

// A parameter as the product with x reads it: an f32 one is rounded to x's half type.
static Tensor rounded(const Variable& parameter, const Tensor& x, const char* op) {
  const Tensor& value = beside(parameter, x, op);
  return parameter && value.dtype() == wide(x.dtype()) ? value.to(x.dtype()) : value;
}

// What an epilogue takes: contiguous, or nothing.
static Tensor dense(const Tensor& x) { return x ? x.as_contiguous() : x; }

// y = x W + b + residual:  dx = dy W^T, and the residual's gradient is dy.
Variable linear(const Variable& x, const Variable& weight, const Variable& bias, const Variable& residual) {
  check(weight.shape().rank == 2, "linear: the weight has shape {}, not (in, out)", weight.shape());
  check_parameters("linear", {weight, bias});
  const Tensor w = rounded(weight, x.value(), "linear"), b = dense(rounded(bias, x.value(), "linear"));
  const Tensor added = dense(beside(residual, x.value(), "linear"));
  const Tensor y = matmul(x.value(), w, {.bias = b.view(), .residual = added.view()});
  return record("linear", y,
                {{x, [w](const Tensor& dy) { return matmul(dy, w.transpose(0, 1)); }},
                 {std::array{weight, bias},
                  [x = x.value(), with_bias = static_cast<bool>(bias), dtype = weight.value().dtype()](
                      const Tensor& dy) { return linear_gradients(x, dy, with_bias, dtype); }},
                 {residual, [](const Tensor& dy) { return dy; }}});
}

// y = gelu(h) W2 + b2 + residual with h = x W1 + b1. GELU is taken while h is on its way to memory, and so is
// its derivative on the way back: dh = gelu'(h) (dy W2^T).
Variable mlp(const Variable& x, const Variable& w1, const Variable& b1, const Variable& w2,
             const Variable& b2, const Variable& residual) {
  for (const Variable& weight : {w1, w2})
    check(weight.shape().rank == 2, "mlp: a weight has shape {}, not (in, out)", weight.shape());
  check_parameters("mlp", {w1, b1, w2, b2});
  const auto read = [&](const Variable& parameter) { return rounded(parameter, x.value(), "mlp"); };
  const Tensor first = dense(read(b1)), second = dense(read(b2)), weight1 = read(w1), weight2 = read(w2);
  const Tensor added = dense(beside(residual, x.value(), "mlp"));
  const Tensor h = Tensor::empty(x.shape().with(-1, w1.size(1)), x.value().dtype(), x.value().backend());
  const Tensor inside =
      matmul(x.value(), weight1, {.bias = first.view(), .activation = Activation::gelu, .before = h.view()});
  const Tensor y = matmul(inside, weight2, {.bias = second.view(), .residual = added.view()});
  return record("mlp", y,
                {{std::array{x, w1, b1, w2, b2},
                  [=, x = x.value(), dtype = w1.value().dtype(), with_b1 = static_cast<bool>(b1),
                   with_b2 = static_cast<bool>(b2)](const Tensor& dy) {
                    const auto [dw2, db2] = linear_gradients(inside, dy, with_b2, dtype);
                    const Tensor dh = matmul(dy, weight2.transpose(0, 1),
                                             {.activation = Activation::gelu_backward, .before = h.view()});
                    const auto [dw1, db1] = linear_gradients(x, dh, with_b1, dtype);
                    return std::array{matmul(dh, weight1.transpose(0, 1)), dw1, db1, dw2, db2};
                  }},
                 {residual, [](const Tensor& dy) { return dy; }}});
}

// ---- Rows

Variable softmax(const Variable& x, int axis) {
  const Tensor y = softmax(x.value(), axis);
  return record("softmax", y, {{x, [y, axis](const Tensor& dy) { return softmax_backward(y, dy, axis); }}});
}

Variable log_softmax(const Variable& x, int axis) {
  const Tensor y = log_softmax(x.value(), axis);
  return record("log_softmax", y,
                {{x, [y, axis](const Tensor& dy) { return log_softmax_backward(y, dy, axis); }}});
}

Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double epsilon) {
  LayerNormed saved = layer_norm(x.value(), weight.value(), bias.value(), epsilon);
  const Tensor y = std::exchange(saved.y, {});
  return record(
      "layer_norm", y,
      {{std::array{x, weight, bias}, [x = x.value(), weight = weight.value(), saved](const Tensor& dy) {
          auto [dx, dweight, dbias] = layer_norm_backward(x, weight, saved, dy);
          return std::array{dx, dweight, dbias};
        }}});
}

// With r = 1 / sqrt(mean(x^2) + epsilon) and n = x r:  dx = r (dn - n mean(dn n)) for dn = dy w, and dw = the
// sum of dy n over rows. All of it f32 where x is of a half type.
Variable rms_norm(const Variable& x, const Variable& weight, double epsilon) {
  check_norm("rms_norm", x.value(), weight.value());
  const DType sums = wide(x.value().dtype());
  const auto row_means = [](const Tensor& t) {
    return sum_to(t, t.shape().with(-1, 1)) * (1 / static_cast<double>(t.size(-1)));
  };
  const Tensor w = weight.value().to(sums), all = x.value().to(sums);
  const Tensor r = rsqrt(row_means(all * all) + epsilon);
  return record(
      "rms_norm", (all * r * w).to(x.value().dtype()),
      {{std::array{x, weight}, [=, x = x.value(), dtype = weight.value().dtype()](const Tensor& dy) {
          const Tensor n = x.to(sums) * r, from = dy.to(sums), dn = from * w;
          return std::array{((dn - n * row_means(dn * n)) * r).to(x.dtype()),
                            sum_to(from * n, w.shape()).to(dtype)};
        }}});
}

Variable gather_rows(const Variable& table, const Tensor& ids) {
  return record(
      "gather_rows", gather_rows(table.value(), ids),
      {{table, [ids, rows = table.size(0)](const Tensor& dy) { return scatter_add_rows(dy, ids, rows); }}});
}

Variable cross_entropy(const Variable& logits, const Tensor& targets, CrossEntropy options) {
  check(!options.count, "cross_entropy: a count is for Tensors; nothing would hold it until the way back");
  const auto [loss, log_sum] = cross_entropy(logits.value(), targets, options);
  return record("cross_entropy", loss,
                {{logits, [=, x = logits.value(), log_sum = log_sum](const Tensor& dy) {
                    return cross_entropy_backward(x, targets, options, log_sum, dy);
                  }}});
}

// The head makes its gradients on the way forward, tile by tile; the way back multiplies them with dloss.
Variable linear_cross_entropy(const Variable& x, const Variable& weight, const Tensor& targets,
                              CrossEntropy options) {
  const bool wanted = is_recording() && (x.wants_gradient() || weight.wants_gradient());
  const HeadLoss head = linear_cross_entropy(x.value(), weight.value(), targets, options, wanted,
                                             wanted && weight.wants_gradient());
  return record("linear_cross_entropy", head.loss, {{std::array{x, weight}, [head](const Tensor& dloss) {
                                                       return linear_cross_entropy_backward(head, dloss);
                                                     }}});
}

// ---- Attention

static Tensor turned(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  const int64_t half = x.size(-1) / 2;
  const Tensor a = x.slice(-1, 0, half), b = x.slice(-1, half, 2 * half);
  return concatenate(std::array{a * cos - b * sin, b * cos + a * sin}, -1);
}

// The way back turns back.
Variable rotate(const Variable& x, const Tensor& cos_table, const Tensor& sin_table) {
  check(x.size(-1) % 2 == 0, "rotate: the last axis of {} is not even", x.shape());
  check_float("rotate", x.value());
  const Shape half = x.shape().with(-1, x.size(-1) / 2);
  for (const Tensor* table : {&cos_table, &sin_table}) {
    check_same_backend("rotate", x.value(), *table);
    check_float("rotate", *table);
    check(broadcast(table->shape(), half, "rotate") == half, "rotate: a table {} does not stretch to {}",
          table->shape(), half);
  }
  const Tensor cos = cos_table.to(x.value().dtype()), sin = sin_table.to(x.value().dtype());
  return record("rotate", turned(x.value(), cos, sin),
                {{x, [cos, sin](const Tensor& dy) { return turned(dy, cos, -sin); }}});
}

// The queries (part 0), keys (1) or values (2) in qkv (B, T, 3C), as a view (B, H, T, D).
static Tensor heads_of(const Tensor& qkv, int part, int64_t heads) {
  const int64_t C = qkv.size(2) / 3;
  return qkv.slice(2, part * C, (part + 1) * C)
      .reshape({qkv.size(0), qkv.size(1), heads, C / heads})
      .transpose(1, 2);
}

Variable attention(const Variable& qkv, int64_t heads) {
  const Tensor& x = qkv.value();
  check(x.rank() == 3 && heads > 0 && x.size(2) % (3 * heads) == 0,
        "attention: qkv {} does not divide into three times {} heads", x.shape(), heads);
  const int64_t B = x.size(0), T = x.size(1), C = x.size(2) / 3;
  const double scale = 1 / std::sqrt(static_cast<double>(C / heads));
  const Attended saved =
      attention(heads_of(x, 0, heads), heads_of(x, 1, heads), heads_of(x, 2, heads), scale);
  return record("attention", saved.y.transpose(1, 2).reshape({B, T, C}),
                {{qkv, [=](const Tensor& dy) {
                    const Tensor dqkv = Tensor::like(x);
                    Tensor dq = heads_of(dqkv, 0, heads), dk = heads_of(dqkv, 1, heads),
                           dv = heads_of(dqkv, 2, heads);
                    const Tensor dy_heads = dy.reshape({B, T, heads, C / heads}).transpose(1, 2);
                    attention_backward(heads_of(x, 0, heads), heads_of(x, 1, heads), heads_of(x, 2, heads),
                                       scale, saved, dy_heads, dq, dk, dv);
                    return dqkv;
                  }}});
}

Variable attention(const Variable& q, const Variable& k, const Variable& v) {
  check(q.shape().rank == 4 && q.size(-1) > 0, "attention: q {} is not (B, H, T, D)", q.shape());
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(-1)));
  const Attended saved = attention(q.value(), k.value(), v.value(), scale);
  const int64_t B = q.size(0), H = q.size(1), T = q.size(2), D = q.size(3);
  return record(
      "attention", saved.y.transpose(1, 2).reshape({B, T, H * D}),
      {{std::array{q, k, v}, [=, q = q.value(), k = k.value(), v = v.value()](const Tensor& dy) {
          std::array gradients{Tensor::like(q), Tensor::like(k), Tensor::like(v)};
          auto& [dq, dk, dv] = gradients;
          attention_backward(q, k, v, scale, saved, dy.reshape({B, T, H, D}).transpose(1, 2), dq, dk, dv);
          return gradients;
        }}});
}

}  // namespace chapbook
