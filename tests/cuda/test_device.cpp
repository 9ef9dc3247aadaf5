// What only a device with memory and a time of its own can do wrong. On the stand-in (stand_in/runtime.h)
// work is done as late as may be; on a GPU, where these tests run too, as it comes.
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>

#include "apps/run/recorded_pass.h"
#include "nn/module.h"
#include "tensor/backend_module.h"
#include "tensor/ops.h"
#include "tests/support/run_case.h"

using namespace chapbook;

namespace {

bool here() {
  if (cuda_module().backend) return true;
  MESSAGE("NOT RUN: there is no backend cuda (", cuda_module().absent, ")");
  return false;
}
Backend& cuda() { return backend("cuda"); }
bool stand_in() { return cuda().description().find("stand-in") != std::string::npos; }

// An environment variable for as long as this lives.
class Setting {
 public:
  Setting(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Setting() { ::unsetenv(name_); }

 private:
  const char* name_;
};

std::vector<float> pattern(int64_t count, float from) {
  std::vector<float> numbers(count);
  for (int64_t i = 0; i < count; ++i) numbers[i] = from + static_cast<float>(i % 65536);
  return numbers;
}

}  // namespace

TEST_CASE("cuda: the host may change what it has uploaded, and long uploads arrive whole") {
  if (!here()) return;
  constexpr int64_t count = 5 << 20;  // 20 MiB: more than all pinned memory
  std::vector<float> numbers = pattern(count, 1);
  const Tensor x = Tensor::from(numbers, {count}, cuda());
  std::fill(numbers.begin(), numbers.end(), -1.0f);
  std::vector<Tensor> small;
  for (int i = 0; i < 100; ++i)
    small.push_back(Tensor::from(pattern(1000, static_cast<float>(i)), {1000}, cuda()));
  CHECK(x.to_vector<float>() == pattern(count, 1));
  for (int i = 0; i < 100; ++i) CHECK(small[i].to_vector<float>() == pattern(1000, static_cast<float>(i)));
}

TEST_CASE("cuda: memory goes to the next one who asks, while work on it still waits") {
  if (!here()) return;
  Tensor sum = Tensor::zeros({1000}, DType::f32, cuda());
  for (int i = 1; i <= 50; ++i)  // each in the block of the one before
    sum = add(sum, Tensor::from(std::vector<float>(1000, static_cast<float>(i)), {1000}, cuda()));
  CHECK(sum.to_vector<float>() == std::vector<float>(1000, 1275.0f));
}

TEST_CASE("cuda: a bad id is reported once, when the host next waits, and nothing is lost") {
  if (!here()) return;
  const Tensor table = Tensor::from(pattern(12, 0), {4, 3}, cuda());
  const auto rows = [&](std::vector<int32_t> ids) {
    const auto count = static_cast<int64_t>(ids.size());
    return gather_rows(table, Tensor::from(ids, {count}, cuda()));
  };
  const Tensor bad = rows({1, 7, -1});
  CHECK_THROWS_WITH(cuda().synchronize(), "gather_rows: id 7 is not in 0..3");
  cuda().synchronize();
  CHECK(rows({2}).to_vector<float>() == std::vector<float>{6, 7, 8});
}

TEST_CASE("cuda: what cannot be recorded says so, and recording goes on afterwards") {
  if (!here()) return;
  std::vector<float> numbers(4, 2.0f);
  const Tensor x = Tensor::from(numbers, {4}, cuda());
  CHECK_THROWS_WITH(cuda().stop_recording(), "cuda: no recording is being made");
  REQUIRE(cuda().start_recording());
  CHECK_THROWS_WITH(cuda().start_recording(), "cuda: a recording is being made already");
  CHECK_THROWS_WITH(Tensor::from(numbers, {4}, cuda()), "cuda: an upload cannot be recorded");
  CHECK_THROWS_WITH(x.to_vector<float>(), "cuda: a download cannot be recorded");
  CHECK_THROWS_WITH(cuda().synchronize(), "cuda: nothing can be waited for while it is recorded");
  cuda().binary(Binary::add, x.view(), x.view(), x.view());
  const auto recording = cuda().stop_recording();
  CHECK(x.to_vector<float>() == std::vector<float>(4, 2));
  for (int i = 0; i < 3; ++i) recording->replay(0);
  CHECK(x.to_vector<float>() == std::vector<float>(4, 16));
}

TEST_CASE("cuda: no memory is one line, also while recording, and what is there stays") {
  if (!here()) return;
  if (!stand_in()) return;  // a GPU has too much of it
  const Tensor kept = Tensor::from(pattern(1000, 0), {1000}, cuda());
  const Setting little("CHAPBOOK_STAND_IN_MEMORY", "1");
  const auto much = [] { return Tensor::empty({100 << 20}, DType::f32, cuda()); };
  CHECK_THROWS_WITH(much(), doctest::Contains("cuda: no memory for 436.2 MB more; "));
  CHECK_THROWS_WITH(much(), doctest::Contains("A smaller batch or context, or recompute, needs less"));
  Random random{1};
  RecordedPass pass(cuda(), {}, random);
  int calls = 0;
  const auto compute = [&] { return ++calls == 2 ? much() : kept; };
  pass(compute);
  CHECK_THROWS_WITH(pass(compute), doctest::Contains("cuda: no memory for 436.2 MB more; "));
  CHECK(kept.to_vector<float>() == pattern(1000, 0));
}

// What the library was told of alignment for one must not be taken for the other.
TEST_CASE("cuda: like products whose operands begin elsewhere") {
  if (!here()) return;
  const Tensor numbers = Tensor::from(pattern(200, 0), {200}, cuda()), same = numbers.to(backend("cpu"));
  const auto product = [](const Tensor& from, int64_t a, int64_t b, int64_t y) {
    const Tensor result = Tensor::zeros({200}, DType::f32, from.backend());
    const auto matrix = [](const Tensor& of, int64_t at) { return of.slice(0, at, at + 64).reshape({8, 8}); };
    from.backend().matmul(matrix(from, a).view(), matrix(from, b).view(), matrix(result, y).view(), {});
    return result.to_vector<float>();
  };
  for (const auto& [a, b, y] :
       {std::array{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {64, 32, 16}, {3, 2, 1}})
    CHECK(product(numbers, a, b, y) == product(same, a, b, y));
}

TEST_CASE("cuda: a machine without it is told why") {
  if (!here()) return;
  if (!stand_in()) return;
  const char* module = std::getenv("CHAPBOOK_CUDA_MODULE");
  const auto reason = [&](const char* lacks) {
    const Setting machine("CHAPBOOK_STAND_IN", lacks);
    return open_module(module).absent;
  };
  CHECK(reason("no-driver") == "no NVIDIA driver");
  CHECK(reason("no-device") == "no device");
  CHECK(reason("old-driver").find("the NVIDIA driver is too old: it knows CUDA 11.4, and this program was") ==
        0);
}
