// The gradients of attention. Probabilities are made again from log_sum, p = exp(scale q k^T - log_sum); then
//   dv = p^T dy,  dp = dy v^T,  ds = p (dp - dy . y),  dq = scale ds k,  dk = scale ds^T q
// as in tensor/reference/attention.cpp. dk and dv are sums over queries and dq is one over keys: two kernels,
// each with a block for every tile of what it sums, so that nothing is added by two blocks and every sum has
// one order.
#include "tensor/cuda/attention.h"
#include "tensor/cuda/cuda_backend.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/reduce.h"
#include "tensor/cuda/scratch.h"
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

// One block for Tiles::rows keys of one head, which goes through the queries that see any of them: blockIdx
// (head, tile). Rows of the scores are keys, columns are queries.
template <class Tiles, class T = typename Tiles::Type, class N = typename Tiles::N>
__global__ void __launch_bounds__(Tiles::threads)
    attention_dk_dv(Heads<T> qs, Heads<T> ks, Heads<T> vs, Causal causal, int64_t D, N scale,
                    Heads<N> log_sums, const N* deltas, Heads<T> dys, Heads<T> dks, Heads<T> dvs) {
  CHAPBOOK_SHARED(N, log_sum, [Tiles::columns]);
  CHAPBOOK_SHARED(N, delta, [Tiles::columns]);
  const Tiles tiles(D);
  const int64_t head = blockIdx.x, s0 = int64_t{blockIdx.y} * Tiles::rows;
  const N scale_2 = scale * static_cast<N>(log2_e);
  const auto k = tiles.own(ks[head], s0, causal.S), v = tiles.own(vs[head], s0, causal.S);
  typename Tiles::Sums dk = {}, dv = {};

  const int64_t first = max(s0 - (causal.S - causal.T), int64_t{0});  // query that sees key s0
  for (int64_t t0 = first; t0 < causal.T; t0 += Tiles::columns) {
    tiles.begin_tiles();
    const auto q = tiles.tile(0, qs[head], t0, causal.T), dy = tiles.tile(1, dys[head], t0, causal.T);
    if (threadIdx.x < Tiles::columns) {
      const int64_t t = t0 + threadIdx.x;
      log_sum[threadIdx.x] = t < causal.T ? log_sums[head](t) * static_cast<N>(log2_e) : 0;
      delta[threadIdx.x] = t < causal.T ? deltas[head * causal.T + t] : 0;
    }
    tiles.end_tiles();

    typename Tiles::Scores p = {}, ds = {};
    tiles.add_products(p, k, q);
    tiles.add_products(ds, v, dy);
    const bool all_visible = causal.visible(t0, s0 + Tiles::rows - 1);
    tiles.each(p, ds, [&](int slot, int column, N& p, N& dp) {
      const bool visible = all_visible || causal.visible(t0 + column, s0 + tiles.row(slot));
      p = visible ? power_of_2(p * scale_2 - log_sum[column]) : 0;
      dp = p * (dp - delta[column]);
    });
    tiles.add_weighted(dv, p, dy);
    tiles.add_weighted(dk, ds, q);
  }
  tiles.each(dk, [&](int, int, N& x) { x *= scale; });
  tiles.store(dk, dks[head], s0, causal.S);
  tiles.store(dv, dvs[head], s0, causal.S);
}

// One block for Tiles::rows queries of one head, which goes through the keys they see: blockIdx (head, tile).
template <class Tiles, class T = typename Tiles::Type, class N = typename Tiles::N>
__global__ void __launch_bounds__(Tiles::threads)
    attention_dq(Heads<T> qs, Heads<T> ks, Heads<T> vs, Causal causal, int64_t D, N scale, Heads<N> log_sums,
                 const N* deltas, Heads<T> dys, Heads<T> dqs) {
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

  for (int64_t s0 = 0; s0 < keys; s0 += Tiles::columns) {
    tiles.begin_tiles();
    const auto k = tiles.tile(0, ks[head], s0, causal.S), v = tiles.tile(1, vs[head], s0, causal.S);
    tiles.end_tiles();

    typename Tiles::Scores p = {}, ds = {};
    tiles.add_products(p, q, k);
    tiles.add_products(ds, dy, v);
    const bool all_visible = causal.visible(t0, s0 + Tiles::columns - 1);
    tiles.each(p, ds, [&](int slot, int column, N& p, N& dp) {
      const bool visible = all_visible || causal.visible(t0 + tiles.row(slot), s0 + column);
      p = visible ? power_of_2(p * scale_2 - log_sum[slot]) : 0;
      dp = p * (dp - delta[slot]);
    });
    tiles.add_weighted(dq, ds, k);
  }
  tiles.each(dq, [&](int, int, N& x) { x *= scale; });
  tiles.store(dq, dqs[head], t0, causal.T);
}

}  // namespace

void CudaBackend::attention_backward(View q, View k, View v, double scale, View y, View log_sum, View dy,
                                     View dq, View dk, View dv) {
  const unsigned heads = blocks_for(q.shape[0] * q.shape[1], 1);
  const Causal causal{q.shape[2], k.shape[2]};
  const int64_t D = q.shape[3];
  constexpr unsigned queries_of_block = 4;
  if (heads * causal.S * D == 0) return;
  visit_tiles("attention_backward", q.dtype, D, [&]<class Tiles>(Type<Tiles>) {
    using T = typename Tiles::Type;
    using N = typename Tiles::N;
    const Heads<T> qs(q), ks(k), vs(v), dys(dy);
    const Heads<N> log_sums(log_sum);
    const Scratch<N> deltas(*this, heads * causal.T);
    if (causal.T > 0)
      launch<attention_deltas<T>>({{heads, blocks_for(causal.T, queries_of_block)}, {32, queries_of_block}},
                                  Heads<T>(y), dys, causal.T, D, deltas.data());
    launch<attention_dk_dv<Tiles>>(
        {{heads, blocks_for(causal.S, Tiles::rows)}, Tiles::threads, Tiles::shared_bytes()}, qs, ks, vs,
        causal, D, static_cast<N>(scale), log_sums, deltas.data(), dys, Heads<T>(dk), Heads<T>(dv));
    if (causal.T > 0)
      launch<attention_dq<Tiles>>(
          {{heads, blocks_for(causal.T, Tiles::rows)}, Tiles::threads, Tiles::shared_bytes()}, qs, ks, vs,
          causal, D, static_cast<N>(scale), log_sums, deltas.data(), dys, Heads<T>(dq));
  });
}

}  // namespace chapbook
