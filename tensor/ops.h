// Ops on Tensors: free functions that check shapes, dtypes and backends, make the result and call the backend
// once. Errors name the op and both sides. Operands stretch to each other as described at `broadcast` in
// tensor/shape.h.
#pragma once
#include <array>
#include <optional>

#include "tensor/random.h"
#include "tensor/tensor.h"

namespace chapbook {

Tensor unary(Unary op, const Tensor& x);
Tensor binary(Binary op, const Tensor& a, const Tensor& b);  // comparisons give u8

// exp(x), add(a, b), ...: one function for each name in tensor/elementwise.h.
#define CHAPBOOK_OP(name, operations, formula) \
  inline Tensor name(const Tensor& x) { return unary(Unary::name, x); }
CHAPBOOK_UNARY_OPS(CHAPBOOK_OP)
#undef CHAPBOOK_OP
#define CHAPBOOK_OP(name, operations, formula) \
  inline Tensor name(const Tensor& a, const Tensor& b) { return binary(Binary::name, a, b); }
CHAPBOOK_BINARY_OPS(CHAPBOOK_OP)
CHAPBOOK_COMPARISONS(CHAPBOOK_OP)
#undef CHAPBOOK_OP

inline Tensor operator-(const Tensor& x) { return neg(x); }
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }

// One number of the same dtype and backend. Throws where the dtype does not hold it: 0.5 would be 0 beside
// i32, and 1e5 infinity beside f16.
Tensor scalar(double value, const Tensor& like);
inline Tensor operator+(const Tensor& a, double b) { return add(a, scalar(b, a)); }
inline Tensor operator-(const Tensor& a, double b) { return sub(a, scalar(b, a)); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, scalar(b, a)); }
inline Tensor operator/(const Tensor& a, double b) { return div(a, scalar(b, a)); }

Tensor where(const Tensor& condition, const Tensor& a,
             const Tensor& b);  // a where condition is not 0, else b
Tensor triangle(int64_t rows, int64_t columns, int64_t diagonal = 0, Backend& backend = default_backend());

// Reductions over `axes` (all when empty); a reduced axis keeps size 1 or goes.
Tensor sum(const Tensor& x, const std::vector<int>& axes = {}, bool keep = false);
Tensor mean(const Tensor& x, const std::vector<int>& axes = {}, bool keep = false);
Tensor var(const Tensor& x, const std::vector<int>& axes = {},
           bool keep = false);  // of the population: divides by n
Tensor max(const Tensor& x, const std::vector<int>& axes = {}, bool keep = false);
Tensor min(const Tensor& x, const std::vector<int>& axes = {}, bool keep = false);
Tensor argmax(const Tensor& x, int axis = -1);       // i32; the first of equals
Tensor sum_to(const Tensor& x, const Shape& shape);  // undoes a broadcast: sums what was repeated
Tensor global_norm(std::span<const Tensor> xs);      // square root of the sum of all squares, one f64

// What numbers of a dtype are summed in: f32 at least.
inline DType wide(DType dtype) { return dtype == DType::bf16 || dtype == DType::f16 ? DType::f32 : dtype; }

// (..., m, k) times (..., k, n); the axes before the last two stretch. With an epilogue, b has two axes, and
// what is "like y" has y's shape and is contiguous. `dtype` is that of y, if not a's: the product of half
// types can be kept in f32.
Tensor matmul(const Tensor& a, const Tensor& b, const Epilogue& epilogue = {},
              std::optional<DType> dtype = {});

Tensor concatenate(std::span<const Tensor> xs, int axis);

Tensor softmax(const Tensor& x, int axis = -1);
Tensor softmax_backward(const Tensor& y, const Tensor& dy, int axis = -1);
Tensor log_softmax(const Tensor& x, int axis = -1);
Tensor log_softmax_backward(const Tensor& y, const Tensor& dy, int axis = -1);

// Layer normalisation (Ba et al. 2016) over the last axis: y = (x - mean) * rstd * weight + bias. `bias` may
// be empty. Where x is of a half type, weight and bias may be f32.
struct LayerNormed {
  Tensor y, mean, rstd;  // y like x; mean, rstd: one number a row
};
LayerNormed layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon);
struct LayerNormGradients {
  Tensor dx, dweight, dbias;
};
LayerNormGradients layer_norm_backward(const Tensor& x, const Tensor& weight, const LayerNormed& saved,
                                       const Tensor& dy);

// Rows of table (V, C) by number: ids of any shape, i32, gives (ids..., C). An id outside 0..V-1 throws, at
// once or when the host next waits for the backend.
Tensor gather_rows(const Tensor& table, const Tensor& ids);
Tensor scatter_add_rows(const Tensor& rows, const Tensor& ids,
                        int64_t table_rows);  // its gradient, summing into zeros; ids as checked there

// Mean over rows of -log softmax(logits)[target]; logits (..., V), targets (...) i32. Zero when every row is
// ignored.
struct Entropy {
  Tensor loss, log_sum;  // rank 0; one number a row
};
Entropy cross_entropy(const Tensor& logits, const Tensor& targets, CrossEntropy options = {});
Tensor counted(const Tensor& targets, const CrossEntropy& options);  // rows that are not ignored: one f64
Tensor cross_entropy_backward(const Tensor& logits, const Tensor& targets, CrossEntropy options,
                              const Tensor& log_sum, const Tensor& dloss);

// cross_entropy(x w^T, targets) for x (..., C), w (V, C) and targets (...), without holding all logits: no
// more than `logits_at_once` rows of them. With gradients, they are made on the way, before the logits of a
// tile are gone. w may be f32 where x is of a half type; it is rounded for the products, dw is of w's dtype.
struct HeadLoss {
  Tensor loss;    // rank 0
  Tensor count;   // the rows that count, or 1 if none does: what the sum was divided by to get the loss
  Tensor dx, dw;  // of that sum, if gradients were wanted; dw only with_dw
};
HeadLoss linear_cross_entropy(const Tensor& x, const Tensor& w, const Tensor& targets, CrossEntropy options,
                              bool with_gradients, bool with_dw);
std::array<Tensor, 2> linear_cross_entropy_backward(const HeadLoss& head, const Tensor& dloss);  // dx, dw
int64_t logits_at_once(int64_t rows, int64_t vocabulary, const Backend& backend);

// Causal attention softmax(scale q k^T) v: q (B, H, T, D), k and v (B, K, S, D), S >= T; the queries are the
// last T of S places. H is a multiple of K: H / K neighbouring heads of queries share one of keys and values
// (Ainslie et al. 2023). scale > 0.
struct Attended {
  Tensor y, log_sum;  // y: (B, H, T, D), stored as (B, T, H, D) so that joining the heads moves nothing;
                      // log_sum (B, H, T)
};
Attended attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale);
// Writes into dq, dk and dv, which may be slices of one tensor.
void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                        const Attended& saved, const Tensor& dy, Tensor& dq, Tensor& dk, Tensor& dv);

Tensor uniform(const Shape& shape, Random& random, DType dtype = DType::f32,
               Backend& backend = default_backend());
Tensor normal(const Shape& shape, Random& random, DType dtype = DType::f32,
              Backend& backend = default_backend());

}  // namespace chapbook
