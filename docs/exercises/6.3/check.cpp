// A device that can only fill and copy: results of the host must arrive in its memory, and nothing else.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>

#include "tensor/ops.h"
#include "tensor/reference/reference_backend.h"

using namespace chapbook;

namespace {

// Its memory is the host's, but nobody is to know. It counts what is sent to it.
class Device final : public Backend {
 public:
  ~Device() override { blocks().trim(); }
  std::string_view name() const override { return "device"; }
  void* allocate(size_t bytes) override { return reference_backend().allocate(bytes); }
  void release(void* block) noexcept override { reference_backend().release(block); }
  void upload(const void* host, void* here, size_t bytes) override {
    std::memcpy(here, host, bytes);
    sent += bytes;
  }
  void download(const void* here, void* host, size_t bytes) override { std::memcpy(host, here, bytes); }
  void fill(Out y, double value) override { reference_backend().fill(y, value); }
  void copy(In x, Out y) override { reference_backend().copy(x, y); }
  size_t sent = 0;
};

void check_numbers(const std::string& what, const Tensor& got, const std::vector<float>& wanted) {
  const std::vector<float> numbers = got.to_vector<float>();
  for (size_t i = 0; i < wanted.size(); ++i)
    if (numbers[i] != wanted[i])
      FAIL(fmt::format("{}: number {} is {}; wanted is {}", what, i, numbers[i], wanted[i]));
}

}  // namespace

TEST_CASE("a result without gaps arrives") {
  Device device;
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4}, {4}, device);
  check_numbers("x + x", x + x, {2, 4, 6, 8});
}

TEST_CASE("a result with gaps arrives, and what is between stays") {
  Device device;
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4}, {2, 2}, device),
               all = Tensor::full({2, 4}, 9, DType::f32, device);
  device.unary(Unary::neg, x.view(), all.slice(1, 1, 3).view());
  check_numbers("-x in the middle of nines", all, {9, -1, -2, 9, 9, -3, -4, 9});
}

TEST_CASE("a transposed result arrives") {
  Device device;
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}, device),
               y = Tensor::zeros({3, 2}, DType::f32, device);
  device.unary(Unary::neg, x.view(), y.transpose(0, 1).view());
  check_numbers("-x, written transposed", y, {-1, -4, -2, -5, -3, -6});
}

TEST_CASE("what was only read is not sent back") {
  Device device;
  const Tensor x = Tensor::full({1000}, 1, DType::f32, device), y = Tensor::zeros({1000}, DType::f32, device);
  device.sent = 0;
  device.unary(Unary::neg, x.view(), y.view());
  if (device.sent != 4000) FAIL(fmt::format("of one result of 4,000 bytes, {} bytes were sent", device.sent));
}
