// The products of attention, tile by tile. The threads of a block own `rows` rows of one operand; the other
// operand comes by in tiles of `columns` rows. Two products are enough for attention and its gradients:
//   add_products    x[i][j] += own row i . row j of the tile              (rows, D) (columns, D)^T
//   add_weighted    y[i] += sum over j of x[i][j] times row j of the tile  (rows, columns) (columns, D)
// Each thread keeps some numbers of x (Scores) and of y (Sums) in registers; each() walks over them. Its
// numbers lie in `slots` rows, and the `lanes` threads that share a row are neighbours in a warp.
//
// There are two ways to do it: FragmentTiles on tensor cores, for half types; PlainTiles for all others.
#pragma once
#include "tensor/cuda/attention.h"
#include "tensor/cuda/fragment.h"

namespace chapbook {

// Any type and any head size D <= most: 16 x 16 threads, each with slots x slots numbers of x. What they
// multiply comes through shared memory 16 numbers of every row at a time.
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
  __device__ void begin_tiles() const { __syncthreads(); }
  __device__ Tile tile(int, Head<T> head, int64_t first, int64_t count) const { return {head, first, count}; }
  __device__ void end_tiles() const { __syncthreads(); }

  __device__ int row(int slot) const { return y_ * slots + slot; }
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
      for (int k = 0; k < side; ++k) {
        N a_k[slots], b_k[slots];
        for (int i = 0; i < slots; ++i) a_k[i] = staged[0][k][row(i)];
        for (int j = 0; j < slots; ++j) b_k[j] = staged[1][k][x_ + side * j];
        for (int i = 0; i < slots; ++i)
          for (int j = 0; j < slots; ++j) scores.x[i][j] += a_k[i] * b_k[j];
      }
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

// Two numbers rounded to half ones, the first in the low bits.
template <class T>
__device__ uint32_t pair_of(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800  // one instruction
  uint32_t pair;
  if constexpr (std::is_same_v<T, bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return T(low).bits | uint32_t{T(high).bits} << 16;
#endif
}

// Half types with D a multiple of 16: four warps, each with 16 rows, whose own operand stays in registers as
// the fragments of the products (fragment.h says which numbers a lane holds). Tiles lie in shared memory.
template <class T, int D>
class FragmentTiles {
 public:
  using Type = T;
  using N = float;
  static constexpr int threads = 128, rows = 64, columns = D > 64 ? 32 : 64, slots = 2, lanes = 4;
  static constexpr int pitch = D + 8;  // of a row of a tile: eight rows begin in different banks

  struct Own {
    uint32_t a[D / 16][4];
  };
  using Tile = const T*;
  struct Scores {
    float x[columns / 8][4];
  };
  struct Sums {
    float x[D / 8][4];
  };

  __device__ explicit FragmentTiles(int64_t)
      : warp_(threadIdx.x / 32), lane_(threadIdx.x % 32), row_(lane_ / 4), pair_(2 * (lane_ % 4)) {}
  static size_t shared_bytes() { return 2 * columns * pitch * sizeof(T); }

  __device__ Own own(Head<T> head, int64_t first, int64_t count) const {
    Own own;
    for (int k = 0; k < D / 16; ++k)
      for (int i = 0; i < 4; ++i) {
        const int64_t r = first + row(i % 2), d = 16 * k + pair_ + i / 2 * 8;
        own.a[k][i] = r < count ? head(r, d).bits | uint32_t{head(r, d + 1).bits} << 16 : 0;
      }
    return own;
  }

  // Rows first.. of a head into the shared tile number `which` (0 or 1); from row `count` on they are 0. The
  // numbers are there after end_tiles.
  __device__ void begin_tiles() const { __syncthreads(); }
  __device__ Tile tile(int which, Head<T> head, int64_t first, int64_t count) const {
    T* const tile = launched_shared<T>() + which * columns * pitch;
    const bool packs = head.packs_of(8);
    for (int i = threadIdx.x; i < columns * (D / 8); i += threads) {
      const int64_t r = i / (D / 8), d = i % (D / 8) * 8;
      const bool inside = first + r < count;
      T* const to = tile + r * pitch + d;
      if (packs)
        copy_later(to, inside ? &head(first + r, d) : head.data, inside);
      else
        for (int k = 0; k < 8; ++k) to[k] = inside ? head(first + r, d + k) : T(0.0f);
    }
    return tile;
  }
  __device__ void end_tiles() const {
    end_copies();
    wait_for_copies();
    __syncthreads();
  }

  __device__ int row(int slot) const { return 16 * warp_ + row_ + 8 * slot; }
  __device__ bool leads_row() const { return pair_ == 0; }
  template <class F, int n>
  __device__ void each(float (&x)[n][4], F f) const {
#pragma unroll
    for (int j = 0; j < n; ++j)
      for (int i = 0; i < 4; ++i) f(i / 2, 8 * j + pair_ + i % 2, x[j][i]);
  }
  template <class F>
  __device__ void each(Scores& scores, F f) const {
    each(scores.x, f);
  }
  template <class F>
  __device__ void each(Scores& a, Scores& b, F f) const {
#pragma unroll
    for (int j = 0; j < columns / 8; ++j)
      for (int i = 0; i < 4; ++i) f(i / 2, 8 * j + pair_ + i % 2, a.x[j][i], b.x[j][i]);
  }
  template <class F>
  __device__ void each(Sums& sums, F f) const {
    each(sums.x, f);
  }

  __device__ void add_products(Scores& scores, const Own& own, Tile tile) const {
    for (int k = 0; k < D / 16; ++k)
      for (int j = 0; j < columns / 8; j += 2) {
        // Rows 8j and 8j + 8 of the tile, at columns 16k and 16k + 8.
        uint32_t b[4];
        load_matrices(b, tile + (8 * j + lane_ / 16 * 8 + lane_ % 8) * pitch + 16 * k + lane_ / 8 % 2 * 8);
        mma_16x8x16<T>(scores.x[j], own.a[k], {b[0], b[1]});
        mma_16x8x16<T>(scores.x[j + 1], own.a[k], {b[2], b[3]});
      }
  }

  // The fragments of x as sums of a product are those of the next product's first operand, two by two.
  __device__ void add_weighted(Sums& sums, const Scores& weights, Tile tile) const {
    for (int k = 0; k < columns / 16; ++k) {
      const float(&left)[4] = weights.x[2 * k], (&right)[4] = weights.x[2 * k + 1];
      const uint32_t a[4] = {pair_of<T>(left[0], left[1]), pair_of<T>(left[2], left[3]),
                             pair_of<T>(right[0], right[1]), pair_of<T>(right[2], right[3])};
      for (int j = 0; j < D / 8; j += 2) {
        // Rows 16k and 16k + 8 of the tile, at columns 8j and 8j + 8.
        uint32_t b[4];
        load_matrices<true>(b, tile + (16 * k + lane_ % 16) * pitch + 8 * j + lane_ / 16 * 8);
        mma_16x8x16<T>(sums.x[j], a, {b[0], b[1]});
        mma_16x8x16<T>(sums.x[j + 1], a, {b[2], b[3]});
      }
    }
  }

  __device__ void store(Sums& sums, Head<T> head, int64_t first, int64_t count) const {
    const bool pairs = head.packs_of(2);
#pragma unroll
    for (int j = 0; j < D / 8; ++j)
      for (int slot = 0; slot < slots; ++slot) {
        const int64_t r = first + row(slot), d = 8 * j + pair_;
        const uint32_t pair = pair_of<T>(sums.x[j][2 * slot], sums.x[j][2 * slot + 1]);
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
  int warp_, lane_, row_, pair_;
};

}  // namespace chapbook
