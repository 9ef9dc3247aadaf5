// The products of attention, tile by tile. The threads of a block own `rows` rows of one operand; the other
// operand comes by in tiles of `columns` rows. Two products are enough for attention and its gradients:
//   add_products    x[i][j] += own row i . row j of the tile              (rows, D) (columns, D)^T
//   add_weighted    y[i] += sum over j of x[i][j] times row j of the tile  (rows, columns) (columns, D)
// Each thread keeps some numbers of x (Scores) and of y (Sums) in registers; each() walks over them. Its
// numbers lie in `slots` rows, and the `lanes` threads that share a row are neighbours in a warp.
// each_pair() brings the tiles, those of two operands at a time; between two calls lies a barrier.
//
// There are two ways to do it: FragmentTiles on tensor cores, for half types; PlainTiles for all others.
#pragma once
#include "tensor/cuda/attention.h"
#include "tensor/cuda/fragment.h"

namespace chapbook {

// Any type and any head size D <= most: 16 x 16 threads, each with slots x slots numbers of x. What they
// multiply comes through shared memory 16 numbers of every row at a time, and is added up 16 products at a
// time: exp makes the rounding of a score a relative error, and 256 products added one by one to a sum of
// f32 would cost four times as much of it.
template <class T, int most>
class PlainTiles {
 public:
  using Type = T;
  using N = Wide<T>;
  static constexpr int side = 16, threads = side * side, lanes = side;
  static constexpr int slots = sizeof(N) == 4 ? 4 : 2, rows = side * slots, columns = rows;

  struct Tile {
    Head<T> head;
    int64_t first, count;  // rows from count on are 0
  };
  struct Scores {
    N x[slots][slots];
  };
  struct Sums {
    N x[slots][most / side];
  };

  __device__ explicit PlainTiles(int64_t D) : D_(D), x_(threadIdx.x % side), y_(threadIdx.x / side) {}
  static size_t shared_bytes() { return 0; }

  __device__ Tile own(Head<T> head, int64_t first, int64_t count) const { return {head, first, count}; }

  // Calls f(first, tile of a, tile of b) for first = begin, begin + columns, ... below end; from row `count`
  // on rows are 0. A barrier lies before each call.
  template <class F>
  __device__ void each_pair(Head<T> a, Head<T> b, int64_t begin, int64_t end, int64_t count, F f) const {
    for (int64_t first = begin; first < end; first += columns) {
      __syncthreads();
      f(first, Tile{a, first, count}, Tile{b, first, count});
    }
  }

  __device__ int row(int slot) const { return y_ * slots + slot; }
  __device__ int last_row() const { return rows - 1; }  // of the threads that go the same way
  __device__ bool leads_row() const { return x_ == 0; }
  template <class F>
  __device__ void each(Scores& scores, F f) const {
#pragma unroll
    for (int i = 0; i < slots; ++i)
      for (int j = 0; j < slots; ++j) f(i, x_ + side * j, scores.x[i][j]);
  }
  template <class F>
  __device__ void each(Scores& a, Scores& b, F f) const {
#pragma unroll
    for (int i = 0; i < slots; ++i)
      for (int j = 0; j < slots; ++j) f(i, x_ + side * j, a.x[i][j], b.x[i][j]);
  }
  template <class F>
  __device__ void each(Sums& sums, F f) const {
#pragma unroll
    for (int i = 0; i < slots; ++i)
      for (int j = 0; j < most / side; ++j) f(i, x_ + side * j, sums.x[i][j]);
  }

  __device__ void add_products(Scores& scores, const Tile& a, const Tile& b) const {
    using Turned = N[side][rows + 1];  // rows and columns exchanged
    Turned* const staged = reinterpret_cast<Turned*>(this->staged());
    for (int64_t d = 0; d < D_; d += side) {
      for (int r = y_; r < rows; r += side) {
        staged[0][x_][r] = number(a, r, d + x_);
        staged[1][x_][r] = number(b, r, d + x_);
      }
      __syncthreads();
      Scores stretch = {};
      for (int k = 0; k < side; ++k) {
        N a_k[slots], b_k[slots];
        for (int i = 0; i < slots; ++i) a_k[i] = staged[0][k][row(i)];
        for (int j = 0; j < slots; ++j) b_k[j] = staged[1][k][x_ + side * j];
        for (int i = 0; i < slots; ++i)
          for (int j = 0; j < slots; ++j) stretch.x[i][j] += a_k[i] * b_k[j];
      }
      each(scores, stretch, [](int, int, N& sum, N& x) { sum += x; });
      __syncthreads();
    }
  }

