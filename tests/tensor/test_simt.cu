// The simt machine runs kernels as a GPU would: barriers, shuffles, votes, atomics, shared arrays,
// tensor-core products; and a kernel without mistakes gives the same in any order of its threads.
#include <doctest/doctest.h>

#include <cstdlib>

#include "tensor/cuda/fragment.h"
#include "tensor/cuda/launch.h"
#include "tensor/ops.h"
#include "tensor/simt/simt_backend.h"

namespace chapbook {

static Backend& simt_backend() { return backend("simt"); }
static Tensor numbers(int64_t count, DType dtype = DType::i32) {
  return Tensor::arange(count, dtype).to(simt_backend());
}
static Tensor room_for(int64_t count, DType dtype = DType::i32) {
  return Tensor::empty({count}, dtype, simt_backend());
}

// y[i] = i, found from all of a thread's coordinates.
static __global__ void coordinates(int* y) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned i = thread + block * blockDim.x * blockDim.y * blockDim.z;
  y[i] = static_cast<int>(i);
}

TEST_CASE("simt: every thread of a grid runs once, and knows its place") {
  const Tensor y = room_for(2 * 3 * 4 * 5 * 6 * 7);
  launch<coordinates>({{5, 6, 7}, {2, 3, 4}}, y.view().as<int>());
  CHECK(y.to_vector<int>() == Tensor::arange(y.count()).to_vector<int>());
}

// Each block turns its numbers around, through shared memory, `rounds` times.
static __global__ void turn_around(const int* x, int* y, int rounds) {
  CHAPBOOK_SHARED(int, numbers, [2][96]);
  const unsigned i = threadIdx.x, first = blockIdx.x * blockDim.x;
  int mine = x[first + i];
  for (int round = 0; round < rounds; ++round) {
    numbers[round % 2][i] = mine;
    __syncthreads();
    mine = numbers[round % 2][blockDim.x - 1 - i];
  }
  y[first + i] = mine;
}
static __global__ void turn_around_launched(const int* x, int* y) {
  int* const numbers = launched_shared<int>();
  numbers[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = numbers[blockDim.x - 1 - threadIdx.x];
}

TEST_CASE("simt: threads exchange numbers through shared memory and barriers") {
  for (int rounds : {1, 2, 3}) {
    const Tensor y = room_for(96 * 2);
    launch<turn_around>({2, 96}, numbers(96 * 2).view().as<int>(), y.view().as<int>(), rounds);
    std::vector<int> wanted;
    for (int block = 0; block < 2; ++block)
      for (int i = 0; i < 96; ++i) wanted.push_back(block * 96 + (rounds % 2 ? 95 - i : i));
    CHECK(y.to_vector<int>() == wanted);
  }
  const Tensor y = room_for(33);
  launch<turn_around_launched>({1, 33, 33 * sizeof(int)}, numbers(33).view().as<int>(), y.view().as<int>());
  for (int i = 0; i < 33; ++i) CHECK(y.to_vector<int>()[i] == 32 - i);
}

// What barriers and votes say of how many threads have an odd number below `limit`.
static __global__ void votes(int* y, int limit) {
  const int i = static_cast<int>(threadIdx.x);
  const bool mine = i % 2 && i < limit;
  int* const out = y + i * 6;
  out[0] = __syncthreads_count(mine);
  out[1] = __syncthreads_or(mine);
  out[2] = __syncthreads_and(mine || i % 2 == 0);
  out[3] = static_cast<int>(__ballot_sync(0xffffffffu, mine));
  out[4] = __any_sync(0xffffffffu, mine);
  out[5] = __all_sync(0xffffffffu, mine || i % 2 == 0);
}

TEST_CASE("simt: votes of blocks and warps") {
  for (int limit : {0, 7, 64}) {
    const Tensor y = room_for(64 * 6);
    launch<votes>({1, 64}, y.view().as<int>(), limit);
    const auto got = y.to_vector<int>();
    for (int i = 0; i < 64; ++i) {
      int count = 0, of_warp = 0;
      uint32_t ballot = 0;
      for (int j = 1; j < limit; j += 2) {
        ++count;
        if (j / 32 == i / 32) ballot |= 1u << j % 32, ++of_warp;
      }
      INFO("thread ", i, " limit ", limit);
      CHECK(got[i * 6] == count);
      CHECK(got[i * 6 + 1] == (count > 0));
      CHECK(got[i * 6 + 2] == (limit == 64));
      CHECK(static_cast<uint32_t>(got[i * 6 + 3]) == ballot);
      CHECK(got[i * 6 + 4] == (of_warp > 0));
      CHECK(got[i * 6 + 5] == (of_warp == 16));
    }
  }
}

template <class T>
static __global__ void shuffles(T* y, int by, int width) {
  const int lane = static_cast<int>(threadIdx.x);
  const T mine = static_cast<T>(lane) + T(0.5);
  y[lane] = __shfl_sync(0xffffffffu, mine, by, width);
  y[lane + 32] = __shfl_xor_sync(0xffffffffu, mine, by, width);
  y[lane + 64] = __shfl_down_sync(0xffffffffu, mine, static_cast<unsigned>(by), width);
  y[lane + 96] = __shfl_up_sync(0xffffffffu, mine, static_cast<unsigned>(by), width);
}

// The definitions, from the CUDA programming guide: a lane whose source is outside its group keeps its own.
template <class T>
static void check_shuffles() {
  for (int width : {2, 8, 32})
    for (int by = 0; by < width; ++by) {
      const Tensor y = room_for(128, dtype_of<T>());
      launch<shuffles<T>>({1, 32}, y.view().as<T>(), by, width);
      const auto got = y.to_vector<double>();
      for (int lane = 0; lane < 32; ++lane) {
        const int first = lane / width * width, end = first + width;
        const int sources[] = {first + by, (lane ^ by) < end ? lane ^ by : lane,
                               lane + by < end ? lane + by : lane, lane - by >= first ? lane - by : lane};
        for (int kind = 0; kind < 4; ++kind)
          CHECK(got[kind * 32 + lane] == static_cast<double>(static_cast<T>(sources[kind]) + T(0.5)));
      }
    }
}

TEST_CASE("simt: shuffles of 32 and of 64 bits") {
  check_shuffles<float>();
  check_shuffles<double>();
  check_shuffles<int>();
}

static __global__ void matches(uint64_t* y, uint64_t x, uint64_t modulus) {
  y[threadIdx.x] = __match_any_sync(0xffffffffu, x + threadIdx.x % modulus);
}

TEST_CASE("simt: lanes with the same value find each other") {
  for (uint64_t modulus : {1u, 2u, 7u, 32u}) {
    const Tensor y = room_for(2 * 32);  // two i32 for each lane
    launch<matches>({1, 32}, static_cast<uint64_t*>(y.view().data), uint64_t{5} << 40, modulus);
    const auto got = y.to_vector<int>();
    for (unsigned lane = 0; lane < 32; ++lane) {
      uint32_t wanted = 0;
      for (unsigned other = 0; other < 32; ++other)
        if (other % modulus == lane % modulus) wanted |= 1u << other;
      CHECK(static_cast<uint32_t>(got[2 * lane]) == wanted);
    }
  }
}

// Half a warp for itself, and a last warp that is not whole.
static __global__ void part_of_a_warp(int* y) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < 16) y[i] = __shfl_xor_sync(0x0000ffffu, i, 1);
  if (i >= 32) y[i] = static_cast<int>(__ballot_sync(0xffffffffu, true));
}

