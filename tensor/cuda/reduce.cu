// Reductions. A long one is cut into pieces of fixed length, whose results are reduced again, so the order of
// a sum depends on its shape only. Half types are summed in f32, f64 and integers in f64.
#include "tensor/cuda/reduce.h"

#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/each.h"
#include "tensor/cuda/parts.h"
#include "tensor/cuda/row.h"
#include "tensor/recycle.h"
#include "tensor/tensor.h"

namespace chapbook {

// Each element of `kept` is a result, made of the elements of `gone`: one number of y for each piece of them.
struct Reduction {
  Loop<2> kept;  // of y and x
  Loop<1> gone;  // of x
  int64_t results, count, pieces;
  int64_t piece_step;  // how far apart the pieces are in y
  bool side_by_side;   // the elements of gone lie so in x

  // Where element j of gone is in x. With packs, gone has a single axis.
  template <int n>
  __device__ int64_t gone_at(int64_t j) const {
    return n > 1 ? j * gone.step(0) : gone.at(j)[0];
  }
};

// Which of the n neighbours from x[at] on is the first that packs may be read from (row.h).
template <class T>
__device__ int64_t head_of(int64_t n, const Known<T>& x, int64_t at) {
  return head_of(n, Row<T>{x.data + at, 1});
}
__device__ inline int64_t head_of(int64_t n, const Any&, int64_t) { return n; }

// A warp for each result and piece. Lane l takes the packs l, l + 32, l + 64, ... of its piece.
constexpr int64_t row_piece = 4096;
constexpr unsigned warps = 8;  // of a block

template <class Op, class X>
__global__ void reduce_rows(const __grid_constant__ Reduction r, Any y, X x) {
  constexpr int n = X::pack;
  const int64_t warp = int64_t{blockIdx.x} * warps + threadIdx.y;
  const int64_t result = warp / r.pieces, piece = warp % r.pieces;
  if (result >= r.results) return;
  const auto [to, from] = r.kept.at(result);
  Pack<typename X::number, n> sums;
  for (int i = 0; i < n; ++i) sums[i] = Op::template start<typename X::number>;
  const int64_t first = piece * row_piece, length = min(r.count - first, row_piece);
  const int64_t head = r.side_by_side ? head_of(length, x, from + first) : length;
  for_columns<n>(length, head, [&, from = from]<int c>(Count<c>, int64_t j) {
    const auto numbers = x.template load<c>(from + r.gone_at<c>(first + j));
    for (int i = 0; i < c; ++i) sums[i] = Op::combine(sums[i], numbers[i]);
  });
  for (int i = 1; i < n; ++i) sums[0] = Op::combine(sums[0], sums[i]);
  const auto sum = warp_reduce<Op>(sums[0]);
  if (threadIdx.x == 0) y.write(to + piece * r.piece_step, sum);
}

// A block of 32 x 8 threads for 32 packs of neighbouring results and a piece. Thread (column, row) combines
// rows row, row + 8, row + 16, ... of its piece, so that each warp reads 32 packs that lie side by side.
constexpr int64_t column_piece = 128;

template <class Op, class X, int n>
__global__ void reduce_columns(const __grid_constant__ Reduction r, int64_t tiles, Any y, X x) {
  using T = typename X::number;
  CHAPBOOK_SHARED(T, sums_of, [8][32][n]);
  const int64_t columns = r.kept.shape.size[r.kept.shape.rank - 1];
  const int64_t column = (blockIdx.x % tiles * 32 + threadIdx.x) * n;
  const int64_t piece = blockIdx.x / tiles % r.pieces, band = blockIdx.x / tiles / r.pieces;
  const bool inside = column < columns;
  const auto [to, from] = r.kept.at(band * columns + (inside ? column : 0));
  Pack<T, n> sums;
  for (int i = 0; i < n; ++i) sums[i] = Op::template start<T>;
  if (inside) {
    const int64_t end = std::min(r.count, (piece + 1) * column_piece);
    for (int64_t row = piece * column_piece + threadIdx.y; row < end; row += 8) {
      const auto numbers = x.template load<n>(from + r.gone_at<n>(row));
      for (int i = 0; i < n; ++i) sums[i] = Op::combine(sums[i], numbers[i]);
    }
  }
  for (int i = 0; i < n; ++i) sums_of[threadIdx.y][threadIdx.x][i] = sums[i];
  __syncthreads();
  if (threadIdx.y != 0 || !inside) return;
  for (int i = 0; i < n; ++i) {
    for (int row = 1; row < 8; ++row) sums[i] = Op::combine(sums[i], sums_of[row][threadIdx.x][i]);
    y.write(to + i * r.kept.step(0) + piece * r.piece_step, sums[i]);
  }
}

template <class Op, class X>
static void reduce_as(CudaBackend& backend, Reduce op, const View& x, const View& y) {
  Shape gone_shape = x.shape;
  int gone_axis = -1;  // the first
  for (int axis = x.shape.rank - 1; axis >= 0; --axis) {
    if (y.shape[axis] != 1)
      gone_shape[axis] = 1;
    else if (x.shape[axis] != 1)
      gone_axis = axis;
  }
  Loop<2> kept(y.shape, {y.strides, x.strides});
  const Loop<1> gone(gone_shape, {x.strides});
  const int64_t results = y.count(), count = gone.shape.count();
  if (results == 0) return;
  const bool columns = kept.strides[1][-1] == 1 && gone.strides[0][-1] != 1 && kept.shape[-1] >= 16;
  const int64_t pieces = std::max(1u, blocks_for(count, columns ? column_piece : row_piece));

  // Where there are several pieces, their results stand along an axis that will be reduced.
  Tensor partial;
  View to = y;
  if (pieces > 1) {
    partial = Tensor::empty(y.shape.with(gone_axis, pieces), dtype_of<typename X::number>(), backend);
    to = partial.view();
    kept = Loop<2>(y.shape, {to.strides, x.strides});
  }
  const Reduction r{kept,
                    gone,
                    results,
                    count,
                    pieces,
                    pieces > 1 ? to.strides[gone_axis] : 0,
                    gone.shape.rank == 1 && gone.step(0) == 1};
  if (columns) {
    // Packs lie along the results, and the steps between those of one result must not break them.
    constexpr int n = std::min(4, X::pack);
    const bool packs = gone.shape.rank == 1 && in_packs({x.data, x.dtype, kept.shape, kept.strides[1]}, n) &&
                       steps_in_packs(gone.shape, gone.strides[0], 1, n);
    const int64_t tiles = blocks_for(kept.shape[-1], 32 * (packs ? n : 1));
    const Grid grid{static_cast<unsigned>(results / kept.shape[-1] * pieces * tiles), {32, 8}};
    if (packs)
      launch<reduce_columns<Op, X, n>>(grid, r, tiles, Any(to), X(x));
    else
      launch<reduce_columns<Op, X, 1>>(grid, r, tiles, Any(to), X(x));
  } else {
    launch<reduce_rows<Op, X>>({blocks_for(results * pieces, warps), {32, warps}}, r, Any(to), X(x));
  }
  if (pieces > 1) backend.reduce(op, to, y);
}

void CudaBackend::reduce(Reduce op, In x, Out y) {
  visit_numbers({x}, [&]<class X>(Type<X>) {
    switch (op) {
      case Reduce::sum:
        return reduce_as<Sum, X>(*this, op, x, y);
      case Reduce::max:
        return reduce_as<Max, X>(*this, op, x, y);
      case Reduce::min:
        return reduce_as<Min, X>(*this, op, x, y);
    }
  });
}

// A block for each row. Every thread starts from the first number, so a row that begins with NaN, which
// nothing is greater than, gives 0; later NaN are passed over.
template <class X>
__global__ void argmax_rows(const __grid_constant__ Loop<2> rows, int64_t length, int64_t step, int32_t* y,
                            X x) {
  const auto [to, from] = rows.at(blockIdx.x);
  auto best = x.read(from);
  int place = 0;
  const int64_t head = step == 1 ? head_of(length, x, from) : length;
  for_columns<X::pack>(length, head, [&, from = from]<int c>(Count<c>, int64_t j) {
    const auto numbers = x.template load<c>(from + j * step);
    for (int i = 0; i < c; ++i)
      if (numbers[i] > best || (numbers[i] == best && j + i < place)) {  // of equal ones the first
        best = numbers[i];
        place = static_cast<int>(j) + i;
      }
  });
  const auto largest = block_max(best);
  place = block_reduce<Min>(best < largest ? Min::start<int> : place);
  if (threadIdx.x == 0) y[to] = place;
}

void CudaBackend::argmax(In x, Out y) {
  if (y.count() == 0) return;
  const Strides leading(x.strides.size, y.shape.rank);
  visit_numbers({x}, [&]<class X>(Type<X>) {
    launch<argmax_rows<X>>({static_cast<unsigned>(y.count()), 256}, Loop<2>(y.shape, {y.strides, leading}),
                           x.shape[-1], x.strides[-1], y.as<int32_t>(), X(x));
  });
}

struct Squared {
  Any x;  // side by side
  int64_t count;
};

template <class X>
__device__ double sum_of_squares(X x, int64_t begin, int64_t end) {
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    const double number = x.read(i);
    sum += number * number;
  }
  return sum;
}

