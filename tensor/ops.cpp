#include "tensor/ops.h"

#include <cmath>

#include "tensor/operands.h"

namespace chapbook {

// What a forward pass kept for the way back.
static void check_saved(const char* op, const char* what, const Tensor& saved, const Tensor& x,
                        const Shape& shape, DType dtype) {
  check_same_backend(op, x, saved);
  check(saved.shape() == shape && saved.dtype() == dtype, "{}: {} is {} of {}, not {} of {}", op, what,
        saved.shape(), name_of(saved.dtype()), shape, name_of(dtype));
}

// (..., n) as rows (N, n).
static Tensor as_rows(const Tensor& x) {
  return x.reshape({x.size(-1) ? x.count() / x.size(-1) : 0, x.size(-1)});
}

Tensor unary(Unary op, const Tensor& x) {
  if (!takes_integers(op)) check_float(name_of(op).data(), x);
  Tensor y = Tensor::like(x);
  x.backend().unary(op, x.view(), y.view());
  return y;
}

Tensor binary(Binary op, const Tensor& a, const Tensor& b) {
  const char* name = name_of(op).data();
  check_same_kind(name, a, b);
  if (!takes_integers(op)) check_float(name, a);
  const Shape shape = broadcast(a.shape(), b.shape(), name);
  Tensor y = Tensor::empty(shape, is_comparison(op) ? DType::u8 : a.dtype(), a.backend());
  a.backend().binary(op, a.view().broadcast_to(shape), b.view().broadcast_to(shape), y.view());
  return y;
}

// Else it would be lost before anything is computed: 8 * 0.5 of integers would be 0, and so would x / 1e5 of
// f16, whose largest number is 65504.
Tensor scalar(double value, const Tensor& like) {
  const double number =
      visit(like.dtype(), [&]<class T>(Type<T>) { return number_as<double>(number_as<T>(value)); });
  const bool held = is_float(like.dtype()) ? std::isfinite(number) || !std::isfinite(value) : number == value;
  check(held, "scalar: {} does not hold {}; convert the tensor with to()", name_of(like.dtype()), value);
  return Tensor::full({}, value, like.dtype(), like.backend());
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  check_same_kind("where", a, b);
  check_same_backend("where", condition, a);
  check(condition.dtype() == DType::u8, "where: the condition is {}, not u8", name_of(condition.dtype()));
  const Shape shape = broadcast(condition.shape(), broadcast(a.shape(), b.shape(), "where"), "where");
  Tensor y = Tensor::empty(shape, a.dtype(), a.backend());
  a.backend().where(condition.view().broadcast_to(shape), a.view().broadcast_to(shape),
                    b.view().broadcast_to(shape), y.view());
  return y;
}

Tensor triangle(int64_t rows, int64_t columns, int64_t diagonal, Backend& backend) {
  Tensor y = Tensor::empty({rows, columns}, DType::u8, backend);
  backend.triangle(y.view(), diagonal);
  return y;
}

static Tensor reduce(Reduce op, const char* name, const Tensor& x, const std::vector<int>& axes, bool keep) {
  Tensor y = Tensor::empty(reduced(x.shape(), axes, true, name), x.dtype(), x.backend());
  check(op == Reduce::sum || x.count() > 0 || y.count() == 0, "{}: no numbers to choose from in shape {}",
        name, x.shape());
  x.backend().reduce(op, x.view(), y.view());
  return keep ? y : y.reshape(reduced(x.shape(), axes, false, name));
}

Tensor sum(const Tensor& x, const std::vector<int>& axes, bool keep) {
  return reduce(Reduce::sum, "sum", x, axes, keep);
}
Tensor max(const Tensor& x, const std::vector<int>& axes, bool keep) {
  return reduce(Reduce::max, "max", x, axes, keep);
}
Tensor min(const Tensor& x, const std::vector<int>& axes, bool keep) {
  return reduce(Reduce::min, "min", x, axes, keep);
}

Tensor mean(const Tensor& x, const std::vector<int>& axes, bool keep) {
  check_float("mean", x);
  // The sum of many half numbers may leave their range though the mean does not.
  if (x.dtype() != wide(x.dtype())) return mean(x.to(wide(x.dtype())), axes, keep).to(x.dtype());
  const Tensor total = sum(x, axes, keep);
  return total * (static_cast<double>(total.count()) / static_cast<double>(x.count()));
}

Tensor var(const Tensor& x, const std::vector<int>& axes, bool keep) {
  const Tensor centred = x - mean(x, axes, true);
  return mean(centred * centred, axes, keep);
}

Tensor argmax(const Tensor& x, int axis) {
  axis = x.shape().axis(axis, "argmax");
  const Tensor last = x.transpose(axis, -1);
  check(x.size(axis) > 0, "argmax: no numbers to choose from in shape {}", x.shape());
  Tensor y = Tensor::empty(last.shape().without(-1), DType::i32, x.backend());
  x.backend().argmax(last.view(), y.view());
  if (axis == x.rank() - 1) return y;
  // transpose swapped the last axis into the place of `axis`: bring it back to the end.
  Tensor moved = y.reshape(y.shape());
  for (int i = axis; i + 1 < moved.rank(); ++i) moved = moved.transpose(i, i + 1);
  return moved;
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Shape kept = x.shape();  // but 1 where numbers are summed
  check(shape.rank <= x.rank(), "sum_to: {} does not stretch to {}", shape, x.shape());
  for (int i = 1; i <= x.rank(); ++i) {
    if (i > shape.rank || shape[-i] == 1) kept[-i] = 1;
    check(i > shape.rank || shape[-i] == kept[-i], "sum_to: {} does not stretch to {}", shape, x.shape());
  }
  if (kept == x.shape()) return x.reshape(shape);
  Tensor y = Tensor::empty(kept, x.dtype(), x.backend());
  x.backend().reduce(Reduce::sum, x.view(), y.view());
  return y.reshape(shape);
}

Tensor global_norm(std::span<const Tensor> xs) {
  if (xs.empty()) return Tensor::zeros({}, DType::f64);
  RecycledVector<In> views;
  for (const Tensor& x : xs) {
    check_same_backend("global_norm", xs[0], x);
    check_float("global_norm", x);
    views.push_back(x.view());
  }
  Tensor y = Tensor::empty({}, DType::f64, xs[0].backend());
  y.backend().square_sum(views, y.view());
  return sqrt(y);
}

// y = a b + ... for two matrices, given as the rows of larger shapes.
static Tensor matmul_rows(const Tensor& a, const Tensor& b, Epilogue epilogue, DType dtype) {
  const Shape shape = a.shape().with(-1, b.size(1));
  const Tensor rows = as_rows(a);
  const Tensor y = Tensor::empty({rows.size(0), b.size(1)}, dtype, a.backend());
  const auto fits = [&](const View& x, const Shape& wanted, const char* what) {
    check(!x || (x.shape == wanted && x.contiguous() && x.dtype == y.dtype()),
          "matmul: the {} {} is not a contiguous {} of {}", what, x.shape, wanted, name_of(y.dtype()));
  };
  fits(epilogue.bias, {b.size(1)}, "bias");
  fits(epilogue.b_sums, {b.size(1)}, "sum of rows");
  fits(epilogue.residual, shape, "residual");
  fits(epilogue.before, shape, "GELU's x");
  check(epilogue.before || epilogue.activation != Activation::gelu_backward,
        "matmul: the way back of a GELU wants its x in `before`");
  for (View* like_y : std::initializer_list<View*>{&epilogue.residual, &epilogue.before})
    if (*like_y) *like_y = View{like_y->data, y.dtype(), y.shape(), y.view().strides};
  a.backend().matmul(rows.view(), b.view(), y.view(), epilogue);
  return y.reshape(shape);
}

Tensor matmul(const Tensor& a, const Tensor& b, const Epilogue& epilogue, std::optional<DType> dtype) {
  check_same_kind("matmul", a, b);
  check_float("matmul", a);
  const DType result = dtype.value_or(a.dtype());
  check(result == a.dtype() || result == wide(a.dtype()),
        "matmul: products of {} are kept in it or in {}, not {}", name_of(a.dtype()),
        name_of(wide(a.dtype())), name_of(result));
  check(a.rank() >= 2 && b.rank() >= 2, "matmul: {} times {}: both need at least two axes", a.shape(),
        b.shape());
  check(a.size(-1) == b.size(-2), "matmul: {} times {}: inner sizes {} and {} differ", a.shape(), b.shape(),
        a.size(-1), b.size(-2));
  check(epilogue.nothing() || b.rank() == 2, "matmul: an epilogue wants two axes, not {}", b.shape());
  // A batch times one matrix is one product of more rows.
  if (b.rank() == 2 && (!epilogue.nothing() || (a.rank() > 2 && a.contiguous())))
    return matmul_rows(a, b, epilogue, result);
  const auto batch = [](const Shape& shape) { return Shape(shape.size, shape.rank - 2); };
  const Shape lead = broadcast(batch(a.shape()), batch(b.shape()), "matmul");
  const auto full = [&](int64_t rows, int64_t columns) {
    check(lead.rank + 2 <= Shape::max_rank, "matmul: more than {} axes", Shape::max_rank);
    Shape shape = lead;
    shape.size[shape.rank++] = rows;
    shape.size[shape.rank++] = columns;
    return shape;
  };
  Tensor y = Tensor::empty(full(a.size(-2), b.size(-1)), result, a.backend());
  a.backend().matmul(a.view().broadcast_to(full(a.size(-2), a.size(-1))),
                     b.view().broadcast_to(full(b.size(-2), b.size(-1))), y.view(), {});
  return y;
}

Tensor concatenate(std::span<const Tensor> xs, int axis) {
  check(!xs.empty(), "concatenate: nothing to join");
  axis = xs[0].shape().axis(axis, "concatenate");
  Shape shape = xs[0].shape().with(axis, 0);
  for (const Tensor& x : xs) {
    check_same_kind("concatenate", xs[0], x);
    check(x.rank() == shape.rank && x.shape().with(axis, 0) == shape.with(axis, 0),
          "concatenate: shapes {} and {} differ in more than axis {}", xs[0].shape(), x.shape(), axis);
    shape[axis] += x.size(axis);
  }
  Tensor y = Tensor::empty(shape, xs[0].dtype(), xs[0].backend());
  int64_t from = 0;
  for (const Tensor& x : xs) {
    y.backend().copy(x.view(), y.view().slice(axis, from, from + x.size(axis)));
    from += x.size(axis);
  }
  return y;
}

// Backends work along the last axis; another one is swapped there.
template <class Kernel>
static Tensor along(const char* name, int axis, const Tensor& x, Kernel kernel) {
  check_float(name, x);
  axis = x.shape().axis(axis, name);
  Tensor y = Tensor::like(x).transpose(axis, -1);
  kernel(y.view());
  return y.transpose(axis, -1);
}

Tensor softmax(const Tensor& x, int axis) {
  return along("softmax", axis, x, [&](View y) { x.backend().softmax(x.view().transpose(axis, -1), y); });
}

Tensor log_softmax(const Tensor& x, int axis) {
  return along("log_softmax", axis, x,
               [&](View y) { x.backend().log_softmax(x.view().transpose(axis, -1), y); });
}

Tensor softmax_backward(const Tensor& y, const Tensor& dy, int axis) {
  check_same_kind("softmax_backward", y, dy);
  check_same_shape("softmax_backward", y, dy);
  return along("softmax_backward", axis, y, [&](View dx) {
    y.backend().softmax_backward(y.view().transpose(axis, -1), dy.view().transpose(axis, -1), dx);
  });
}

Tensor log_softmax_backward(const Tensor& y, const Tensor& dy, int axis) {
  check_same_kind("log_softmax_backward", y, dy);
  check_same_shape("log_softmax_backward", y, dy);
  return along("log_softmax_backward", axis, y, [&](View dx) {
    y.backend().log_softmax_backward(y.view().transpose(axis, -1), dy.view().transpose(axis, -1), dx);
  });
}

LayerNormed layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon) {
  check_norm("layer_norm", x, weight);
  if (bias) {
    check_same_kind("layer_norm", weight, bias);
    check(bias.shape() == weight.shape(), "layer_norm: bias {} and weight {} differ", bias.shape(),
          weight.shape());
  }
  const Tensor rows = as_rows(x);
  const Shape row_count{rows.size(0)};
  LayerNormed result{Tensor::empty(rows.shape(), x.dtype(), x.backend()),
                     Tensor::empty(row_count, wide(x.dtype()), x.backend()),
                     Tensor::empty(row_count, wide(x.dtype()), x.backend())};
  x.backend().layer_norm(rows.view(), weight.view(), bias ? bias.view() : View{}, epsilon, result.y.view(),
                         result.mean.view(), result.rstd.view());
  result.y = result.y.reshape(x.shape());
  return result;
}

