// The head of a language model and its loss in one op, a tile of rows at a time: at a vocabulary of 50,257
// all logits would be larger than the rest of the model. What goes back is computed on the way forward, while
// a tile is at hand: for the loss l of logits z = x w^T, dz = softmax(z) - one-hot(target), dx = dz w and dw
// = dz^T x. The way back is left to multiply both with dl and divide by the rows that count; in f16, dz
// itself would vanish if it were divided.
#include <array>

#include "tensor/operands.h"
#include "tensor/ops.h"

namespace chapbook {

// Tiles of like size, with rows enough for fast products.
int64_t logits_at_once(int64_t rows, int64_t vocabulary, const Backend& backend) {
  check(vocabulary > 0, "logits_at_once: a vocabulary of {}", vocabulary);
  const int64_t most = std::max<int64_t>(1024, backend.numbers_at_once() / vocabulary);
  const int64_t tiles = std::max<int64_t>(1, (rows + most - 1) / most);
  return std::min(rows, (rows + 16 * tiles - 1) / (16 * tiles) * 16);
}

// w as the product with x reads it. Where it is rounded, that is to say copied, rows of zeros make it whole
// packs of 16: tensor cores would read 50,257 numbers one by one.
static Tensor rounded_and_filled(const Tensor& w, const Tensor& x) {
  if (w.dtype() != wide(x.dtype()) || w.dtype() == x.dtype()) return w;
  const int64_t V = w.size(0), filled = (V + 15) / 16 * 16;
  const Tensor rounded = Tensor::empty({filled, w.size(1)}, x.dtype(), x.backend());
  x.backend().copy(w.view(), rounded.slice(0, 0, V).view());
  x.backend().fill(rounded.slice(0, V, filled).view(), 0);
  return rounded;
}

// Memory for `rows` of logits. They begin at a line of the cache, but not all at the same place of it.
static Tensor room_for_logits(int64_t rows, int64_t filled, int64_t V, const Tensor& w) {
  const int64_t step = (V + 15) / 16 * 16 + (V % 256 == 0 ? 16 : 0);
  return Tensor::empty({rows, step}, w.dtype(), w.backend()).slice(1, 0, filled);
}

HeadLoss linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& targets,
                              CrossEntropy options, bool with_gradients, bool with_dw) {
  const char* op = "linear_cross_entropy";
  check(is_float(x.dtype()) && (weight.dtype() == x.dtype() || weight.dtype() == wide(x.dtype())),
        "{}: a weight of {} does not go with {}", op, name_of(weight.dtype()), name_of(x.dtype()));
  check(x.rank() >= 1 && weight.rank() == 2 && weight.size(1) == x.size(-1) && weight.size(0) > 0,
        "{}: x {} and weight {} do not fit (..., C) and (V, C)", op, x.shape(), weight.shape());
  check(targets.shape() == x.shape().without(-1), "{}: targets {} do not fit x {}", op, targets.shape(),
        x.shape());
  Backend& backend = x.backend();
  for (const Tensor* other : {&weight, &targets}) check_same_backend(op, x, *other);
  check(!options.count, "{}: it counts the rows itself; a count is for cross_entropy", op);
  check(x.count() > 0, "{}: there are no rows in {}", op, x.shape());
  const Tensor rows = x.reshape({-1, x.size(-1)}), ids = targets.reshape({-1});
  const int64_t N = rows.size(0), C = rows.size(1), V = weight.size(0), tile = logits_at_once(N, V, backend);
  Tensor count = counted(targets, options);
  count = maximum(count, scalar(1, count));
  options.count = count.view();
  const Tensor w = rounded_and_filled(weight, rows);
  const int64_t filled = w.size(0);
  HeadLoss head;
  head.count = count.to(wide(w.dtype()));
  Tensor dx, dw;  // of all rows of w, also those that fill it up
  if (with_gradients) {
    dx = Tensor::like(rows);
    head.dx = dx.reshape(x.shape());
  }
  if (with_dw) {
    dw = Tensor::empty({filled, C}, weight.dtype(), backend);
    head.dw = dw.slice(0, 0, V);
  }
  const Tensor held = room_for_logits(tile, filled, V, w);
  for (int64_t i = 0; i < N; i += tile) {
    const int64_t end = std::min(N, i + tile);
    const Tensor part = rows.slice(0, i, end), part_ids = ids.slice(0, i, end),
                 all = held.slice(0, 0, end - i), logits = all.slice(1, 0, V);
    backend.matmul(part.view(), w.view().transpose(0, 1), all.view(), {});
    const auto [part_loss, log_sum] = cross_entropy(logits, part_ids, options);
    head.loss = head.loss ? head.loss + part_loss : part_loss;
    if (!with_gradients) continue;
    backend.cross_entropy_backward(logits.view(), part_ids.view(), options, log_sum.view(), head.count.view(),
                                   logits.view());
    backend.matmul(all.view(), w.view(), dx.view().slice(0, i, end), {});
    if (with_dw)
      backend.matmul(all.view().transpose(0, 1), part.view(), dw.view(),
                     {.residual = i > 0 ? dw.view() : View{}});
  }
  return head;
}

// In their own memory if that is f32, else through f32, where dloss / count does not vanish.
std::array<Tensor, 2> linear_cross_entropy_backward(const HeadLoss& head, const Tensor& dloss) {
  check(static_cast<bool>(head.dx),
        "linear_cross_entropy_backward: the gradients were not wanted on the way forward");
  check(dloss.count() == 1, "linear_cross_entropy_backward: the loss's gradient is {}, not one number",
        dloss.shape());
  const Tensor scale = dloss / head.count;
  const auto scaled = [&](const Tensor& gradient) {
    const Tensor y = gradient.to(scale.dtype());
    y.backend().binary(Binary::mul, y.view(), scale.view().broadcast_to(y.shape()), y.view());
    return y.to(gradient.dtype());
  };
  return {scaled(head.dx), head.dw ? scaled(head.dw) : head.dw};
}

}  // namespace chapbook
