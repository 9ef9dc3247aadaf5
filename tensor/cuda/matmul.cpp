// Matrix products on the GPU: views become what cuBLASLt takes, without a copy where their strides allow.
// Transposed operands are read as they lie. What cuBLASLt does not do on the way to memory is done
// afterwards, by kernels of our own.
#include <optional>

#include "tensor/cuda/device_backend.h"
#include "tensor/cuda/epilogue.h"

namespace chapbook {
namespace {

// The last two axes as cuBLASLt takes them; nothing when numbers lie side by side along neither, or rows
// overlap. The stride along an axis of size 1 is free.
std::optional<LtMatrix> matrix(const View& x) {
  const int64_t rows = x.shape[-2], columns = x.shape[-1], row = x.strides[-2], column = x.strides[-1];
  const int64_t batch_stride = x.shape.rank > 2 ? x.strides[-3] : 0;
  if ((columns == 1 || column == 1) && (rows == 1 || row >= columns))
    return LtMatrix{x.data, x.dtype, false, rows == 1 ? columns : row, batch_stride};
  if ((rows == 1 || row == 1) && (columns == 1 || column >= rows))
    return LtMatrix{x.data, x.dtype, true, columns == 1 ? rows : column, batch_stride};
  return {};
}

bool row_by_row(const View& x) {
  const auto m = matrix(x);
  return m && !m->transposed;
}

// x without its axis 0, at one place of it.
View entry(const View& x, int64_t index) { return x.select(0, index); }

View contiguous_view(const Shape& shape, DType dtype, void* data) {
  return {data, dtype, shape, contiguous_strides(shape)};
}

// What a product of these is computed in: half types as they are (summed in f32), integers exactly in f64.
DType product_type(DType a, DType b) {
  if (a == b && is_float(a)) return a;
  return is_float(a) && is_float(b) && a != DType::f64 && b != DType::f64 ? DType::f32 : DType::f64;
}

DType sum_type(DType product) { return product == DType::f64 ? DType::f64 : DType::f32; }

// What cuBLASLt can do with a product on its way to memory, of all that an Epilogue may ask for.
bool fusible(const View& y, const Epilogue& epilogue) {
  const bool half = y.dtype == DType::bf16 || y.dtype == DType::f16;
  const auto dense = [](const View& vector) { return !vector || vector.strides[-1] == 1; };
  if (!dense(epilogue.bias) || !dense(epilogue.b_sums)) return false;
  if (epilogue.residual && !row_by_row(epilogue.residual)) return false;
  if (epilogue.b_sums && (epilogue.bias || epilogue.activation != Activation::none)) return false;
  if (epilogue.activation == Activation::none) return true;
  // Its GELU is the tanh form, but its tanh is good for some 16 bits only: enough for half types. The
  // residual would be added before GELU, not after.
  if (!half || epilogue.residual) return false;
  if (epilogue.activation == Activation::gelu_backward && epilogue.bias) return false;
  // `before` must lie like y, in rows of whole packs of 16 bytes.
  const View& before = epilogue.before;
  return !before || (before.strides == y.strides && before.strides[-2] % 8 == 0 &&
                     reinterpret_cast<uintptr_t>(before.data) % 16 == 0);
}

}  // namespace

bool DeviceBackend::try_product(const View& a, const View& b, const View& y, const Epilogue& epilogue) {
  if (y.shape.rank > 3) {  // cuBLASLt steps through one axis of a batch
    for (int64_t i = 0; i < y.shape[0]; ++i)
      if (!try_product(entry(a, i), entry(b, i), entry(y, i), epilogue)) return false;
    return true;
  }
  const auto left = matrix(a), right = matrix(b), result = matrix(y);
  if (!left || !right || !result) return false;
  // A result that lies column by column is the transposed product: y^T = b^T a^T.
  if (result->transposed)
    return epilogue.nothing() &&
           try_product(b.transpose(-1, -2), a.transpose(-1, -2), y.transpose(-1, -2), epilogue);
  if (!epilogue.nothing() && !fusible(y, epilogue)) return false;
  return products_.run({.m = y.shape[-2],
                        .n = y.shape[-1],
                        .k = a.shape[-1],
                        .batch = y.shape.rank > 2 ? y.shape[0] : 1,
                        .a = *left,
                        .b = *right,
                        .y = *result,
                        .residual = epilogue.residual ? *matrix(epilogue.residual) : LtMatrix{},
                        .activation = epilogue.activation,
                        .bias = epilogue.bias.data,
                        .before = epilogue.before.data,
                        .b_sums = epilogue.b_sums.data});
}

void DeviceBackend::matmul(In a, In b, Out y, const Epilogue& asked) {
  Epilogue epilogue = asked;
  const DType type = product_type(a.dtype, b.dtype);
  std::optional<Scratch<std::byte>> copies[2];
  // The sums of b's rows, where the product cannot find them on its way.
  const auto sum_rows = [&] {
    const Shape row{1, b.shape[-1]};
    Scratch<std::byte> block(blocks(), row.count() * size_of(sum_type(type)));
    const View sums = contiguous_view(row, sum_type(type), block.data());
    reduce(Reduce::sum, b, sums);
    copy(sums.reshape({row[-1]}), epilogue.b_sums);
    epilogue.b_sums = {};
  };
  if (y.count() == 0 || a.shape[-1] == 0) {
    if (epilogue.b_sums) sum_rows();
    if (y.count() == 0) return;
  }

  // Operands of other dtypes, or that lie side by side along neither axis, are copied first.
  View* const operands[2] = {&a, &b};
  for (int i = 0; i < 2; ++i) {
    View& x = *operands[i];
    if (x.count() == 0 || (x.dtype == type && matrix(x))) continue;
    copies[i].emplace(blocks(), x.count() * size_of(type));
    const View dense = contiguous_view(x.shape, type, copies[i]->data());
    copy(x, dense);
    x = dense;
  }

  const bool direct = a.shape[-1] > 0 && (y.dtype == type || y.dtype == sum_type(type));
  if (direct && try_product(a, b, y, epilogue)) return;
  if (epilogue.b_sums) {
    sum_rows();
    if (direct && try_product(a, b, y, epilogue)) return;
  }

  // The plain product in the width it was summed in, then the rest: in y itself where that is as wide, and
  // does not hold what is to be added.
  const DType wide = sum_type(type);
  const bool in_place = y.dtype == wide && row_by_row(y) && epilogue.residual.data != y.data;
  std::optional<Scratch<std::byte>> block;
  if (!in_place) block.emplace(blocks(), y.count() * size_of(wide));
  const View sum = in_place ? y : contiguous_view(y.shape, wide, block->data());
  if (a.shape[-1] == 0)
    fill(sum, 0);
  else
    check(try_product(a, b, sum, {}), "cuda: cuBLASLt has no product of {} {} and {}", name_of(type), a.shape,
          b.shape);
  if (!epilogue.nothing())
    finish_product(sum, y, epilogue);
  else if (!in_place)
    copy(sum, y);
}

}  // namespace chapbook
