// Causal attention without its scores in memory (Dao 2023, "FlashAttention-2"): a block owns a tile of
// queries and goes through the keys tile by tile with a softmax that is rescaled when a much larger score
// turns up. Scores are in base 2: exp(x) = 2^(x log2(e)), and log2(e) goes into the scale, which is positive.
#include "tensor/cuda/attention.h"

#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/reduce.h"
#include "tensor/cuda/tiles.h"
#include "tensor/cuda/visit_tiles.h"

namespace chapbook {

namespace {

// How far a score may rise above the one that p is relative to, in powers of 2: p up to 256 is as good as p
// up to 1, and most tiles need no rescaling (Zadouri et al. 2026, "FlashAttention-4").
constexpr int slack = 8;

// One block for Tiles::rows queries of one head: blockIdx (head, tile). `sharing` heads of queries have one
// of keys and values.
template <class Tiles, class T = typename Tiles::Type, class N = typename Tiles::N>
__global__ void __launch_bounds__(Tiles::threads)
    attend(Heads<T> qs, Heads<T> ks, Heads<T> vs, int64_t sharing, Causal causal, int64_t D, N scale,
           Heads<T> ys, Heads<N> log_sums) {
  const Tiles tiles(D);
  const int64_t head = blockIdx.x;
  const int64_t t0 = int64_t{gridDim.y - 1 - blockIdx.y} * Tiles::rows;  // those with most keys begin first
  const int64_t keys = min(causal.keys_of(t0 + Tiles::rows - 1), causal.S);  // that any of the queries sees
  const auto q = tiles.own(qs[head], t0, causal.T);
  typename Tiles::Sums y = {};
  N largest[Tiles::slots], sum[Tiles::slots] = {};  // before they are scaled; of p of this thread's columns
  for (N& x : largest) x = -std::numeric_limits<N>::infinity();

  tiles.each_pair(ks[head / sharing], vs[head / sharing], 0, keys, causal.S, [&](int64_t s0, auto k, auto v) {
    const int64_t seen = causal.keys_of(t0) - s0;  // of this tile by query t0
    if (seen + tiles.last_row() <= 0) return;      // nothing by any query of this warp
    typename Tiles::Scores p = {};
    tiles.add_products(p, q, k);
    if (seen < Tiles::columns)
      tiles.each(p, [&](int slot, int column, N& x) {
        if (column >= static_cast<int>(seen) + tiles.row(slot)) x = -std::numeric_limits<N>::infinity();
      });

    N highest[Tiles::slots], shift[Tiles::slots];
    for (int slot = 0; slot < Tiles::slots; ++slot) highest[slot] = largest[slot];
    tiles.each(p, [&](int slot, int, N& x) { highest[slot] = max(highest[slot], x); });
    bool rescales = false;
    for (int slot = 0; slot < Tiles::slots; ++slot) {
      highest[slot] = row_reduce<Tiles::lanes, Max>(highest[slot]);
      rescales |= !((highest[slot] - largest[slot]) * scale <= slack);  // also where a score is NaN
    }
    if (__any_sync(0xffffffffu, rescales)) {
      N shrink[Tiles::slots];
      for (int slot = 0; slot < Tiles::slots; ++slot) {
        shrink[slot] = power_of_2((largest[slot] - highest[slot]) * scale);
        largest[slot] = highest[slot];
        sum[slot] *= shrink[slot];
      }
      tiles.each(y, [&](int slot, int, N& x) { x *= shrink[slot]; });
    }
    for (int slot = 0; slot < Tiles::slots; ++slot) shift[slot] = largest[slot] * scale;
    tiles.each(p, [&](int slot, int, N& x) {
      x = power_of_2(x * scale - shift[slot]);
      sum[slot] += x;
    });
    tiles.add_weighted(y, p, v);
  });

  for (int slot = 0; slot < Tiles::slots; ++slot) {
    sum[slot] = row_reduce<Tiles::lanes, Sum>(sum[slot]);
    const int64_t t = t0 + tiles.row(slot);
    if (tiles.leads_row() && t < causal.T)
      log_sums[head](t) = (largest[slot] * scale + std::log2(sum[slot])) / static_cast<N>(log2_e);
  }
  for (N& x : sum) x = 1 / x;
  tiles.each(y, [&](int slot, int, N& x) { x *= sum[slot]; });
  tiles.store(y, ys[head], t0, causal.T);
}

constexpr int readers = 16;  // warps of a block for one query
constexpr int ahead = 4;     // keys that a warp takes at once

// One query against all its keys, as in generation: blockIdx (head, query). The warps share the keys; the
// lanes share the D numbers, lane l has l, l + 32, .... At the end the warps' sums are joined.
template <class T, class N = Wide<T>>
__global__ void __launch_bounds__(32 * readers)
    attend_one(Heads<T> qs, Heads<T> ks, Heads<T> vs, int64_t sharing, Causal causal, int64_t D, N scale,
               Heads<T> ys, Heads<N> log_sums) {
  constexpr int most = largest_head / 32;  // numbers of a lane
  const int64_t head = blockIdx.x, t = blockIdx.y, keys = causal.keys_of(t);
  const int lane = threadIdx.x, warp = threadIdx.y;
  const Head<T> k = ks[head / sharing], v = vs[head / sharing];
  const auto number = [&](const Head<T>& x, int64_t row, int i) {
    const int d = lane + 32 * i;
    return d < D ? static_cast<N>(x(row, d)) : 0;
  };
  N q[most], y[most] = {}, largest = -std::numeric_limits<N>::infinity(), sum = 0;
  for (int i = 0; i < most; ++i) q[i] = number(qs[head], t, i) * scale;

  for (int64_t s0 = warp * ahead; s0 < keys; s0 += readers * ahead) {
    N p[ahead] = {}, before = largest;
    for (int key = 0; key < ahead; ++key) {
      const int64_t s = min(s0 + key, keys - 1);
      for (int i = 0; i < most; ++i) p[key] += q[i] * number(k, s, i);
    }
    for (int key = 0; key < ahead; ++key) {
      p[key] = s0 + key < keys ? warp_sum(p[key]) : -std::numeric_limits<N>::infinity();
      largest = Max::combine(largest, p[key]);
    }
    before = power_of_2(before - largest);
    sum *= before;
    for (N& x : y) x *= before;
    for (int key = 0; key < ahead; ++key) {
      const int64_t s = min(s0 + key, keys - 1);
      p[key] = power_of_2(p[key] - largest);
      sum += p[key];
      for (int i = 0; i < most; ++i) y[i] += p[key] * number(v, s, i);
    }
  }

  CHAPBOOK_SHARED(N, largest_of, [readers]);
  CHAPBOOK_SHARED(N, sum_of, [readers]);
  CHAPBOOK_SHARED(N, y_of, [readers][largest_head]);
  if (lane == 0) {
    largest_of[warp] = largest;
    sum_of[warp] = sum;
  }
  for (int i = 0; i < most; ++i) y_of[warp][lane + 32 * i] = y[i];
  __syncthreads();
  N all = -std::numeric_limits<N>::infinity();
  for (const N& x : largest_of) all = Max::combine(all, x);
  sum = 0;
  for (int w = 0; w < readers; ++w) sum += sum_of[w] * power_of_2(largest_of[w] - all);
  for (int d = warp * 32 + lane; d < D; d += readers * 32) {
    N total = 0;
    for (int w = 0; w < readers; ++w) total += y_of[w][d] * power_of_2(largest_of[w] - all);
    ys[head](t, d) = static_cast<T>(total / sum);
  }
  if (warp == 0 && lane == 0) log_sums[head](t) = (all + std::log2(sum)) / static_cast<N>(log2_e);
}

}  // namespace

void CudaBackend::attention(In q, In k, In v, double scale, Out y, Out log_sum) {
  const unsigned heads = blocks_for(q.shape[0] * q.shape[1], 1);
  const int64_t sharing = q.shape[1] / k.shape[1];
  const Causal causal{q.shape[2], k.shape[2]};
  const int64_t D = q.shape[3];
  if (log_sum.count() == 0) return;
  visit_float(q.dtype, [&]<class T>(Type<T>) {
    using N = Wide<T>;
    const Heads<T> qs(q), ks(k), vs(v), ys(y);
    const Heads<N> log_sums(log_sum);
    const N scale_2 = static_cast<N>(scale * log2_e);
    visit_tiles<T, 2, 64>("attention", D, [&]<class Tiles>(Type<Tiles>) {
      if (causal.T < 8)  // a tile would be mostly empty
        launch<attend_one<T>>({{heads, blocks_for(causal.T, 1)}, {32, readers}}, qs, ks, vs, sharing, causal,
                              D, scale_2, ys, log_sums);
      else
        launch<attend<Tiles>>(
            {{heads, blocks_for(causal.T, Tiles::rows)}, Tiles::threads, Tiles::shared_bytes()}, qs, ks, vs,
            sharing, causal, D, scale_2, ys, log_sums);
    });
  });
}

}  // namespace chapbook