  __device__ void add_weighted(Sums& sums, Scores& weights, const Tile& v) const {
    CHAPBOOK_SHARED(N, weight, [rows][columns + 1]);
    N(*const staged)[most] = reinterpret_cast<N(*)[most]>(this->staged());
    each(weights, [&](int slot, int column, N& x) { weight[row(slot)][column] = x; });
    for (int s = 0; s < columns; s += side) {
      for (int d = x_; d < most; d += side) staged[y_][d] = number(v, s + y_, d);
      __syncthreads();
      for (int k = 0; k < side; ++k) {
        N weight_k[slots];
        for (int i = 0; i < slots; ++i) weight_k[i] = weight[row(i)][s + k];
        for (int j = 0; j < most / side; ++j) {
          const N v_k = staged[k][x_ + side * j];
          for (int i = 0; i < slots; ++i) sums.x[i][j] += weight_k[i] * v_k;
        }
      }
      __syncthreads();
    }
  }

  __device__ void store(Sums& sums, Head<T> head, int64_t first, int64_t count) const {
    each(sums, [&](int slot, int d, N& x) {
      if (first + row(slot) < count && d < D_) head(first + row(slot), d) = static_cast<T>(x);
    });
  }

 private:
  // Memory for pieces of both operands of add_products, or of the tile of add_weighted.
  __device__ N* staged() const {
    constexpr int size = std::max(2 * side * (rows + 1), side * most);
    CHAPBOOK_SHARED(N, numbers, [size]);
    return numbers;
  }
  __device__ N number(const Tile& tile, int r, int64_t d) const {
    return tile.first + r < tile.count && d < D_ ? static_cast<N>(tile.head(tile.first + r, d)) : 0;
  }

  int64_t D_;
  int x_, y_;
};

// Half types with D a multiple of 16: four warps, each with `parts` times 16 rows, whose own operand stays in
// registers as the fragments of the products (fragment.h says which numbers a lane holds). Tiles lie in
// shared memory, where every warp reads all of them: what it has read it uses for all its parts. There is
// room for two pairs of tiles, so that the next pair is on its way while the products of one are computed.
template <class T, int D, int parts, int columns_>
class FragmentTiles {
 public:
  using Type = T;
  using N = float;
  static constexpr int threads = 128, rows = 64 * parts, columns = columns_, slots = 2 * parts, lanes = 4;
  static constexpr int pitch = D + 8;  // of a row of a tile: eight rows begin in different banks

  struct Own {
    uint32_t a[parts][D / 16][4];
  };
  using Tile = const T*;
  struct Scores {
    float x[parts][columns / 8][4];
  };
  struct Sums {
    float x[parts][D / 8][4];
  };

  __device__ explicit FragmentTiles(int64_t)
      : warp_(threadIdx.x / 32), lane_(threadIdx.x % 32), row_(lane_ / 4), pair_(2 * (lane_ % 4)) {}
  static size_t shared_bytes() { return 4 * columns * pitch * sizeof(T); }

  __device__ Own own(Head<T> head, int64_t first, int64_t count) const {
    const bool pairs = head.packs_of(2);
    Own own;
#pragma unroll
    for (int part = 0; part < parts; ++part)
      for (int k = 0; k < D / 16; ++k)
        for (int i = 0; i < 4; ++i) {
          const int64_t r = first + row(2 * part + i % 2), d = 16 * k + pair_ + i / 2 * 8;
          own.a[part][k][i] = r >= count ? 0
                              : pairs    ? *reinterpret_cast<const uint32_t*>(&head(r, d))
                                         : head(r, d).bits | uint32_t{head(r, d + 1).bits} << 16;
        }
    return own;
  }

  // As PlainTiles::each_pair.
  template <class F>
  __device__ void each_pair(Head<T> a, Head<T> b, int64_t begin, int64_t end, int64_t count, F f) const {
    if (begin >= end) return;
    T *here = launched_shared<T>(), *next = here + 2 * columns * pitch;
    const bool packs = a.packs_of(8) && b.packs_of(8);
    const auto bring = [&](int64_t first, T* to) {
      bring_tile(a, first, count, packs, to);
      bring_tile(b, first, count, packs, to + columns * pitch);
      end_copies();
    };
    bring(begin, here);
    for (int64_t first = begin; first < end; first += columns) {
      wait_for_copies();
      __syncthreads();  // every thread's copies are here, and all are done with the pair before
      if (first + columns < end) bring(first + columns, next);
      f(first, here, here + columns * pitch);
      T* const done = here;
      here = next, next = done;
    }
  }

