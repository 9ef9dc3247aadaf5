// Places beyond 2^31, which no int holds, without the memory: views that are only looked at, and rows that
// lie two thousand million numbers apart in addresses of which only the pages that are touched exist.
#include <doctest/doctest.h>
#include <sys/mman.h>

#include <random>

#include "tensor/loop.h"
#include "tests/support/run_case.h"

using namespace chapbook;

static constexpr int64_t G = int64_t{1} << 31;

TEST_CASE("large: shapes, views and their offsets") {
  const Shape shape{3, G, 5};
  CHECK(shape.count() == 15 * G);
  CHECK(contiguous_strides(shape) == Strides{5 * G, 5, 1});
  const View x{nullptr, DType::f64, shape, contiguous_strides(shape)};
  const auto place = [](const View& view) { return reinterpret_cast<intptr_t>(view.data); };
  CHECK(place(x.slice(1, G - 1, G)) == (G - 1) * 5 * 8);
  CHECK(place(x.select(0, 2).select(0, G - 2).select(0, 4)) == (2 * 5 * G + (G - 2) * 5 + 4) * 8);
  CHECK(x.reshape({15, G}).strides == Strides{G, 1});
  CHECK(x.slice(1, 1, G).can_reshape({3, 5 * (G - 1)}));
  CHECK(x.transpose(0, 2).strides == Strides{1, 5, 5 * G});
  Index index(Shape{3, 1, 5});
  for (int i = 0; i < 14; ++i) ++index;
  CHECK(index.offset(x.strides) == 2 * 5 * G + 4);
}

TEST_CASE("large: loops find every place") {
  std::mt19937_64 random(1);
  const auto check_all = [&](const Shape& shape, const Strides& strides) {
    const Loop<2> loop(shape, {contiguous_strides(shape), strides});
    for (int i = 0; i < 1000; ++i) {
      const int64_t at = static_cast<int64_t>(random() % static_cast<uint64_t>(shape.count()));
      const auto [to, from] = loop.at(at);
      if (to != at || from != offset_of(at, shape, strides))
        FAIL_CHECK("number ", at, " is at ", to, ", ", from);
    }
    // The last rows, which end where they should.
    int64_t numbers = 0, last = 0;
    loop.run(shape.count() - 100, shape.count(), [&](const auto& at, int64_t n) {
      numbers += n;
      last = at[0] + (n - 1) * loop.step(0);
    });
    CHECK(numbers == 100);
    CHECK(last == shape.count() - 1);
  };
  check_all({3, G + 7}, {G + 7, 1});
  check_all({G + 1, 3}, {1, G + 1});
  check_all({7, 3, G}, {3, 1, 21});
  check_all({5, G}, {0, 1});
}

TEST_CASE("large: one number, repeated thousands of millions of times") {
  for (Backend* here : tested_backends()) {
    const Tensor many = Tensor::full({}, 3, DType::f32, *here).broadcast_to({4 * G + 1});
    CHECK(many.slice(0, 4 * G - 2, 4 * G + 1).to_vector<float>() == std::vector<float>{3, 3, 3});
    CHECK(many.select(0, 4 * G).item() == 3);
  }
}

TEST_CASE("large: kernels on rows that are far apart") {
  const int64_t step = G + 16, rows = 3, columns = 21;
  const size_t bytes = (2 * step + 64) * sizeof(float) * 2;
  void* const addresses =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (addresses == MAP_FAILED) {
    MESSAGE("not tested: the system promises no more memory than it has");
    return;
  }
  const Shape shape{rows, columns};
  for (const std::string_view name : {"cpu", "reference"}) {
    CAPTURE(name);
    Backend& here = backend(name);
    // The same numbers near and far; results are written far, too.
    const View far_x{addresses, DType::f32, shape, {step, 1}};
    const View far_y{static_cast<float*>(addresses) + 2 * step + 64, DType::f32, shape, {step, 1}};
    const Tensor x = tensor_of(numbers_for({-1, 1}, shape, 0), shape, DType::f32, here);
    const Tensor near_y = Tensor::like(x), again = Tensor::like(x);
    here.copy(x.view(), far_x);
    const auto agree = [&](const char* what, const std::function<void(const View& x, const View& y)>& call) {
      CAPTURE(what);
      here.fill(far_y, NAN);
      call(x.view(), near_y.view());
      call(far_x, far_y);
      here.copy(far_y, again.view());
      CHECK(again.to_vector<float>() == near_y.to_vector<float>());
    };
    agree("copy", [&](const View& x, const View& y) { here.copy(x, y); });
    agree("unary", [&](const View& x, const View& y) { here.unary(Unary::tanh, x, y); });
    agree("binary", [&](const View& x, const View& y) { here.binary(Binary::mul, x, x, y); });
    agree("softmax", [&](const View& x, const View& y) { here.softmax(x, y); });
    agree("log_softmax", [&](const View& x, const View& y) { here.log_softmax(x, y); });
    agree("matmul", [&](const View& x, const View& y) {
      here.matmul(x, x.transpose(0, 1), y.slice(1, 0, rows), {});
      here.copy(x.slice(1, rows, columns), y.slice(1, rows, columns));
    });
    agree("sums", [&](const View& x, const View& y) {
      here.reduce(Reduce::sum, x, y.slice(1, 0, 1));
      here.reduce(Reduce::max, x, y.slice(0, 2, 3));
      here.copy(x.slice(0, 0, 2).slice(1, 1, columns), y.slice(0, 0, 2).slice(1, 1, columns));
    });
    const Tensor ids = Tensor::from(std::vector<int32_t>{2, 0, 2}, {rows}, here);
    agree("gather_rows", [&](const View& x, const View& y) { here.gather_rows(x, ids.view(), y); });
    agree("scatter_add_rows", [&](const View& x, const View& y) {
      here.fill(y, 1);
      here.scatter_add_rows(x, ids.view(), y);
    });
  }
  ::munmap(addresses, bytes);
}