LayerNormGradients layer_norm_backward(const Tensor& x, const Tensor& weight, const LayerNormed& saved,
                                       const Tensor& dy) {
  check_norm("layer_norm_backward", x, weight);
  check_same_kind("layer_norm_backward", x, dy);
  check_same_shape("layer_norm_backward", x, dy);
  const Tensor rows = as_rows(x), dy_rows = as_rows(dy);
  check_saved("layer_norm_backward", "mean", saved.mean, x, {rows.size(0)}, wide(x.dtype()));
  check_saved("layer_norm_backward", "rstd", saved.rstd, x, {rows.size(0)}, wide(x.dtype()));
  LayerNormGradients result{Tensor::like(rows), Tensor::like(weight), Tensor::like(weight)};
  x.backend().layer_norm_backward(rows.view(), weight.view(), saved.mean.view(), saved.rstd.view(),
                                  dy_rows.view(), result.dx.view(), result.dweight.view(),
                                  result.dbias.view());
  result.dx = result.dx.reshape(x.shape());
  return result;
}

// Every id is below `limit` (or is `also`): kernels index with them.
static void check_ids(const char* op, const Tensor& ids, int64_t limit, std::optional<int32_t> also = {}) {
  check(ids.dtype() == DType::i32, "{}: ids are {}, not i32", op, name_of(ids.dtype()));
  ids.backend().check_ids(op, ids.as_contiguous().view(), limit, also);
}

