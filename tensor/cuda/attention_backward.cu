// The gradients of attention. Probabilities are made again from log_sum, p = exp(scale q k^T - log_sum); then
//   dv = p^T dy,  dp = dy v^T,  ds = p (dp - dy . y),  dq = scale ds k,  dk = scale ds^T q
// as in tensor/reference/attention.cpp. dk and dv are sums over queries and dq is one over keys: two kernels,
// each with a block for every tile of what it sums, so that nothing is added by two blocks and every sum has
// one order.
#include "tensor/cuda/attention.h"
#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/reduce.h"
#include "tensor/cuda/tiles.h"
#include "tensor/cuda/visit_tiles.h"

namespace chapbook {

namespace {

// deltas[head][t] = dy . y. One warp for each query: blockIdx (head, four queries).
template <class T, class N = Wide<T>>
__global__ void attention_deltas(Heads<T> ys, Heads<T> dys, int64_t T_, int64_t D, N* deltas) {
  const int64_t head = blockIdx.x, t = int64_t{blockIdx.y} * blockDim.y + threadIdx.y;
  if (t >= T_) return;
  N sum = 0;
  for (int64_t d = threadIdx.x; d < D; d += 32)
    sum += static_cast<N>(ys[head](t, d)) * static_cast<N>(dys[head](t, d));
  sum = warp_sum(sum);
  if (threadIdx.x == 0) deltas[head * T_ + t] = sum;
}

// One block for Tiles::rows keys of one head of keys and values, which goes through the queries that see any
// of them, of the `sharing` heads of queries that share it: blockIdx (shared head, tile). Rows of the scores
// are keys, columns are queries.
template <class Tiles, class T = typename Tiles::Type, class N = typename Tiles::N>
__global__ void __launch_bounds__(Tiles::threads)
    attention_dk_dv(Heads<T> qs, Heads<T> ks, Heads<T> vs, int64_t sharing, Causal causal, int64_t D, N scale,
                    Heads<N> log_sums, const N* deltas, Heads<T> dys, Heads<T> dks, Heads<T> dvs) {
  CHAPBOOK_SHARED(N, log_sum, [2][Tiles::columns]);  // in base 2, of this tile's queries and of the next's
  CHAPBOOK_SHARED(N, delta, [2][Tiles::columns]);
  const Tiles tiles(D);
  const int64_t shared = blockIdx.x, s0 = int64_t{blockIdx.y} * Tiles::rows;
  const N scale_2 = scale * static_cast<N>(log2_e);
  const auto k = tiles.own(ks[shared], s0, causal.S), v = tiles.own(vs[shared], s0, causal.S);
  typename Tiles::Sums dk = {}, dv = {};

  const int64_t first = max(s0 - (causal.S - causal.T), int64_t{0});  // query that sees key s0
  for (int64_t head = shared * sharing; head < (shared + 1) * sharing; ++head) {
    const auto log_sum_of = [&](int64_t t) {
      return t < causal.T ? log_sums[head](t) * static_cast<N>(log2_e) : 0;
    };
    const auto delta_of = [&](int64_t t) { return t < causal.T ? deltas[head * causal.T + t] : 0; };
    const int mine = threadIdx.x;
    if (mine < Tiles::columns) {
      log_sum[0][mine] = log_sum_of(first + mine);
      delta[0][mine] = delta_of(first + mine);
    }
    int here = 0;
    tiles.each_pair(qs[head], dys[head], first, causal.T, causal.T, [&](int64_t t0, auto q, auto dy) {
      N next_log_sum = 0, next_delta = 0;  // read now, needed after the products
      if (mine < Tiles::columns) {
        next_log_sum = log_sum_of(t0 + Tiles::columns + mine);
        next_delta = delta_of(t0 + Tiles::columns + mine);
      }
      typename Tiles::Scores p = {}, ds = {};
      tiles.add_products(p, k, q);
      tiles.add_products(ds, v, dy);
      tiles.each(p, ds, [&](int, int column, N& p, N& dp) {
        p = power_of_2(p * scale_2 - log_sum[here][column]);
        dp = p * (dp - delta[here][column]);
      });
      const int64_t seen = causal.keys_of(t0) - s0;  // of the block's keys by query t0
      if (seen < Tiles::rows)
        tiles.each(p, ds, [&](int slot, int column, N& p, N& ds) {
          if (tiles.row(slot) >= static_cast<int>(seen) + column) p = ds = 0;
        });
      tiles.add_weighted(dv, p, dy);
      tiles.add_weighted(dk, ds, q);
      here = 1 - here;
      if (mine < Tiles::columns) {
        log_sum[here][mine] = next_log_sum;
        delta[here][mine] = next_delta;
      }
    });
    __syncthreads();  // before what is shared is written for the next head
  }
  tiles.each(dk, [&](int, int, N& x) { x *= scale; });
  tiles.store(dk, dks[shared], s0, causal.S);
  tiles.store(dv, dvs[shared], s0, causal.S);
}

// One block for Tiles::rows queries of one head, which goes through the keys they see: blockIdx (head, tile).
template <class Tiles, class T = typename Tiles::Type, class N = typename Tiles::N>
__global__ void __launch_bounds__(Tiles::threads)
    attention_dq(Heads<T> qs, Heads<T> ks, Heads<T> vs, int64_t sharing, Causal causal, int64_t D, N scale,
                 Heads<N> log_sums, const N* deltas, Heads<T> dys, Heads<T> dqs) {
  const Tiles tiles(D);
  const int64_t head = blockIdx.x;
  const int64_t t0 = int64_t{gridDim.y - 1 - blockIdx.y} * Tiles::rows;  // those with most keys begin first
  const int64_t keys = min(causal.keys_of(t0 + Tiles::rows - 1), causal.S);
  const N scale_2 = scale * static_cast<N>(log2_e);
  const auto q = tiles.own(qs[head], t0, causal.T), dy = tiles.own(dys[head], t0, causal.T);
  typename Tiles::Sums dq = {};
  N log_sum[Tiles::slots], delta[Tiles::slots];
  for (int slot = 0; slot < Tiles::slots; ++slot) {
    const int64_t t = t0 + tiles.row(slot);
    log_sum[slot] = t < causal.T ? log_sums[head](t) * static_cast<N>(log2_e) : 0;
    delta[slot] = t < causal.T ? deltas[head * causal.T + t] : 0;
  }

  tiles.each_pair(ks[head / sharing], vs[head / sharing], 0, keys, causal.S, [&](int64_t s0, auto k, auto v) {
    const int64_t seen = causal.keys_of(t0) - s0;  // of this tile by query t0
    if (seen + tiles.last_row() <= 0) return;      // nothing by any query of this warp
    typename Tiles::Scores p = {}, ds = {};
    tiles.add_products(p, q, k);
    tiles.add_products(ds, dy, v);
    tiles.each(p, ds, [&](int slot, int, N& p, N& dp) {
      p = power_of_2(p * scale_2 - log_sum[slot]);
      dp = p * (dp - delta[slot]);
    });
    if (seen < Tiles::columns)
      tiles.each(ds, [&](int slot, int column, N& x) {
        if (column >= static_cast<int>(seen) + tiles.row(slot)) x = 0;
      });
    tiles.add_weighted(dq, ds, k);
  });
  tiles.each(dq, [&](int, int, N& x) { x *= scale; });
  tiles.store(dq, dqs[head], t0, causal.T);
}

}  // namespace

void CudaBackend::attention_backward(In q, In k, In v, double scale, In y, In log_sum, In dy, Out dq, Out dk,
                                     Out dv) {
  const unsigned heads = blocks_for(q.shape[0] * q.shape[1], 1),
                 shared_heads = blocks_for(k.shape[0] * k.shape[1], 1);
  const int64_t sharing = q.shape[1] / k.shape[1];
  const Causal causal{q.shape[2], k.shape[2]};
  const int64_t D = q.shape[3];
  constexpr unsigned queries_of_block = 4;
  if (heads * causal.S * D == 0) return;
  visit_float(q.dtype, [&]<class T>(Type<T>) {
    using N = Wide<T>;
    const Heads<T> qs(q), ks(k), vs(v), dys(dy);
    const Heads<N> log_sums(log_sum);
    const Scratch<N> deltas(blocks(), heads * causal.T);
    if (causal.T > 0)
      launch<attention_deltas<T>>({{heads, blocks_for(causal.T, queries_of_block)}, {32, queries_of_block}},
                                  Heads<T>(y), dys, causal.T, D, deltas.data());
    visit_tiles<T, 1, 64>("attention_backward", D, [&]<class Tiles>(Type<Tiles>) {
      launch<attention_dk_dv<Tiles>>(
          {{shared_heads, blocks_for(causal.S, Tiles::rows)}, Tiles::threads, Tiles::shared_bytes()}, qs, ks,
          vs, sharing, causal, D, static_cast<N>(scale), log_sums, deltas.data(), dys, Heads<T>(dk),
          Heads<T>(dv));
    });
    if (causal.T == 0) return;
    visit_tiles<T, 2, 32>("attention_backward", D, [&]<class Tiles>(Type<Tiles>) {
      launch<attention_dq<Tiles>>(
          {{heads, blocks_for(causal.T, Tiles::rows)}, Tiles::threads, Tiles::shared_bytes()}, qs, ks, vs,
          sharing, causal, D, static_cast<N>(scale), log_sums, deltas.data(), dys, Heads<T>(dq));
    });
  });
}

}  // namespace chapbook
