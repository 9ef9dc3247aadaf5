// What the simt machine counts.
#include <doctest/doctest.h>

#include <functional>

#include "tensor/cuda/fragment.h"
#include "tensor/cuda/launch.h"
#include "tensor/ops.h"
#include "tensor/simt/counters.h"

namespace chapbook {

static __global__ void strided_copy(const float* x, float* y, unsigned stride) {
  const unsigned i = threadIdx.x + blockIdx.x * blockDim.x;
  y[i] = x[i * stride];
}
static __global__ void four_at_once(const float4* x, float4* y) { y[threadIdx.x] = x[threadIdx.x]; }

static Tensor zeros(int64_t count) { return Tensor::zeros({count}, DType::f32, backend("simt")); }

template <auto kernel, class... Arguments>
static simt::Counters count(const Grid& grid, Arguments... arguments) {
  simt::start_counting();
  launch<kernel>(grid, arguments...);
  simt::stop_counting();
  CHECK(simt::counters().size() == 1);
  return simt::counters().begin()->second;
}

TEST_CASE("simt: sectors of coalesced, strided and wide accesses") {
  const Tensor x = zeros(64 * 32), y = zeros(64 * 4);
  const auto* from = x.view().as<float>();
  auto* to = y.view().as<float>();
  for (unsigned stride : {1u, 2u, 8u, 32u}) {
    INFO("stride ", stride);
    const simt::Counters c = count<strided_copy>({2, 32}, from, to, stride);
    CHECK(c.launches == 1);
    CHECK(c.blocks == 2);
    CHECK(c.threads == 64);
    CHECK(c.global.reads == 64);
    CHECK(c.global.writes == 64);
    CHECK(c.global.bytes == 64 * 8);
    CHECK(c.global.requests == 4);  // of two warps, a read and a write
    CHECK(c.sectors ==
          2 * 4 + 2 * 4 * std::min(stride, 8u));  // 32 floats are 4 sectors, or one for each lane
  }
  const simt::Counters wide = count<four_at_once>({1, 32}, x.view().as<float4>(), y.view().as<float4>());
  CHECK(wide.global.reads == 32);
  CHECK(wide.global.requests == 2);
  CHECK(wide.sectors == 2 * 16);
}

// A tile of 32 by 32, written by rows and read by columns; rows are `width` apart.
static __global__ void through_a_tile(float* y, unsigned width) {
  float* const tile = launched_shared<float>();
  for (unsigned row = 0; row < 4; ++row) tile[row * width + threadIdx.x] = 1;
  __syncthreads();
  float sum = 0;
  if (threadIdx.x < 4) sum = tile[threadIdx.x * width];
  for (int bit = 16; bit; bit /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, bit);
  y[threadIdx.x] = sum;
}

TEST_CASE("simt: bank conflicts, barriers and exchanges") {
  const Tensor y = zeros(32);
  for (unsigned width : {32u, 33u}) {
    const simt::Counters c =
        count<through_a_tile>({1, 32, 4 * 33 * sizeof(float)}, y.view().as<float>(), width);
    CHECK(c.shared.writes == 4 * 32);
    CHECK(c.shared.reads == 4);
    CHECK(c.shared.requests == 4 + 1);
    CHECK(c.bank_conflicts == (width == 32 ? 3 : 0));
    CHECK(c.barriers == 1);
    CHECK(c.exchanges == 5);
    CHECK(c.faults == 0);
  }
}

template <class T>
static __global__ void write_shared(unsigned stride) {
  launched_shared<T>()[threadIdx.x * stride] = T{};
}

TEST_CASE("simt: lanes are served together, but in groups where they move much") {
  CHECK(count<write_shared<float>>({1, 32, 4096}, 1u).bank_conflicts == 0);
  CHECK(count<write_shared<float>>({1, 32, 4096}, 2u).bank_conflicts == 1);  // lanes i and i + 16
  CHECK(count<write_shared<float>>({1, 32, 4096}, 32u).bank_conflicts == 31);
  CHECK(count<write_shared<float2>>({1, 32, 4096}, 1u).bank_conflicts == 0);
  CHECK(count<write_shared<float4>>({1, 32, 4096}, 1u).bank_conflicts == 0);
  CHECK(count<write_shared<float4>>({1, 32, 4096}, 2u).bank_conflicts == 4);  // one in each group of 8
}

static __global__ void copy_rows(const float* x, unsigned pitch, unsigned lanes) {
  copy_later(launched_shared<float4>() + threadIdx.x * pitch, x + threadIdx.x * 4, threadIdx.x < lanes);
  end_copies();
  wait_for_copies();
}

TEST_CASE("simt: an asynchronous copy is one access to either memory") {
  const Tensor x = zeros(32 * 4);
  for (unsigned pitch : {1u, 2u}) {
    const simt::Counters c = count<copy_rows>({1, 32, 4096}, x.view().as<float>(), pitch, 16u);
    CHECK(c.global.reads == 16);
    CHECK(c.sectors == 8);
    CHECK(c.shared.writes == 32);
    CHECK(c.shared.requests == 1);
    CHECK(c.bank_conflicts == (pitch == 1 ? 0 : 4));
  }
}

TEST_CASE("simt: the report has a line for each kernel") {
  const Tensor x = zeros(64), y = zeros(32);
  simt::start_counting();
  for (int i = 0; i < 3; ++i) launch<strided_copy>({1, 32}, x.view().as<float>(), y.view().as<float>(), 2u);
  CHECK_THROWS(launch<strided_copy>({1, 32}, x.view().as<float>(), y.view().as<float>(), 64u));
  simt::stop_counting();
  launch<strided_copy>({1, 32}, x.view().as<float>(), y.view().as<float>(), 2u);
  CHECK(simt::counters().at("strided_copy").launches == 4);
  CHECK(simt::counters().at("strided_copy").faults == 1);
  INFO(simt::report());
  CHECK(simt::report().find("\nstrided_copy   ") != std::string::npos);
}

// Rows of 1,003 f32 begin at each of the four places of 16 bytes; those packs are most of what is read.
TEST_CASE("simt: rows that begin anywhere are read 16 bytes at a time") {
  const Tensor x = zeros(8 * 1003).reshape({8, 1003});
  for (const auto& f : std::vector<std::function<void()>>{[&] { sum(x, {1}); }, [&] { argmax(x, 1); },
                                                          [&] { log_softmax(x); }}) {
    simt::start_counting();
    f();
    simt::stop_counting();
    int64_t reads = 0;
    for (const auto& [kernel, counters] : simt::counters()) reads += counters.global.reads;
    CHECK(reads > 8 * 250);
    CHECK(reads < 2 * 8 * 1003 / 3);  // log_softmax reads twice
  }
}

}  // namespace chapbook