Tensor gather_rows(const Tensor& table, const Tensor& ids) {
  check_same_backend("gather_rows", table, ids);
  check(table.rank() == 2, "gather_rows: the table has shape {}, not (rows, columns)", table.shape());
  check_ids("gather_rows", ids, table.size(0));
  Shape shape = ids.shape();
  check(shape.rank < Shape::max_rank, "gather_rows: ids {} have too many axes", shape);
  shape.size[shape.rank++] = table.size(1);
  Tensor rows = Tensor::empty({ids.count(), table.size(1)}, table.dtype(), table.backend());
  table.backend().gather_rows(table.view(), ids.reshape({-1}).view(), rows.view());
  return rows.reshape(shape);
}

Tensor scatter_add_rows(const Tensor& rows, const Tensor& ids, int64_t table_rows) {
  check_same_backend("scatter_add_rows", rows, ids);
  check_float("scatter_add_rows", rows);
  check(rows.rank() == ids.rank() + 1 && rows.shape().without(-1) == ids.shape(),
        "scatter_add_rows: rows {} do not fit ids {}", rows.shape(), ids.shape());
  check_ids("scatter_add_rows", ids, table_rows);
  Tensor table = Tensor::zeros({table_rows, rows.size(-1)}, rows.dtype(), rows.backend());
  rows.backend().scatter_add_rows(as_rows(rows).view(), ids.reshape({-1}).view(), table.view());
  return table;
}

