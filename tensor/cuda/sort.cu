// A radix sort, the lowest digit first (Knuth, vol. 3, 5.2.5). Each pass orders by one digit and leaves those
// whose digits are equal as they stood, so after the pass of the highest digit all are in order. A pass is
// three kernels: count the digits of each tile, add up where each digit of each tile goes, move.
#include "tensor/cuda/sort.h"

#include <bit>

#include "tensor/cuda/launch.h"
#include "tensor/cuda/row.h"

namespace chapbook {

namespace {

constexpr int digit_bits = 8, digits = 1 << digit_bits;
constexpr int rounds = 16, tile = 32 * rounds;  // a tile: the ids that one warp moves, 32 in each round

// What the first pass reads; the others read what the pass before wrote.
struct Unsorted {
  Row<int32_t> ids;
  int64_t limit;
  CHAPBOOK_DEVICE IdAt operator[](int64_t i) const {
    const int32_t id = ids[i];
    const bool good = id >= 0 && id < limit;
    return {good ? id : static_cast<int32_t>(limit), static_cast<int32_t>(i)};
  }
};

__device__ int digit_of(IdAt x, int shift) { return x.id >> shift & (digits - 1); }

// counts[digit, tile] = how many ids of the tile have the digit. A block of `digits` threads for each tile.
template <class From>
__global__ void count_digits(From from, int64_t count, int shift, int32_t* counts) {
  CHAPBOOK_SHARED(int32_t, of_digit, [digits]);
  of_digit[threadIdx.x] = 0;
  __syncthreads();
  const int64_t first = int64_t{blockIdx.x} * tile, end = min(first + tile, count);
  for (int64_t i = first + threadIdx.x; i < end; i += digits)
    atomicAdd(&of_digit[digit_of(from[i], shift)], 1);  // whole numbers: the same in any order
  __syncthreads();
  counts[threadIdx.x * gridDim.x + blockIdx.x] = of_digit[threadIdx.x];
}

constexpr int adders = 1024;

// Each number becomes the sum of all before it. One block; a thread takes a stretch of neighbours.
__global__ void sum_before(int32_t* numbers, int64_t count) {
  CHAPBOOK_SHARED(int32_t, sums, [adders]);
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t begin = count * thread / adders, end = count * (thread + 1) / adders;
  int32_t mine = 0;
  for (int64_t i = begin; i < end; ++i) mine += numbers[i];
  int32_t sum = mine;
  for (int distance = 1; distance < adders; distance *= 2) {  // Hillis & Steele 1986: of 2, 4, 8, ... threads
    sums[thread] = sum;
    __syncthreads();
    if (thread >= distance) sum += sums[thread - distance];
    __syncthreads();
  }
  sum -= mine;
  for (int64_t i = begin; i < end; ++i) {
    const int32_t number = numbers[i];
    numbers[i] = sum;
    sum += number;
  }
}

// begins[digit, tile]: where the first id of the tile with that digit goes. A warp for each tile, which takes
// 32 ids in each round, in their order; lanes whose digits are equal stand in the order of the lanes.
template <class From>
__global__ void move_by_digit(From from, int64_t count, int shift, const int32_t* begins, IdAt* to) {
  CHAPBOOK_SHARED(int32_t, next, [digits]);  // where the next id with a digit goes
  const int lane = static_cast<int>(threadIdx.x);
  for (int digit = lane; digit < digits; digit += 32) next[digit] = begins[digit * gridDim.x + blockIdx.x];
  const int64_t first = int64_t{blockIdx.x} * tile + lane;
  IdAt mine[rounds] = {};  // read before the first is needed
  for (int round = 0; round < rounds; ++round)
    if (first + 32 * round < count) mine[round] = from[first + 32 * round];
  for (int round = 0; round < rounds; ++round) {
    const bool inside = first + 32 * round < count;
    const int digit = inside ? digit_of(mine[round], shift) : digits;
    const unsigned alike = __match_any_sync(0xffffffffu, digit), before = alike & ((1u << lane) - 1);
    __syncwarp();  // next is as the round before left it
    if (inside) to[next[digit] + __popc(before)] = mine[round];
    __syncwarp();  // all have read it
    if (inside && before == 0) next[digit] += __popc(alike);
  }
}

}  // namespace

void sort_ids(Backend& backend, const View& ids, int64_t limit, IdAt* sorted) {
  const int64_t count = ids.count();
  const unsigned tiles = blocks_for(count, tile);
  const int bits = std::bit_width(static_cast<uint64_t>(limit) | 1);  // of the largest id, which is limit
  const int passes = (bits + digit_bits - 1) / digit_bits;
  const Scratch<IdAt> other(backend.blocks(), count);
  const Scratch<int32_t> counts(backend.blocks(), digits * int64_t{tiles});
  // `sorted` and `other` take turns, so that the last pass writes to `sorted`.
  const auto after = [&](int pass) { return (passes - pass) % 2 == 1 ? sorted : other.data(); };
  const auto run = [&]<class From>(From from, int pass) {
    const int shift = pass * digit_bits;
    launch<count_digits<From>>({tiles, digits}, from, count, shift, counts.data());
    launch<sum_before>({1, adders}, counts.data(), digits * int64_t{tiles});
    launch<move_by_digit<From>>({tiles, 32}, from, count, shift, counts.data(), after(pass));
  };
  run(Unsorted{row_of<int32_t>(ids), limit}, 0);
  for (int pass = 1; pass < passes; ++pass) run(static_cast<const IdAt*>(after(pass - 1)), pass);
}

}  // namespace chapbook