TEST_CASE("simt: lanes meet those they name, if they exist") {
  const Tensor y = Tensor::zeros({40}, DType::i32, simt_backend());
  launch<part_of_a_warp>({1, 40}, y.view().as<int>());
  const auto got = y.to_vector<int>();
  for (int i = 0; i < 16; ++i) CHECK(got[i] == (i ^ 1));
  for (int i = 32; i < 40; ++i) CHECK(got[i] == 0xff);
}

static __global__ void count_atomically(int* y, unsigned long long* wide) {
  const int i = static_cast<int>(threadIdx.x + blockIdx.x * blockDim.x);
  atomicAdd(&y[0], i);
  atomicMax(&y[1], i);
  atomicMin(&y[2], -i);
  if (atomicCAS(&y[3], 0, 1) == 0) atomicExch(&y[4], 7);
  atomicAdd(wide, 1ull << 33);
}

TEST_CASE("simt: atomic operations") {
  const Tensor y = Tensor::zeros({5}, DType::i32, simt_backend());
  const Tensor wide = Tensor::zeros({2}, DType::i32, simt_backend());
  launch<count_atomically>({3, 40}, y.view().as<int>(), wide.view().as<unsigned long long>());
  CHECK(y.to_vector<int>() == std::vector<int>{119 * 120 / 2, 119, -119, 1, 7});
  CHECK(wide.to_vector<int>() == std::vector<int>{0, 240});
}

