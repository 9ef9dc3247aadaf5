// Causal attention: y = softmax(q k^T / 8) v for each head, where query t sees keys 0 to t; heads of 64
// numbers. The scores are T times T numbers a head: at T = 1,024, sixteen times as many as q. Need they ever
// be in memory?
#include "bench/ladder/cuda/rungs.h"
#include "tensor/cuda/exponential.h"
#include "tensor/cuda/fragment.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/reduce.h"
#include "tensor/tensor.h"

namespace chapbook::ladder {
namespace {

constexpr int D = 64;
constexpr float scale = 0.125f;                                // 1 / sqrt(D)
constexpr float scale_2 = scale * static_cast<float>(log2_e);  // of exponents of 2
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

// Tensor cores, on bf16: of what follows, the next rungs change one thing each. A block has four warps, and a
// warp `parts` times 16 queries, whose fragments it keeps in registers with their sums; all warps read the
// same tile of 64 keys and 64 values. Scores come as fragments of a sum, which are those of the next
// product's left operand: weights never leave their registers.
//   ahead  the copies of the next tile are under way while the products of this one are computed; one barrier
//          a tile says both that this tile is here and that the one before is done with.
//   parts  2: what a warp has read of a tile it multiplies twice. With 1, a warp's 64 products of a tile,
//   some
//          6 cycles each, wait for 32 reads of 512 bytes, of which shared memory serves 128 a cycle to all
//          four warps together: 512 cycles of reading beside 384 of multiplying. With 2, 512 beside 768.
//   lazy   results are made smaller only when a score has grown by more than a factor of 2^8: in the first
//          tile, then rarely. Else it takes as many multiplications as there are scores.
constexpr int wide = 64, pitch = D + 8;  // keys of a tile; half numbers from row to row, in different banks
constexpr int pair_bytes = 2 * wide * pitch * int{sizeof(bf16)};
template <bool ahead, int parts, bool lazy>
__global__ void __launch_bounds__(128)
    attention_tensor_cores(const bf16* q, const bf16* k, const bf16* v, float* y, int64_t T) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, pair = lane % 4 * 2;
  const int64_t head = blockIdx.y;
  const int64_t first = int64_t{gridDim.x - 1 - blockIdx.x} * 64 * parts;  // those with most keys begin first
  q += head * T * D, k += head * T * D, v += head * T * D, y += head * T * D;
  const auto row = [&](int part, int half) { return 16 * (parts * warp + part) + lane / 4 + 8 * half; };

  uint32_t queries[parts][D / 16][4];
#pragma unroll
  for (int part = 0; part < parts; ++part)
    for (int d = 0; d < D / 16; ++d)
      for (int i = 0; i < 4; ++i) {
        const int64_t t = first + row(part, i % 2);
        queries[part][d][i] =
            t < T ? *reinterpret_cast<const uint32_t*>(&q[t * D + 16 * d + pair + i / 2 * 8]) : 0;
      }
  float result[parts][D / 8][4] = {}, sum[parts][2] = {}, largest[parts][2];
  for (auto& of_part : largest) of_part[0] = of_part[1] = minus_infinity;