static void check_cross_entropy(const char* op, const Tensor& logits, const Tensor& targets,
                                const CrossEntropy& options) {
  check_float(op, logits);
  check_same_backend(op, logits, targets);
  check(logits.rank() >= 1 && logits.shape().without(-1) == targets.shape(),
        "{}: targets {} do not fit logits {}", op, targets.shape(), logits.shape());
  check(options.smoothing >= 0 && options.smoothing <= 1, "{}: a smoothing of {}; it is a share, 0 to 1", op,
        options.smoothing);
  check(!options.count || (options.count.dtype == DType::f64 && options.count.count() == 1),
        "{}: the count is {} of {}, not one f64", op, options.count.shape, name_of(options.count.dtype));
  check_ids(op, targets, logits.size(-1), options.ignore);
}

Entropy cross_entropy(const Tensor& logits, const Tensor& targets, CrossEntropy options) {
  check_cross_entropy("cross_entropy", logits, targets, options);
  const Tensor rows = as_rows(logits);
  const DType dtype = wide(logits.dtype());
  Entropy result{Tensor::empty({}, dtype, logits.backend()),
                 Tensor::empty({rows.size(0)}, dtype, logits.backend())};
  logits.backend().cross_entropy(rows.view(), targets.reshape({-1}).view(), options, result.loss.view(),
                                 result.log_sum.view());
  return result;
}

