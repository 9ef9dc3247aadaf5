// Reductions. Two shapes of loop do nearly everything: numbers of a row are combined into one (the last axis
// goes), or whole rows are added to each other (leading axes go: bias gradients). Long reductions are cut
// into pieces of fixed length, whose results are combined in order. Sums of up to 1,024 numbers are kept in
// f32 lanes, longer ones in double.
#include <cmath>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/half.h"
#include "tensor/cpu/loop.h"
#include "tensor/reference/reference_backend.h"

namespace chapbook {

namespace {

using cpu::grain;
using cpu::scratch;

// How each reduction combines; NaN wins over every number.
struct Sum {
  static constexpr double start = 0;
  static double combine(double a, double b) { return a + b; }
};
struct Max {
  static constexpr double start = -std::numeric_limits<double>::infinity();
  template <class T>
  static T combine(T a, T b) {
    return b > a || b != b ? b : a;
  }
};
struct Min {
  static constexpr double start = std::numeric_limits<double>::infinity();
  template <class T>
  static T combine(T a, T b) {
    return b < a || b != b ? b : a;
  }
};

template <class Op, class T>
double combine_row(const T* x, int64_t step, int64_t n) {
  double result = Op::start;
  if (std::is_same_v<Op, Sum> && step == 1 && std::is_same_v<T, float>) {
    for (int64_t j = 0; j < n; j += 1024)
      result += cpu::sum_of(std::min<int64_t>(1024, n - j),
                            [row = x + j](int64_t i) { return static_cast<float>(row[i]); });
  } else if (!std::is_same_v<Op, Sum> && step == 1) {
    constexpr int lanes = 32;
    T best[lanes];
    std::fill(best, best + lanes, static_cast<T>(Op::start));
    const int64_t whole = n / lanes * lanes;
    for (int64_t j = 0; j < whole; j += lanes)
      for (int lane = 0; lane < lanes; ++lane)
        best[lane] = static_cast<T>(Op::combine(best[lane], x[j + lane]));
    for (int64_t j = whole; j < n; ++j) best[0] = static_cast<T>(Op::combine(best[0], x[j]));
    for (T b : best) result = Op::combine(result, static_cast<double>(b));
  } else {
    for (int64_t j = 0; j < n; ++j) result = Op::combine(result, static_cast<double>(x[j * step]));
  }
  return result;
}

// Combines the partial results of `pieces` pieces, laid out (pieces, results), into y.
template <class Op, class T>
void combine_pieces(const double* partial, int64_t pieces, int64_t results, const Loop<2>& kept, T* y) {
  parallel_for(results, grain / 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double result = partial[i];
      for (int64_t piece = 1; piece < pieces; ++piece)
        result = Op::combine(result, partial[piece * results + i]);
      y[offset_of(i, kept.shape, kept.strides[0])] = static_cast<T>(result);
    }
  });
}

// One result at a time; `gone` walks what it combines.
template <class Op, class T>
void reduce_rows(const Loop<2>& kept, const Loop<1>& gone, const T* x, T* y) {
  constexpr int64_t piece_length = 65536;
  const int64_t results = kept.shape.count(), count = gone.shape.count();
  const int64_t pieces = (count + piece_length - 1) / piece_length;
  double* partial = scratch<struct Partial, double>(pieces * results);
  const int64_t step = gone.strides[0][-1];
  parallel_for(results * pieces, std::max<int64_t>(1, grain / std::min(count, piece_length)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t task = begin; task < end; ++task) {
                   const T* from = x + offset_of(task / pieces, kept.shape, kept.strides[1]);
                   const int64_t first = task % pieces * piece_length;
                   double result = Op::start;
                   gone.run(first, std::min(count, first + piece_length), [&](const auto& at, int64_t n) {
                     result = Op::combine(result, combine_row<Op>(from + at[0], step, n));
                   });
                   partial[task % pieces * results + task / pieces] = result;
                 }
               });
  combine_pieces<Op>(partial, pieces, results, kept, y);
}

// A tile of neighbouring results at a time, into which rows are added.
template <class Op, class T>
void reduce_columns(const Loop<2>& kept, const Loop<1>& gone, const T* x, T* y) {
  constexpr int64_t piece_length = 256, tile = 256;
  const int64_t results = kept.shape.count(), count = gone.shape.count(), columns = kept.shape[-1];
  const int64_t pieces = (count + piece_length - 1) / piece_length, tiles = (columns + tile - 1) / tile;
  double* partial = scratch<struct Partial, double>(pieces * results);
  const int64_t outer = results / columns;
  const int64_t work = std::min(columns, tile) * std::min(count, piece_length);
  parallel_for(outer * tiles * pieces, std::max<int64_t>(1, grain / work), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t piece = task % pieces, column = task / pieces % tiles * tile,
                    band = task / pieces / tiles;
      const int64_t width = std::min(tile, columns - column), first = band * columns + column;
      const T* from = x + offset_of(first, kept.shape, kept.strides[1]);
      const int64_t row_end = std::min(count, (piece + 1) * piece_length);
      double sums[tile];
      std::fill(sums, sums + width, Op::start);
      int64_t row = piece * piece_length;
      if constexpr (std::is_same_v<Op, Sum>) {
        for (; row + 4 <= row_end; row += 4) {  // four rows at a time save loads and stores of the sums
          const T* rows[4];
          for (int r = 0; r < 4; ++r) rows[r] = from + offset_of(row + r, gone.shape, gone.strides[0]);
#pragma GCC ivdep
          for (int64_t j = 0; j < width; ++j)
            sums[j] += (rows[0][j] + rows[1][j]) + (rows[2][j] + rows[3][j]);
        }
      }
      for (; row < row_end; ++row) {
        const T* numbers = from + offset_of(row, gone.shape, gone.strides[0]);
#pragma GCC ivdep
        for (int64_t j = 0; j < width; ++j) sums[j] = Op::combine(sums[j], static_cast<double>(numbers[j]));
      }
      std::copy(sums, sums + width, partial + piece * results + first);
    }
  });
  combine_pieces<Op>(partial, pieces, results, kept, y);
}