// A block for each chunk. In f64, since the square of an f32 may be too large for f32.
__global__ void square_sums(const __grid_constant__ Parts<Squared> parts, double* sums) {
  const auto [part, begin, end] = parts.place(blockIdx.x);
  const Any x = parts.part[part].x;
  const double sum = x.dtype == DType::f32 ? sum_of_squares(Known(static_cast<float*>(x.data)), begin, end)
                                           : sum_of_squares(x, begin, end);
  const double total = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

void CudaBackend::square_sum(std::span<const In> xs, Out y) {
  int64_t chunks = 0;
  for (const View& x : xs) chunks += Parts<Squared>::chunks_of(x.count());
  const Tensor sums = Tensor::empty({chunks}, DType::f64, *this);
  RecycledVector<Tensor> copies;  // of what does not lie side by side
  Parts<Squared> parts;
  double* next = sums.view().as<double>();
  const auto flush = [&] {
    if (parts.chunks()) launch<square_sums>({parts.chunks(), 256}, parts, next);
    next += parts.chunks();
    parts = {};
  };
  for (View x : xs) {
    if (!x.contiguous()) {
      copies.push_back(Tensor::empty(x.shape, x.dtype, *this));
      copy(x, copies.back().view());
      x = copies.back().view();
    }
    parts.add({Any(x), x.count()});
    if (parts.full()) flush();
  }
  flush();
  reduce(Reduce::sum, sums.view(), View{y.data, y.dtype, {1}, {1}});
}

}  // namespace chapbook