// d (16, 8) = a (16, 16) b (16, 8), all row after row, by one warp. Rows of b from `rows` on count as 0.
template <class T>
static __global__ void tensor_core_product(const T* a, const T* b, int rows, float* d) {
  CHAPBOOK_SHARED(T, a_tile, [16][16]);
  CHAPBOOK_SHARED(T, b_tile, [16][8]);
  const int lane = static_cast<int>(threadIdx.x);
  copy_later(&a_tile[lane / 2][lane % 2 * 8], a + lane * 8);
  end_copies();
  if (lane < 16) copy_later(&b_tile[lane][0], b + lane * 8, lane < rows);
  end_copies();
  wait_for_copies<1>();
  __syncwarp();
  uint32_t a_fragment[4], b_fragment[4];
  load_matrices(a_fragment, &a_tile[lane % 16][lane / 16 * 8]);
  wait_for_copies();
  __syncwarp();
  load_matrices<true>(b_fragment, &b_tile[lane % 16][0]);
  float sums[4] = {1, 2, 3, 4};
  mma_16x8x16<T>(sums, a_fragment, {b_fragment[0], b_fragment[1]});
  const int row = lane / 4, pair = lane % 4 * 2;
  for (int i = 0; i < 4; ++i) d[(row + i / 2 * 8) * 8 + pair + i % 2] = sums[i] - static_cast<float>(i + 1);
}

TEST_CASE("simt: a tensor-core product of what asynchronous copies brought") {
  std::vector<double> a(16 * 16), b(16 * 8);  // small integers: every sum is exact in f32
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<double>(i * 7 % 13) - 6;
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<double>(i * 5 % 11) - 5;
  const auto on_simt = [](const std::vector<double>& x, DType dtype) {
    return Tensor::from(x, {static_cast<int64_t>(x.size())}).to(dtype).to(simt_backend());
  };
  for (DType dtype : {DType::bf16, DType::f16})
    for (int rows : {16, 9}) {
      const Tensor d = room_for(16 * 8, DType::f32), a_there = on_simt(a, dtype), b_there = on_simt(b, dtype);
      const auto product = [&]<class T>(Type<T>) {
        launch<tensor_core_product<T>>({1, 32}, a_there.view().as<T>(), b_there.view().as<T>(), rows,
                                       d.view().as<float>());
      };
      dtype == DType::bf16 ? product(Type<bf16>{}) : product(Type<f16>{});
      const auto got = d.to_vector<double>();
      for (size_t i = 0; i < 16; ++i)
        for (size_t j = 0; j < 8; ++j) {
          double sum = 0;
          for (size_t k = 0; k < static_cast<size_t>(rows); ++k) sum += a[i * 16 + k] * b[k * 8 + j];
          CHECK(got[i * 8 + j] == sum);
        }
    }
}

TEST_CASE("simt: the last warp and lane may begin, with the same result") {
  const auto run = [] {
    Random random{3};
    const Tensor x = normal({7, 130}, random).to(simt_backend()), y = room_for(96 * 2);
    launch<turn_around>({2, 96}, numbers(96 * 2).view().as<int>(), y.view().as<int>(), 3);
    const Tensor places = room_for(64 * 6);
    launch<votes>({1, 64}, places.view().as<int>(), 33);
    std::vector<double> all = softmax(x).to_vector<double>();
    for (const Tensor& each : {sum(x), y, places})
      for (double number : each.to_vector<double>()) all.push_back(number);
    return all;
  };
  const auto forward = run();
  setenv("CHAPBOOK_SIMT_ORDER", "reversed", 1);
  const auto reversed = run();
  unsetenv("CHAPBOOK_SIMT_ORDER");
  CHECK(forward == reversed);
}

TEST_CASE("simt: what a launch asks for must be possible") {
  const Tensor y = room_for(1);
  int* const data = y.view().as<int>();
  CHECK_THROWS_WITH_AS(launch<coordinates>({1, {32, 33}}, data),
                       "coordinates: blocks of (32, 33, 1) threads; at most 1024 are possible, 64 along z",
                       Error);
  CHECK_THROWS_WITH_AS(
      launch<coordinates>({0, 1}, data),
      "coordinates: a grid of (0, 1, 1) blocks; at most 2147483647, 65535, 65535 are possible", Error);
  CHECK_THROWS_WITH_AS(launch<coordinates>({1, 1, 232449}, data),
                       "coordinates: 232449 bytes of shared memory; a block has at most 232448", Error);
}

// Without one of its kernels.
class WithoutSoftmax final : public SimtBackend {
 public:
  ~WithoutSoftmax() override { blocks().trim(); }
  void softmax(In x, Out y) override { Backend::softmax(x, y); }
};

TEST_CASE("simt: what has no kernel goes through the host, and is not recorded") {
  WithoutSoftmax simt;
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}, simt);
  REQUIRE(simt.start_recording());
  CHECK_THROWS_WITH(softmax(x), "simt: a download cannot be recorded");
  simt.stop_recording();
  const Tensor turned = x.transpose(0, 1), wanted = softmax(turned.to(backend("reference")));
  CHECK(softmax(turned).to_vector<float>() == wanted.to_vector<float>());
  CHECK_FALSE(simt.start_recording());
}

}  // namespace chapbook
