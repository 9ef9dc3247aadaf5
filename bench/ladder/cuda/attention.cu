// Causal attention: y = softmax(q k^T / 8) v for each head, where query t sees keys 0 to t; heads of 64
// numbers. The scores are T times T numbers a head: at T = 1,024, sixteen times as many as q. Need they ever
// be in memory?
#include "bench/ladder/cuda/rungs.h"
#include "tensor/cuda/exponential.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/reduce.h"
#include "tensor/tensor.h"

namespace chapbook::ladder {
namespace {

constexpr int D = 64;
constexpr float scale = 0.125f;  // 1 / sqrt(D)
constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

// By the definition, in three kernels, with the scores (heads, T, T) in memory between them. q, k, v, y are
// (heads, T, D).
__global__ void attention_scores(const float* q, const float* k, float* scores, int64_t T) {
  const int64_t s = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, t = blockIdx.y, head = blockIdx.z;
  if (s >= T) return;
  float score = 0;
  for (int d = 0; d < D; ++d) score += q[(head * T + t) * D + d] * k[(head * T + s) * D + d];
  scores[(head * T + t) * T + s] = s <= t ? score * scale : minus_infinity;
}
__global__ void attention_softmax(float* scores, int64_t T) {
  float* row = scores + blockIdx.x * T;
  float largest = minus_infinity, sum = 0;
  for (int64_t s = threadIdx.x; s < T; s += blockDim.x) largest = max(largest, row[s]);
  largest = block_max(largest);
  for (int64_t s = threadIdx.x; s < T; s += blockDim.x) sum += exponential(row[s] - largest);
  sum = block_sum(sum);
  for (int64_t s = threadIdx.x; s < T; s += blockDim.x) row[s] = exponential(row[s] - largest) / sum;
}
__global__ void attention_values(const float* weights, const float* v, float* y, int64_t T) {
  const int64_t d = threadIdx.x, t = int64_t{blockIdx.x} * blockDim.y + threadIdx.y, head = blockIdx.y;
  if (t >= T) return;
  float sum = 0;
  for (int64_t s = 0; s <= t; ++s) sum += weights[(head * T + t) * T + s] * v[(head * T + s) * D + d];
  y[(head * T + t) * D + d] = sum;
}

// A warp for each query, which walks along the keys once: the sum of exponentials and the weighted values are
// kept relative to the largest score so far, and rescaled when a larger one turns up. No score is stored, but
// every query reads all keys and values before it.
__global__ void attention_online(const float* q, const float* k, const float* v, float* y, int64_t T) {
  const int64_t t = int64_t{blockIdx.x} * blockDim.y + threadIdx.y, head = blockIdx.y;
  if (t >= T) return;
  q += (head * T + t) * D, y += (head * T + t) * D, k += head * T * D, v += head * T * D;
  const int lane = threadIdx.x;
  const float q0 = q[lane] * scale, q1 = q[lane + 32] * scale;  // a lane has two of the 64 numbers
  float largest = minus_infinity, sum = 0, y0 = 0, y1 = 0;
  for (int64_t s = 0; s <= t; ++s) {
    const float score = warp_sum(q0 * k[s * D + lane] + q1 * k[s * D + lane + 32]);
    const float before = largest;
    largest = max(largest, score);
    const float shrink = exponential(before - largest), weight = exponential(score - largest);
    sum = sum * shrink + weight;
    y0 = y0 * shrink + weight * v[s * D + lane];
    y1 = y1 * shrink + weight * v[s * D + lane + 32];
  }
  y[lane] = y0 / sum;
  y[lane + 32] = y1 / sum;
}

// A block takes 32 queries and brings the keys and values tile by tile into shared memory, where each is used
// 32 times. Four neighbouring lanes share a query: each finds the scores of a quarter of the tile's keys, and
// keeps a quarter of y.
constexpr int tile = 32, sharers = 4;
__global__ void __launch_bounds__(tile* sharers)
    attention_tiles(const float* q, const float* k, const float* v, float* y, int64_t T) {
  CHAPBOOK_SHARED(float, queries, [tile][D + 1]);
  CHAPBOOK_SHARED(float, keys, [tile][D + 1]);
  CHAPBOOK_SHARED(float, values, [tile][D]);
  CHAPBOOK_SHARED(float, weights, [tile][tile + 1]);
  const int64_t head = blockIdx.y, first = int64_t{blockIdx.x} * tile;
  q += head * T * D, k += head * T * D, v += head * T * D, y += head * T * D;
  const int mine = threadIdx.x / sharers, part = threadIdx.x % sharers;
  const int64_t t = first + mine;
  const auto bring = [&](auto& to, const float* from, int64_t start) {
    for (int e = threadIdx.x; e < tile * D; e += tile * sharers)
      to[e / D][e % D] = start + e / D < T ? from[start * D + e] : 0;
  };
  bring(queries, q, first);
  float largest = minus_infinity, sum = 0, result[D / sharers] = {};
  for (int64_t start = 0; start < first + tile;
       start += tile) {  // tiles above the diagonal hold nothing for these queries
    __syncthreads();     // all are done with the tile before
    bring(keys, k, start);
    bring(values, v, start);
    __syncthreads();
    float scores[tile / sharers], highest = largest;
#pragma unroll
    for (int i = 0; i < tile / sharers; ++i) {
      const int key = part + sharers * i;
      float score = 0;
      for (int d = 0; d < D; ++d) score += queries[mine][d] * keys[key][d];
      scores[i] = start + key <= t ? score * scale : minus_infinity;
      highest = max(highest, scores[i]);
    }
    for (int lane = 1; lane < sharers; lane *= 2)
      highest = max(highest, __shfl_xor_sync(0xffffffffu, highest, lane));
    const float shrink =
        exponential(largest - highest);  // key 0 is seen by all: highest is finite from the first tile on
    largest = highest;
    sum *= shrink;
#pragma unroll
    for (int i = 0; i < tile / sharers; ++i) {
      const float weight = exponential(scores[i] - largest);
      sum += weight;
      weights[mine][part + sharers * i] = weight;
    }
    __syncwarp();  // the four that share a query are in one warp
#pragma unroll
    for (int d = 0; d < D / sharers; ++d) {
      float next = result[d] * shrink;
      for (int key = 0; key < tile; ++key) next += weights[mine][key] * values[key][part + sharers * d];
      result[d] = next;
    }
  }
  for (int lane = 1; lane < sharers; lane *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lane);
  if (t >= T) return;
#pragma unroll
  for (int d = 0; d < D / sharers; ++d) y[t * D + part + sharers * d] = result[d] / sum;
}

void run_by_definition(Backend& backend, std::span<const View> xs, const View& y) {
  const int64_t heads = y.shape[0], T = y.shape[1];
  const unsigned rows = static_cast<unsigned>(heads * T);
  const Tensor kept = Tensor::empty({heads, T, T}, DType::f32, backend);
  float* scores = kept.view().as<float>();
  launch<attention_scores>(
      {{blocks_for(T, 128), static_cast<unsigned>(T), static_cast<unsigned>(heads)}, 128},
      xs[0].as<const float>(), xs[1].as<const float>(), scores, T);
  launch<attention_softmax>({rows, 128}, scores, T);
  launch<attention_values>({{blocks_for(T, 4), static_cast<unsigned>(heads)}, {D, 4}},
                           static_cast<const float*>(scores), xs[2].as<const float>(), y.as<float>(), T);
}

template <auto kernel, int64_t queries>
void run(Backend&, std::span<const View> xs, const View& y) {
  const dim3 threads = kernel == attention_tiles ? dim3(tile * sharers) : dim3(32, queries);
  launch<kernel>({{blocks_for(y.shape[1], queries), static_cast<unsigned>(y.shape[0])}, threads},
                 xs[0].as<const float>(), xs[1].as<const float>(), xs[2].as<const float>(), y.as<float>(),
                 y.shape[1]);
}

}  // namespace

const CudaLadder attention_ladder{
    "attention",
    {{"scores in memory", "by the definition, in three kernels", run_by_definition},
     {"online", "no score is stored", run<attention_online, 4>},
     {"tiles", "keys and values are read once for 32 queries", run<attention_tiles, tile>}}};

}  // namespace chapbook::ladder