Tensor counted(const Tensor& targets, const CrossEntropy& options) {
  check(targets.dtype() == DType::i32, "counted: ids are {}, not i32", name_of(targets.dtype()));
  return sum(not_equal(targets, scalar(options.ignore, targets)).to(DType::f64));
}

Tensor cross_entropy_backward(const Tensor& logits, const Tensor& targets, CrossEntropy options,
                              const Tensor& log_sum, const Tensor& dloss) {
  const char* op = "cross_entropy_backward";
  check_cross_entropy(op, logits, targets, options);
  const Tensor rows = as_rows(logits);
  check_saved(op, "log_sum", log_sum, logits, {rows.size(0)}, wide(logits.dtype()));
  check_saved(op, "the loss's gradient", dloss, logits, {}, wide(logits.dtype()));
  Tensor drows = Tensor::like(rows);
  logits.backend().cross_entropy_backward(rows.view(), targets.reshape({-1}).view(), options, log_sum.view(),
                                          dloss.view(), drows.view());
  return drows.reshape(logits.shape());
}

static void check_attention(const char* op, const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  check_float(op, q);
  check_same_kind(op, q, k);
  check_same_kind(op, k, v);
  check(q.rank() == 4 && k.rank() == 4 && k.shape() == v.shape() && q.size(0) == k.size(0) &&
            q.size(3) == k.size(3) && q.size(2) <= k.size(2) && k.size(1) > 0 && q.size(1) % k.size(1) == 0,
        "{}: q {}, k {} and v {} do not fit (B, H, T, D), (B, K, S, D), (B, K, S, D) with T <= S and "
        "H a multiple of K",
        op, q.shape(), k.shape(), v.shape());
  check(scale > 0, "{}: a scale of {}; it must be positive", op, scale);
}

Attended attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  check_attention("attention", q, k, v, scale);
  const int64_t B = q.size(0), H = q.size(1), T = q.size(2), D = q.size(3);
  Attended result{Tensor::empty({B, T, H, D}, q.dtype(), q.backend()).transpose(1, 2),
                  Tensor::empty({B, H, T}, wide(q.dtype()), q.backend())};
  q.backend().attention(q.view(), k.view(), v.view(), scale, result.y.view(), result.log_sum.view());
  return result;
}

void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                        const Attended& saved, const Tensor& dy, Tensor& dq, Tensor& dk, Tensor& dv) {
  const char* op = "attention_backward";
  check_attention(op, q, k, v, scale);
  check_saved(op, "log_sum", saved.log_sum, q, {q.size(0), q.size(1), q.size(2)}, wide(q.dtype()));
  const std::pair<const Tensor&, const Tensor&> alike[] = {{q, saved.y}, {q, dy}, {q, dq}, {k, dk}, {v, dv}};
  for (const auto& [x, like_x] : alike) {
    check_same_kind(op, x, like_x);
    check_same_shape(op, x, like_x);
  }
  q.backend().attention_backward(q.view(), k.view(), v.view(), scale, saved.y.view(), saved.log_sum.view(),
                                 dy.view(), dq.view(), dk.view(), dv.view());
}

static Tensor draw(const char* op, Distribution distribution, const Shape& shape, Random& random, DType dtype,
                   Backend& backend) {
  Tensor y = Tensor::empty(shape, dtype, backend);
  check_float(op, y);
  backend.random(distribution, random.seed, random.take(y.count()), y.view());
  return y;
}

Tensor uniform(const Shape& shape, Random& random, DType dtype, Backend& backend) {
  return draw("uniform", Distribution::uniform, shape, random, dtype, backend);
}

Tensor normal(const Shape& shape, Random& random, DType dtype, Backend& backend) {
  return draw("normal", Distribution::normal, shape, random, dtype, backend);
}

}  // namespace chapbook