  const auto bring = [&](int64_t start, bf16* to) {
    for (int i = threadIdx.x; i < wide * D / 8; i += 128) {
      const int key = i / (D / 8), d = i % (D / 8) * 8;
      const int64_t from = (start + key) * D + d;
      copy_later(to + key * pitch + d, k + from, start + key < T);
      copy_later(to + (wide + key) * pitch + d, v + from, start + key < T);
    }
    end_copies();
  };
  bf16 *keys = launched_shared<bf16>(), *next = ahead ? keys + 2 * wide * pitch : keys;
  const int64_t end = min(first + 64 * parts, T);
  if (ahead) bring(0, keys);
  for (int64_t start = 0; start < end; start += wide) {
    if (!ahead) {
      __syncthreads();  // all are done with the tile before
      bring(start, keys);
    }
    wait_for_copies();
    __syncthreads();
    if (ahead && start + wide < end) bring(start + wide, next);
    const bf16* const values = keys + wide * pitch;

    float scores[parts][wide / 8][4] = {};
#pragma unroll
    for (int d = 0; d < D; d += 16)
      for (int key = 0; key < wide; key += 16) {
        uint32_t b[4];
        load_matrices(b, keys + (key + lane / 16 * 8 + lane % 8) * pitch + d + lane / 8 % 2 * 8);
        for (int part = 0; part < parts; ++part)
          for (int i = 0; i < 2; ++i)
            mma_16x8x16<bf16>(scores[part][key / 8 + i], queries[part][d / 16], {b[2 * i], b[2 * i + 1]});
      }
    const int64_t seen = first - start + 1;  // of this tile by the block's first query
    float highest[parts][2];
    bool rises = false;
#pragma unroll
    for (int part = 0; part < parts; ++part)
      for (int half = 0; half < 2; ++half) {
        highest[part][half] = largest[part][half];
        for (int i = 0; i < wide / 4; ++i) {
          float& x = scores[part][i / 2][2 * half + i % 2];
          if (seen < wide && i / 2 * 8 + pair + i % 2 >= seen + row(part, half)) x = minus_infinity;
          highest[part][half] = max(highest[part][half], x);
        }
        for (int by = 1; by < 4; by *= 2)
          highest[part][half] =
              max(highest[part][half], __shfl_xor_sync(0xffffffffu, highest[part][half], by));
        rises |= (highest[part][half] - largest[part][half]) * scale_2 > 8;
      }
    if (!lazy || __any_sync(0xffffffffu, rises)) {
#pragma unroll
      for (int part = 0; part < parts; ++part)
        for (int half = 0; half < 2; ++half) {
          const float shrink = power_of_2((largest[part][half] - highest[part][half]) * scale_2);
          largest[part][half] = highest[part][half];
          sum[part][half] *= shrink;
          for (auto& x : result[part]) x[2 * half] *= shrink, x[2 * half + 1] *= shrink;
        }
    }
#pragma unroll
    for (int part = 0; part < parts; ++part)
      for (int half = 0; half < 2; ++half)
        for (int i = 0; i < wide / 4; ++i) {
          float& x = scores[part][i / 2][2 * half + i % 2];
          x = power_of_2(x * scale_2 - largest[part][half] * scale_2);
          sum[part][half] += x;
        }
#pragma unroll
    for (int key = 0; key < wide; key += 16) {
      uint32_t weights[parts][4];
      for (int part = 0; part < parts; ++part)
        for (int i = 0; i < 4; ++i) {
          const float(&x)[4] = scores[part][key / 8 + i / 2];
          weights[part][i] = pair_of<bf16>(x[i % 2 * 2], x[i % 2 * 2 + 1]);
        }
      for (int d = 0; d < D; d += 16) {
        uint32_t b[4];
        load_matrices<true>(b, values + (key + lane % 16) * pitch + d + lane / 16 * 8);
        for (int part = 0; part < parts; ++part)
          for (int i = 0; i < 2; ++i)
            mma_16x8x16<bf16>(result[part][d / 8 + i], weights[part], {b[2 * i], b[2 * i + 1]});
      }
    }
    bf16* const done = keys;
    keys = next, next = done;
  }
#pragma unroll
  for (int part = 0; part < parts; ++part)
    for (int half = 0; half < 2; ++half) {
      float total = sum[part][half];
      for (int by = 1; by < 4; by *= 2) total += __shfl_xor_sync(0xffffffffu, total, by);
      const int64_t t = first + row(part, half);
      for (int d = 0; t < T && d < D; d += 8)
        for (int i = 0; i < 2; ++i) y[t * D + d + pair + i] = result[part][d / 8][2 * half + i] / total;
    }
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

template <bool ahead, int parts, bool lazy>
void run_tensor_cores(Backend&, std::span<const View> xs, const View& y) {
  launch<attention_tensor_cores<ahead, parts, lazy>>(
      {{blocks_for(y.shape[1], 64 * parts), static_cast<unsigned>(y.shape[0])},
       128,
       (1 + ahead) * pair_bytes},
      xs[0].as<const bf16>(), xs[1].as<const bf16>(), xs[2].as<const bf16>(), y.as<float>(), y.shape[1]);
}

}  // namespace

constexpr double rounded = 0x1p-8;  // bf16: q, k and v, and then the weights
const CudaLadder attention_ladder{
    "attention",
    {{"scores in memory", "by the definition, in three kernels", run_by_definition},
     {"online", "no score is stored", run<attention_online, 4>},
     {"tiles", "keys and values are read once for 32 queries", run<attention_tiles, tile>},
     {"tensor cores", "16 x 8 x 16 products in one instruction, of bf16", run_tensor_cores<false, 1, false>,
      rounded, DType::bf16, rounded},
     {"copies ahead", "the next tile comes while this one is computed with", run_tensor_cores<true, 1, false>,
      rounded, DType::bf16, rounded},
     {"32 queries a warp", "what was read of a tile is used twice", run_tensor_cores<true, 2, false>, rounded,
      DType::bf16, rounded},
     {"rescaled rarely", "a factor of up to 2^8 is let stand", run_tensor_cores<true, 2, true>, rounded,
      DType::bf16, rounded}}};

}  // namespace chapbook::ladder