  __device__ int row(int slot) const { return 16 * (parts * warp_ + slot / 2) + row_ + 8 * (slot % 2); }
  __device__ int last_row() const { return 16 * parts * (warp_ + 1) - 1; }  // of this warp
  __device__ bool leads_row() const { return pair_ == 0; }
  template <class F, int n>
  __device__ void each(float (&x)[parts][n][4], F f) const {
#pragma unroll
    for (int part = 0; part < parts; ++part)
      for (int j = 0; j < n; ++j)
        for (int i = 0; i < 4; ++i) f(2 * part + i / 2, 8 * j + pair_ + i % 2, x[part][j][i]);
  }
  template <class F>
  __device__ void each(Scores& scores, F f) const {
    each(scores.x, f);
  }
  template <class F>
  __device__ void each(Scores& a, Scores& b, F f) const {
#pragma unroll
    for (int part = 0; part < parts; ++part)
      for (int j = 0; j < columns / 8; ++j)
        for (int i = 0; i < 4; ++i)
          f(2 * part + i / 2, 8 * j + pair_ + i % 2, a.x[part][j][i], b.x[part][j][i]);
  }
  template <class F>
  __device__ void each(Sums& sums, F f) const {
    each(sums.x, f);
  }

  __device__ void add_products(Scores& scores, const Own& own, Tile tile) const {
#pragma unroll
    for (int k = 0; k < D / 16; ++k)
      for (int j = 0; j < columns / 8; j += 2) {
        // Rows 8j and 8j + 8 of the tile, at columns 16k and 16k + 8.
        uint32_t b[4];
        load_matrices(b, tile + (8 * j + lane_ / 16 * 8 + lane_ % 8) * pitch + 16 * k + lane_ / 8 % 2 * 8);
        for (int part = 0; part < parts; ++part) {
          mma_16x8x16<T>(scores.x[part][j], own.a[part][k], {b[0], b[1]});
          mma_16x8x16<T>(scores.x[part][j + 1], own.a[part][k], {b[2], b[3]});
        }
      }
  }

  // The fragments of x as sums of a product are those of the next product's first operand, two by two.
  __device__ void add_weighted(Sums& sums, const Scores& weights, Tile tile) const {
#pragma unroll
    for (int k = 0; k < columns / 16; ++k) {
      uint32_t a[parts][4];
      for (int part = 0; part < parts; ++part)
        for (int i = 0; i < 4; ++i) {
          const float(&x)[4] = weights.x[part][2 * k + i / 2];
          a[part][i] = pair_of<T>(x[i % 2 * 2], x[i % 2 * 2 + 1]);
        }
      for (int j = 0; j < D / 8; j += 2) {
        // Rows 16k and 16k + 8 of the tile, at columns 8j and 8j + 8.
        uint32_t b[4];
        load_matrices<true>(b, tile + (16 * k + lane_ % 16) * pitch + 8 * j + lane_ / 16 * 8);
        for (int part = 0; part < parts; ++part) {
          mma_16x8x16<T>(sums.x[part][j], a[part], {b[0], b[1]});
          mma_16x8x16<T>(sums.x[part][j + 1], a[part], {b[2], b[3]});
        }
      }
    }
  }

  __device__ void store(Sums& sums, Head<T> head, int64_t first, int64_t count) const {
    const bool pairs = head.packs_of(2);
#pragma unroll
    for (int j = 0; j < D / 8; ++j)
      for (int slot = 0; slot < slots; ++slot) {
        const int64_t r = first + row(slot), d = 8 * j + pair_;
        const float* const x = &sums.x[slot / 2][j][slot % 2 * 2];
        const uint32_t pair = pair_of<T>(x[0], x[1]);
        if (r >= count) continue;
        if (pairs) {
          *reinterpret_cast<uint32_t*>(&head(r, d)) = pair;
        } else {
          head(r, d).bits = static_cast<uint16_t>(pair);
          head(r, d + 1).bits = static_cast<uint16_t>(pair >> 16);
        }
      }
  }

 private:
  // Begins to copy rows first.. of a head: neighbouring threads take 8 numbers each of one row.
  __device__ void bring_tile(const Head<T>& head, int64_t first, int64_t count, bool packs, T* to) const {
    constexpr int across = D / 8, down = threads / across;
    const int r = threadIdx.x / across, d = threadIdx.x % across * 8;
    const int there = static_cast<int>(min(count - first, int64_t{columns}));  // rows
    to += r * pitch + d;
    if (packs) {
      const T* from = &head(first + r, d);
#pragma unroll
      for (int i = 0; i < columns; i += down, from += down * head.row_step)
        copy_later(to + i * pitch, from, i + r < there);
    } else {
#pragma unroll 1
      for (int i = 0; i < columns; i += down)
        for (int k = 0; k < 8; ++k) to[i * pitch + k] = i + r < there ? head(first + i + r, d + k) : T(0.0f);
    }
  }

  int warp_, lane_, row_, pair_;
};

}  // namespace chapbook