template <class Op, class T>
void reduce_loop(const View& x, const View& y) {
  Shape gone_shape = x.shape;
  for (int axis = 0; axis < x.shape.rank; ++axis)
    if (y.shape[axis] != 1) gone_shape[axis] = 1;
  const Loop<2> kept(y.shape, {y.strides, x.strides});
  const Loop<1> gone(gone_shape, {x.strides});
  const bool columns = kept.strides[1][-1] == 1 && gone.strides[0][-1] != 1 && kept.shape[-1] >= 4;
  if (columns)
    reduce_columns<Op>(kept, gone, x.as<T>(), y.as<T>());
  else
    reduce_rows<Op>(kept, gone, x.as<T>(), y.as<T>());
}

template <class T>
void reduce_as(Reduce op, const View& x, const View& y) {
  switch (op) {
    case Reduce::sum:
      return reduce_loop<Sum, T>(x, y);
    case Reduce::max:
      return reduce_loop<Max, T>(x, y);
    case Reduce::min:
      return reduce_loop<Min, T>(x, y);
  }
}

}  // namespace

void CpuBackend::reduce(Reduce op, In x, Out y) {
  if (cpu::any_half({x, y})) return cpu::in_f32(*this, {&x}, {&y}, [&] { reduce(op, x, y); });
  const bool covered = x.dtype == y.dtype && x.count() > 0;
  if (covered && x.dtype == DType::f32) return reduce_as<float>(op, x, y);
  if (covered && x.dtype == DType::f64) return reduce_as<double>(op, x, y);
  reference_backend().reduce(op, x, y);
}

void CpuBackend::argmax(In x, Out y) {
  if (cpu::any_half({x})) return cpu::in_f32(*this, {&x}, {}, [&] { argmax(x, y); });
  const int64_t n = x.shape[-1];
  if (!cpu::all_f32({x}) || !cpu::dense_rows(x) || n == 0) return reference_backend().argmax(x, y);
  const Shape rows = x.shape.without(-1);
  parallel_for(rows.count(), std::max<int64_t>(1, grain / n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* numbers = x.as<float>() + offset_of(row, rows, x.strides);
      const float largest = cpu::largest_of(numbers, n);
      // A row that begins with NaN keeps its first place, since nothing compares greater; so does one of
      // nothing but -infinity.
      const bool first = std::isnan(numbers[0]) || !(largest > numbers[0]);
      y.as<int32_t>()[offset_of(row, rows, y.strides)] =
          first ? 0 : static_cast<int32_t>(std::find(numbers, numbers + n, largest) - numbers);
    }
  });
}

void CpuBackend::square_sum(std::span<const In> xs, Out y) {
  constexpr int lanes = 16;
  if (!std::all_of(xs.begin(), xs.end(), [](const View& x) { return x.dtype == DType::f32; }))
    return reference_backend().square_sum(xs, y);
  int64_t pieces = 0;
  for (const View& x : xs) pieces += (x.count() + grain - 1) / grain;
  double* partial = scratch<struct Partial, double>(pieces + 1);
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      int64_t here = piece;  // counted from the start of the view it falls in
      size_t which = 0;
      while (here >= (xs[which].count() + grain - 1) / grain)
        here -= (xs[which++].count() + grain - 1) / grain;
      const View& x = xs[which];
      const Loop<1> loop(x.shape, {x.strides});
      const int64_t step = loop.strides[0][-1];
      double sums[lanes] = {}, rest = 0;
      loop.run(here * grain, std::min(x.count(), (here + 1) * grain), [&](const auto& at, int64_t n) {
        const float* numbers = x.as<float>() + at[0];
        const int64_t whole = step == 1 ? n / lanes * lanes : 0;
        for (int64_t j = 0; j < whole; j += lanes)
          for (int lane = 0; lane < lanes; ++lane)
            sums[lane] += double{numbers[j + lane]} * double{numbers[j + lane]};
        for (int64_t j = whole; j < n; ++j) rest += double{numbers[j * step]} * double{numbers[j * step]};
      });
      for (double sum : sums) rest += sum;
      partial[piece] = rest;
    }
  });
  double total = 0;
  for (int64_t piece = 0; piece < pieces; ++piece) total += partial[piece];
  *y.as<double>() = total;
}

}  // namespace chapbook
