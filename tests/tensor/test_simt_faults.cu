// What the simt machine finds wrong with kernels, each time beside one that is right: a report names the
// kernel, the place, the threads and both lines.
#include <doctest/doctest.h>

#include "tensor/cuda/fragment.h"
#include "tensor/cuda/launch.h"
#include "tensor/tensor.h"

namespace chapbook {

// The report on a kernel, or nothing. Lines are written without their numbers, which change with this file.
template <auto kernel, class... Arguments>
static std::string report_on(const Grid& grid, Arguments... arguments) {
  std::string report;
  try {
    launch<kernel>(grid, arguments...);
  } catch (const Error& error) {
    report = error.what();
  }
  const std::string file = "tests/tensor/test_simt_faults.cu:";
  for (size_t at = 0; (at = report.find(file, at)) != report.npos;) {
    const size_t end = report.find_first_not_of("0123456789", at + file.size());
    report.replace(at, end - at, "line");
  }
  return report;
}

static Tensor room_for(int64_t count, DType dtype = DType::f32) {
  return Tensor::empty({count}, dtype, backend("simt"));
}
static Tensor zeros(int64_t count, DType dtype = DType::f32) {
  return Tensor::zeros({count}, dtype, backend("simt"));
}

static constexpr int line_of_write = __LINE__ + 5;
// Each thread reads what the next one wrote.
template <bool right>
static __global__ void next_one(float* y) {
  CHAPBOOK_SHARED(float, numbers, [64]);
  numbers[threadIdx.x] = 1;
  if (right) __syncthreads();
  y[threadIdx.x] = numbers[threadIdx.x / 2];
}
// The same array is used again.
template <bool right>
static __global__ void used_again(float* y) {
  CHAPBOOK_SHARED(float, numbers, [64]);
  numbers[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = numbers[63 - threadIdx.x];
  if (right) __syncthreads();
  numbers[threadIdx.x] = 2;
}
// Within a warp, __syncwarp is enough.
template <bool right>
static __global__ void within_a_warp(float* y) {
  CHAPBOOK_SHARED(float, numbers, [64]);
  numbers[threadIdx.x] = 1;
  if (right) __syncwarp();
  y[threadIdx.x] = numbers[threadIdx.x & ~31u];
}
static __global__ void across_warps(float* y) {
  CHAPBOOK_SHARED(float, numbers, [64]);
  numbers[threadIdx.x] = 1;
  __syncwarp();
  y[threadIdx.x] = numbers[threadIdx.x & 31u];
}

TEST_CASE("simt: a race on shared memory is reported with both lines") {
  const Tensor y = room_for(64);
  float* const out = y.view().as<float>();
  CHECK(report_on<next_one<true>>({1, 64}, out) == "");
  CHECK(report_on<next_one<false>>({1, 64}, out) ==
        "next_one<false>: block (0, 0, 0): thread 1 reads number 0 of numbers at line, which thread 0 wrote "
        "at line; "
        "no barrier lies between");
  CHECK(report_on<used_again<true>>({1, 64}, out) == "");
  CHECK(report_on<used_again<false>>({1, 64}, out) ==
        "used_again<false>: block (0, 0, 0): thread 32 reads number 31 of numbers at line, which thread 31 "
        "wrote at line; no barrier lies between");
  CHECK(report_on<within_a_warp<true>>({1, 64}, out) == "");
  CHECK(report_on<within_a_warp<false>>({1, 64}, out) ==
        "within_a_warp<false>: block (0, 0, 0): thread 1 reads number 0 of numbers at line, which thread 0 "
        "wrote at "
        "line; no barrier lies between");
  CHECK(report_on<across_warps>({1, 64}, out) ==
        "across_warps: block (0, 0, 0): thread 32 reads number 0 of numbers at line, which thread 0 wrote at "
        "line; no "
        "barrier lies between");
  try {
    launch<next_one<false>>({1, 64}, out);
    FAIL("no report");
  } catch (const Error& error) {
    const std::string report = error.what(), file = "tests/tensor/test_simt_faults.cu:";
    INFO(report);
    CHECK(report.find("at " + file + std::to_string(line_of_write + 2) + ", which") != report.npos);
    CHECK(report.find("at " + file + std::to_string(line_of_write) + ";") != report.npos);
  }
}

// y[i] is written by every thread i / per.
static __global__ void write_together(float* y, int per) {
  y[(threadIdx.x + blockIdx.x * blockDim.x) / static_cast<unsigned>(per)] = 1;
}
// y[i] becomes y[i + 1] of before: only right if every thread reads first, which no kernel can see to.
static __global__ void shift(float* y) {
  const unsigned i = threadIdx.x + blockIdx.x * blockDim.x;
  y[i] = y[i + 1];
}
static __global__ void count_plainly(int* y) {
  atomicAdd(y, 1);
  if (threadIdx.x == 5) y[0] = 0;
}

TEST_CASE("simt: a race on global memory is reported, in a block and between blocks") {
  const Tensor y = zeros(129), count = zeros(1, DType::i32);
  float* const out = y.view().as<float>();
  CHECK(report_on<write_together>({4, 32}, out, 1) == "");
  CHECK(report_on<write_together>({4, 32}, out, 2) ==
        "write_together: block (0, 0, 0): thread 1 writes byte 0 of a block at line, which thread 0 wrote at "
        "line; no "
        "barrier lies between");
  CHECK(report_on<write_together>({64, 1}, out, 2) ==
        "write_together: block (1, 0, 0): thread 0 writes byte 0 of a block at line, which another block "
        "wrote at "
        "line in the same launch");
  CHECK(report_on<shift>({128, 1}, out) ==
        "shift: block (1, 0, 0): thread 0 writes byte 4 of a block at line, which another block read at line "
        "in the "
        "same launch");
  CHECK(report_on<count_plainly>({1, 32}, count.view().as<int>()) ==
        "count_plainly: block (0, 0, 0): thread 5 writes byte 0 of a block at line, which an atomic "
        "operation wrote "
        "at line; no barrier lies between");
}

// Of half numbers two share a word: threads that keep to their own halves do not disturb each other.
static __global__ void halves(uint16_t* y) {
  const unsigned i = threadIdx.x + blockIdx.x * blockDim.x;
  y[i] = static_cast<uint16_t>(y[i] + 1);
}

TEST_CASE("simt: neighbours within a word are no race") {
  const Tensor y = zeros(33 * 5, DType::u16);
  CHECK(report_on<halves>({5, 33}, y.view().as<uint16_t>()) == "");
  CHECK(y.to_vector<int>() == std::vector<int>(33 * 5, 1));
}

static __global__ void half_waits(float* y, unsigned waiting) {
  if (threadIdx.x < waiting) __syncthreads();
  y[threadIdx.x] = 1;
}
static __global__ void two_barriers(float* y, unsigned first) {
  if (threadIdx.x < first)
    __syncthreads();
  else
    __syncthreads();
  y[threadIdx.x] = 1;
}
static __global__ void some_shuffle(float* y, unsigned lanes, unsigned mask) {
  if (threadIdx.x < lanes)
    y[threadIdx.x] = __shfl_xor_sync(mask, 1.0f, 1);
  else
    __syncthreads();
}

TEST_CASE("simt: barriers and shuffles that not all reach are reported") {
  const Tensor y = room_for(64);
  float* const out = y.view().as<float>();
  CHECK(report_on<half_waits>({2, {8, 4, 2}}, out, 0u) ==
        "half_waits: block (0, 0, 0): thread (0, 1, 0) writes "
        "byte 0 of a block at line, which thread (0, 0, 0) wrote "
        "at line; no barrier lies between");
  CHECK(report_on<half_waits>({1, 64}, out, 64u) == "");
  CHECK(report_on<half_waits>({1, 64}, out, 33u) ==
        "half_waits: block (0, 0, 0): thread 0 waits at the barrier of line, thread 33 has ended");
  CHECK(report_on<two_barriers>({1, 64}, out, 64u) == "");
  CHECK(report_on<two_barriers>({1, 64}, out, 32u) ==
        "two_barriers: block (0, 0, 0): thread 0 waits at the barrier of line, thread 32 waits at the "
        "barrier of line");
  CHECK(report_on<some_shuffle>({1, 32}, out, 32u, 0xffffffffu) == "");
  CHECK(report_on<some_shuffle>({1, 32}, out, 7u, 0xffffffffu) ==
        "some_shuffle: block (0, 0, 0): thread 0 waits for lanes 0xffffffff at line, thread 7 waits at the "
        "barrier of "
        "line");
  CHECK(report_on<some_shuffle>({1, 32}, out, 32u, 0x0000ffffu) ==
        "some_shuffle: block (0, 0, 0): thread 16 at line is not among the lanes 0x0000ffff it names");
  CHECK(report_on<some_shuffle>({1, 31}, out, 31u, 0xffffffffu) ==
        "some_shuffle: block (0, 0, 0): thread 30 at line wants the value of lane 31, which does not take "
        "part");
}

// The machine is to find what UBSan would find first.
__attribute__((no_sanitize("bounds"))) static __global__ void shared_beyond(float* y, unsigned by) {
  CHAPBOOK_SHARED(float, first, [8]);
  CHAPBOOK_SHARED(float, second, [4][8]);
  second[3][threadIdx.x] = 1;
  first[threadIdx.x + by] = 1;
  y[threadIdx.x] = first[threadIdx.x + by];
}
static __global__ void launched_beyond(float* y, unsigned by) {
  launched_shared<float>()[threadIdx.x + by] = 1;
  y[threadIdx.x] = 1;
}
static __global__ void global_beyond(uint16_t* y, int by) { y[static_cast<int>(threadIdx.x) + by] = 1; }
static __global__ void read_host(const float* host, float* y) { y[threadIdx.x] = *host; }
static const float constants[2] = {3, 4};
static __global__ void read_constant(float* y) { y[threadIdx.x] = constants[threadIdx.x % 2]; }

TEST_CASE("simt: accesses out of bounds are reported") {
  const Tensor y = room_for(8), odd = room_for(33, DType::u16);
  float* const out = y.view().as<float>();
  CHECK(report_on<shared_beyond>({1, 8}, out, 0u) == "");
  CHECK(report_on<shared_beyond>({1, 8}, out, 1u) ==
        "shared_beyond: block (0, 0, 0): thread 7 writes number 8 of first at line, which is out of bounds: "
        "first has "
        "8");
  CHECK(report_on<launched_beyond>({1, 8, 32}, out, 0u) == "");
  CHECK(report_on<launched_beyond>({1, 8, 32}, out, 1u) ==
        "launched_beyond: block (0, 0, 0): thread 7 writes byte 32 of launched_shared() at line, which is "
        "out of "
        "bounds: it has 32");
  CHECK(report_on<global_beyond>({1, 33}, odd.view().as<uint16_t>(), 0) == "");
  CHECK(report_on<global_beyond>({1, 33}, odd.view().as<uint16_t>(), 1) ==
        "global_beyond: block (0, 0, 0): thread 32 writes byte 66 of a block at line, which is out of "
        "bounds: the "
        "block has 66");
  uint16_t* gone = nullptr;
  {
    const Tensor brief = room_for(1000, DType::u16);
    gone = brief.view().as<uint16_t>();
  }
  CHECK(report_on<global_beyond>({1, 33}, gone, 0) ==
        "global_beyond: block (0, 0, 0): thread 0 writes byte 0 of a block at line, which is out of bounds: "
        "the block "
        "was given back");
  const float host = 1;
  CHECK(report_on<read_host>({1, 1}, &host, out)
            .find("out of bounds: it is neither global nor shared memory") != std::string::npos);
  CHECK(report_on<read_constant>({1, 8}, out) == "");
  CHECK(y.to_vector<float>() == std::vector<float>{3, 4, 3, 4, 3, 4, 3, 4});
}

__attribute__((no_sanitize("alignment"))) static __global__ void four_at_once(float* y, unsigned from) {
  *reinterpret_cast<float4*>(y + from) = make_float4(1, 2, 3, 4);
}

TEST_CASE("simt: wide accesses must be aligned") {
  const Tensor y = room_for(8);
  CHECK(report_on<four_at_once>({1, 1}, y.view().as<float>(), 4u) == "");
  CHECK(report_on<four_at_once>({1, 1}, y.view().as<float>(), 1u) ==
        "four_at_once: block (0, 0, 0): thread 0 writes byte 4 of a block at line, 16 bytes at once, which "
        "must begin "
        "at a multiple of 16");
}

static __global__ void read_back(float* y, unsigned from) {
  CHAPBOOK_SHARED(float, numbers, [16]);
  if (threadIdx.x < 8) numbers[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = numbers[threadIdx.x + from];
}
static __global__ void copy_numbers(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }

TEST_CASE("simt: what was never written is not read") {
  const Tensor x = room_for(8), y = room_for(8);
  float* const out = y.view().as<float>();
  CHECK(report_on<read_back>({1, 8}, out, 0u) == "");
  CHECK(report_on<read_back>({1, 8}, out, 1u) ==
        "read_back: block (0, 0, 0): thread 7 reads number 8 of numbers at line, where nothing has been "
        "written yet");
  CHECK(report_on<copy_numbers>({1, 8}, x.view().as<float>(), out) ==
        "copy_numbers: block (0, 0, 0): thread 0 reads byte 0 of a block at line, where nothing has been "
        "written yet");
  CHECK(report_on<copy_numbers>({1, 8}, zeros(8).view().as<float>(), out) == "");
}

// Two copies, each a group of its own, and then a look at one of them.
enum class Fault { none, no_wait, no_end, wait_for_the_other, written_meanwhile };
template <Fault fault>
static __global__ void copy_and_use(const float* x, float* y) {
  CHAPBOOK_SHARED(float4, first, [8]);
  CHAPBOOK_SHARED(float4, second, [8]);
  copy_later(&first[threadIdx.x], x + threadIdx.x * 4);
  end_copies();
  copy_later(&second[threadIdx.x], x + threadIdx.x * 4);
  if (fault == Fault::written_meanwhile) second[threadIdx.x].y = 1;
  if (fault != Fault::no_end) end_copies();
  if (fault == Fault::wait_for_the_other)
    wait_for_copies<1>();
  else if (fault != Fault::no_wait)
    wait_for_copies();
  y[threadIdx.x] = first[threadIdx.x].x + second[threadIdx.x].x;
}
// Of eight copies each thread waits for its own only, and uses that of another.
template <bool right>
static __global__ void copy_for_others(const float* x, float* y) {
  CHAPBOOK_SHARED(float4, tile, [8]);
  copy_later(&tile[threadIdx.x], x + threadIdx.x * 4);
  end_copies();
  wait_for_copies();
  if (right) __syncthreads();
  y[threadIdx.x] = tile[7 - threadIdx.x].x;
}
// The tile is filled again while others may still read it.
template <bool right>
static __global__ void copy_again(const float* x, float* y) {
  CHAPBOOK_SHARED(float4, tile, [8]);
  copy_later(&tile[threadIdx.x], x + threadIdx.x * 4);
  end_copies();
  wait_for_copies();
  __syncthreads();
  y[threadIdx.x] = tile[7 - threadIdx.x].x;
  if (right) __syncthreads();
  copy_later(&tile[threadIdx.x], x + threadIdx.x * 4);
  end_copies();
  wait_for_copies();
}

TEST_CASE("simt: a copy arrives when its group is waited for, and not before") {
  const Tensor x = zeros(32), y = room_for(8);
  const float* const in = x.view().as<float>();
  float* const out = y.view().as<float>();
  CHECK(report_on<copy_and_use<Fault::none>>({1, 8}, in, out) == "");
  CHECK(
      report_on<copy_and_use<Fault::no_wait>>({1, 8}, in, out)
          .ends_with("thread 0 reads number 0 of first at line, where nothing has been written yet: the copy "
                     "that thread 0 began at line was not waited for"));
  CHECK(report_on<copy_and_use<Fault::no_end>>({1, 8}, in, out)
            .ends_with("thread 0 reads number 0 of second at line, where nothing has been written yet: the "
                       "copy that thread 0 began at line is in a group that has no end"));
  CHECK(report_on<copy_and_use<Fault::wait_for_the_other>>({1, 8}, in, out)
            .ends_with("thread 0 reads number 0 of second at line, where nothing has been written yet: the "
                       "copy that thread 0 began at line was not waited for"));
  CHECK(report_on<copy_and_use<Fault::written_meanwhile>>({1, 8}, in, out)
            .ends_with("thread 0 waits at line for its copy to number 0 of second, begun at line, where "
                       "something was written meanwhile"));
  CHECK(report_on<copy_for_others<true>>({1, 8}, in, out) == "");
  CHECK(report_on<copy_for_others<false>>({1, 8}, in, out)
            .ends_with("thread 0 reads number 7 of tile at line, where nothing has been written yet"));
  CHECK(report_on<copy_again<true>>({1, 8}, in, out) == "");
  CHECK(
      report_on<copy_again<false>>({1, 8}, in, out)
          .ends_with("thread 4 reads number 3 of tile at line, which thread 3 wrote at line; no barrier lies "
                     "between"));
}

TEST_CASE("simt: CHAPBOOK_SIMT_CHECK=0 looks away") {
  const Tensor y = room_for(64);
  setenv("CHAPBOOK_SIMT_CHECK", "0", 1);
  CHECK(report_on<next_one<false>>({1, 64}, y.view().as<float>()) == "");
  unsetenv("CHAPBOOK_SIMT_CHECK");
  CHECK(report_on<next_one<false>>({1, 64}, y.view().as<float>()) != "");
}

}  // namespace chapbook
