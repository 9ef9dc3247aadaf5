// What is special to the cpu backend: the same bits for any number of threads, and each of its loops against
// the reference at sizes and strides that do not divide evenly, with guards around every operand that catch
// stray writes.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/ops.h"
#include "tensor/random.h"
#include "tensor/reference/reference_backend.h"
#include "tests/support/run_case.h"

using namespace chapbook;

namespace {

ReferenceBackend& reference() {
  static ReferenceBackend backend;
  return backend;
}

CpuBackend& cpu_backend() {
  static CpuBackend backend;
  return backend;
}

// An operand inside a larger buffer: numbers that nobody may write surround it, and fill the gaps between its
// rows.
class Operand {
 public:
  // `order` gives the order of the axes in memory, outermost first (empty: as they come); each row has `gap`
  // numbers after it.
  Operand(const Shape& shape, DType dtype = DType::f32, std::vector<int> order = {}, int64_t gap = 0) {
    if (order.empty()) {
      order.resize(shape.rank);
      std::iota(order.begin(), order.end(), 0);
    }
    view_.dtype = dtype;
    view_.shape = view_.strides = shape;
    int64_t step = 1;
    for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
      view_.strides[*axis] = step;
      step = step * std::max<int64_t>(1, shape[*axis]) + gap;
    }
    bytes_.assign((step + 2 * margin) * size_of(dtype), 0xa5);
  }

  View view() {
    View v = view_;
    v.data = bytes_.data() + margin * size_of(v.dtype);
    return v;
  }

  Operand& normal(uint64_t seed, double scale = 1) {
    Operand numbers(view_.shape);
    reference().random(Distribution::normal, seed, 0, numbers.view());
    const View from = numbers.view(), to = view();
    for (Index i(view_.shape); i; ++i) from.as<float>()[i.offset(from.strides)] *= static_cast<float>(scale);
    reference().copy(from, to);
    return *this;
  }
  Operand& below(int64_t n, uint64_t seed) {  // i32 in 0..n-1
    Random random{seed};
    const View v = view();
    for (Index i(v.shape); i; ++i)
      v.as<int32_t>()[i.offset(v.strides)] = static_cast<int32_t>(random.below(n));
    return *this;
  }

  double at(const Index& i) {
    const View v = view();
    return visit(v.dtype, [&]<class T>(Type<T>) {
      const T x = v.as<T>()[i.offset(v.strides)];
      if constexpr (sizeof(T) == 2 && !std::is_integral_v<T>)
        return static_cast<double>(static_cast<float>(x));
      else
        return static_cast<double>(x);
    });
  }

  // Whether every byte outside the view's own elements is as it was made.
  bool guards_whole() {
    std::vector<uint8_t> copy = bytes_;
    const View v = view();
    const int64_t size = size_of(v.dtype);
    for (Index i(v.shape); i; ++i)
      std::memset(copy.data() + (margin + i.offset(v.strides)) * size, 0xa5, static_cast<size_t>(size));
    return std::all_of(copy.begin(), copy.end(), [](uint8_t byte) { return byte == 0xa5; });
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  static constexpr int64_t margin = 64;
  View view_;
  std::vector<uint8_t> bytes_;
};

using Operands = std::vector<Operand>;
using Call = std::function<void(Backend&, Operands&)>;

// Runs `call` by the reference and by the cpu backend with 1, 2 and 5 threads on equal operands. Results (all
// operands are compared) must agree within `tolerance` times the largest magnitude of the operand, have the
// same bits for any number of threads, and no guard may be hurt.
void agree(const std::string& name, const Operands& operands, double tolerance, const Call& call) {
  CAPTURE(name);
  Operands wanted = operands;
  call(reference(), wanted);
  const int threads_before = thread_pool().threads();
  Operands first;
  for (int threads : {1, 2, 5}) {
    CAPTURE(threads);
    thread_pool().set_threads(threads);
    Operands made = operands;
    call(cpu_backend(), made);
    if (first.empty()) first = made;
    for (size_t which = 0; which < made.size(); ++which) {
      CAPTURE(which);
      CHECK(made[which].guards_whole());
      CHECK(made[which].bytes() == first[which].bytes());
      if (threads != 1) continue;
      double largest = 0, worst = 0;
      for (Index i(made[which].view().shape); i; ++i) {
        const double want = wanted[which].at(i), got = made[which].at(i);
        if (std::isfinite(want)) largest = std::max(largest, std::abs(want));
        const bool same = want == got || (std::isnan(want) && std::isnan(got));
        if (!same) worst = std::abs(want - got) <= worst ? worst : std::abs(want - got);  // keeps NaN
      }
      CAPTURE(worst);
      CAPTURE(largest);
      CHECK(worst <= tolerance * largest);
    }
  }
  thread_pool().set_threads(threads_before);
}

}  // namespace

TEST_CASE("cpu: elementwise, every formula and pattern of strides") {
  for (const Shape& shape : {Shape{1}, Shape{31}, Shape{3, 1023}, Shape{33, 17}, Shape{2, 3, 5, 7}}) {
    CAPTURE(shape.to_string());
    const int rank = shape.rank;
    std::vector<int> backwards(rank);
    std::iota(backwards.rbegin(), backwards.rend(), 0);
    for (int op = 0; op <= static_cast<int>(Unary::gelu_erf); ++op) {
      const Call call = [op](Backend& b, Operands& x) { b.unary(Unary(op), x[0].view(), x[1].view()); };
      const std::string name(name_of(Unary(op)));
      agree(name, {Operand(shape).normal(1), Operand(shape)}, 1e-6, call);
      agree(name + ", gaps",
            {Operand(shape, DType::f32, {}, 3).normal(1), Operand(shape, DType::f32, backwards, 1)}, 1e-6,
            call);
      agree(name + ", f64", {Operand(shape, DType::f64).normal(1), Operand(shape, DType::f64)}, 1e-14, call);
      agree(name + ", half", {Operand(shape, DType::bf16).normal(1), Operand(shape, DType::bf16)}, 1e-2,
            call);
    }
    for (int op = 0; op <= static_cast<int>(Binary::greater_equal); ++op) {
      const DType result = is_comparison(Binary(op)) ? DType::u8 : DType::f32;
      const std::string name(name_of(Binary(op)));
      const Call call = [op](Backend& b, Operands& x) {
        b.binary(Binary(op), x[0].view(), x[1].view(), x[2].view());
      };
      agree(name, {Operand(shape).normal(1), Operand(shape).normal(2), Operand(shape, result)}, 3e-6, call);
      agree(name + ", gaps",
            {Operand(shape, DType::f32, backwards).normal(1), Operand(shape, DType::f32, {}, 2).normal(2),
             Operand(shape, result, {}, 1)},
            3e-6, call);
      const Shape row{shape[-1]};
      Shape column = shape;
      column[-1] = 1;
      for (const Shape& small : {row, column, Shape{}})
        for (bool left : {false, true})
          agree(name + ", stretched",
                {Operand(small).normal(1), Operand(shape).normal(2), Operand(shape, result)}, 3e-6,
                [&, op](Backend& b, Operands& x) {
                  const View stretched = x[0].view().broadcast_to(shape), whole = x[1].view();
                  b.binary(Binary(op), left ? stretched : whole, left ? whole : stretched, x[2].view());
                });
    }
  }
}

TEST_CASE("cpu: NaN and infinity through maximum, relu, exp and comparisons") {
  const float nan = NAN, infinity = INFINITY;
  Operand x({40}), y({40}), z({40});
  for (int i = 0; i < 40; ++i) {
    const float special[] = {nan, infinity, -infinity, 0.0f, -0.0f, 1e38f, -1e-40f, 100};
    x.view().as<float>()[i] = special[i % 8];
    y.view().as<float>()[i] = special[i / 8 % 8];
  }
  for (Unary op : {Unary::exp, Unary::relu, Unary::abs, Unary::tanh, Unary::sigmoid})
    agree(std::string(name_of(op)), {x, z}, 1e-6,
          [op](Backend& b, Operands& o) { b.unary(op, o[0].view(), o[1].view()); });
  for (Binary op : {Binary::maximum, Binary::minimum})
    agree(std::string(name_of(op)), {x, y, z}, 0,
          [op](Backend& b, Operands& o) { b.binary(op, o[0].view(), o[1].view(), o[2].view()); });
}

TEST_CASE("cpu: fill, copy, convert and where") {
  for (DType from : {DType::f32, DType::f64, DType::bf16, DType::f16})
    for (DType to : {DType::f32, DType::f64, DType::bf16, DType::f16})
      agree(std::string(name_of(from)) + " to " + std::string(name_of(to)),
            {Operand({3, 1023}, from).normal(3), Operand({3, 1023}, to)}, 0,
            [](Backend& b, Operands& x) { b.copy(x[0].view(), x[1].view()); });
  const Shape shape{3, 33, 5, 70};
  for (const std::vector<int>& order :
       {std::vector<int>{0, 2, 1, 3}, {0, 1, 3, 2}, {3, 2, 1, 0}, {2, 3, 0, 1}})
    for (int64_t gap : {0, 2})
      for (bool reversed : {false, true}) {
        Operand plain = Operand(shape, DType::f32, {}, gap), permuted(shape, DType::f32, order, gap);
        Operands operands = {(reversed ? permuted : plain).normal(4), reversed ? plain : permuted};
        agree("copy", operands, 0, [](Backend& b, Operands& x) { b.copy(x[0].view(), x[1].view()); });
      }
  for (DType dtype : {DType::f32, DType::u8, DType::i32, DType::bf16})
    agree("fill", {Operand({7, 33}, dtype, {}, 1)}, 0,
          [](Backend& b, Operands& x) { b.fill(x[0].view(), 3); });
  Operand condition({33, 70}, DType::u8);
  for (Index i(condition.view().shape); i; ++i)
    condition.view().as<uint8_t>()[i.offset(condition.view().strides)] = (i.at[0] * 7 + i.at[1]) % 3 == 0;
  agree("where", {condition, Operand({33, 70}).normal(1), Operand({1, 70}).normal(2), Operand({33, 70})}, 0,
        [](Backend& b, Operands& x) {
          b.where(x[0].view(), x[1].view(), x[2].view().broadcast_to({33, 70}), x[3].view());
        });
}

TEST_CASE("cpu: random numbers are the reference's") {
  for (Distribution distribution : {Distribution::uniform, Distribution::normal})
    for (const Shape& shape : {Shape{1}, Shape{33, 1023}})
      agree("random", {Operand(shape)}, 0,
            [&](Backend& b, Operands& x) { b.random(distribution, 7, uint64_t{1} << 33, x[0].view()); });
}

TEST_CASE("cpu: reductions of any axes") {
  const auto check_all = [](const Shape& shape, const std::vector<int>& order, int64_t gap) {
    CAPTURE(shape.to_string());
    for (int mask = 0; mask < 1 << shape.rank; ++mask) {
      Shape result = shape;
      for (int axis = 0; axis < shape.rank; ++axis)
        if (mask >> axis & 1) result[axis] = 1;
      CAPTURE(mask);
      for (Reduce op : {Reduce::sum, Reduce::max, Reduce::min}) {
        const Call call = [op](Backend& b, Operands& x) { b.reduce(op, x[0].view(), x[1].view()); };
        agree("reduce",
              {Operand(shape, DType::f32, order, gap).normal(5), Operand(result, DType::f32, {}, 1)}, 1e-6,
              call);
        agree("reduce f64", {Operand(shape, DType::f64, order, gap).normal(5), Operand(result, DType::f64)},
              1e-13, call);
      }
    }
  };
  check_all({1}, {}, 0);
  check_all({70001}, {}, 0);
  check_all({1023, 31}, {}, 0);
  check_all({1023, 31}, {1, 0}, 2);
  check_all({5, 600, 33}, {}, 1);
  check_all({3, 17, 5, 33}, {2, 0, 3, 1}, 1);
  Operand holes = Operand({3, 100}).normal(1);
  holes.view().as<float>()[7] = holes.view().as<float>()[250] = NAN;
  for (Reduce op : {Reduce::sum, Reduce::max, Reduce::min})
    agree("reduce NaN", {holes, Operand({3, 1})}, 1e-6,
          [op](Backend& b, Operands& x) { b.reduce(op, x[0].view(), x[1].view()); });
}

TEST_CASE("cpu: argmax takes the first of equals and survives NaN") {
  for (int64_t n : {1, 31, 33, 1023}) {
    Operand x = Operand({5, n}, DType::f32, {}, 3).normal(6);
    float* numbers = x.view().as<float>();
    const int64_t step = x.view().strides[0];
    if (n > 20) numbers[3] = numbers[17] = 50;
    std::fill(numbers + step, numbers + step + n, -INFINITY);
    numbers[2 * step] = NAN;
    numbers[3 * step + n / 2] = NAN;
    agree("argmax", {x, Operand({5}, DType::i32)}, 0,
          [](Backend& b, Operands& o) { b.argmax(o[0].view(), o[1].view()); });
  }
}

TEST_CASE("cpu: square_sum of many views") {
  agree("square_sum",
        {Operand({1}).normal(1), Operand({333, 101}, DType::f32, {1, 0}, 2).normal(2), Operand({0}),
         Operand({40001}).normal(3), Operand({}, DType::f64)},
        1e-12, [](Backend& b, Operands& x) {
          const In views[] = {x[0].view(), x[1].view(), x[2].view(), x[3].view()};
          b.square_sum(views, x[4].view());
        });
}

TEST_CASE("cpu: matrix products of any layout") {
  const int64_t sizes[][3] = {{1, 1, 1},   {1, 300, 33},  {1, 1030, 513}, {300, 1, 33},   {33, 31, 1},
                              {7, 65, 31}, {129, 33, 70}, {300, 600, 65}, {40, 50, 1500}, {257, 1030, 31}};
  for (const auto& [m, n, k] : sizes) {
    CAPTURE(m);
    CAPTURE(n);
    CAPTURE(k);
    for (bool a_across : {false, true})
      for (bool b_across : {false, true})
        for (bool y_across : {false, true})
          for (int64_t gap : {0, 3}) {
            const auto order = [](bool across) {
              return across ? std::vector<int>{1, 0} : std::vector<int>{0, 1};
            };
            agree("matmul",
                  {Operand({m, k}, DType::f32, order(a_across), gap).normal(1),
                   Operand({k, n}, DType::f32, order(b_across), gap).normal(2),
                   Operand({m, n}, DType::f32, order(y_across), gap)},
                  2e-6, [](Backend& b, Operands& x) { b.matmul(x[0].view(), x[1].view(), x[2].view(), {}); });
          }
  }
  const Call multiply = [](Backend& b, Operands& x) { b.matmul(x[0].view(), x[1].view(), x[2].view(), {}); };
  agree("f64",
        {Operand({33, 31}, DType::f64).normal(1), Operand({31, 70}, DType::f64).normal(2),
         Operand({33, 70}, DType::f64)},
        1e-14, multiply);
  agree("bf16",
        {Operand({3, 31}, DType::bf16).normal(1), Operand({31, 7}, DType::bf16).normal(2),
         Operand({3, 7}, DType::bf16)},
        0, multiply);
}

TEST_CASE("cpu: batched products, strided, merged, stretched, of no dense axis") {
  const Call multiply = [](Backend& b, Operands& x) { b.matmul(x[0].view(), x[1].view(), x[2].view(), {}); };
  agree("batch",
        {Operand({3, 2, 33, 31}).normal(1), Operand({3, 2, 31, 17}).normal(2), Operand({3, 2, 33, 17})}, 2e-6,
        multiply);
  agree("heads",
        {Operand({3, 2, 33, 31}, DType::f32, {0, 2, 1, 3}, 1).normal(1),
         Operand({3, 2, 31, 17}, DType::f32, {0, 3, 1, 2}).normal(2),
         Operand({3, 2, 33, 17}, DType::f32, {0, 2, 1, 3})},
        2e-6, multiply);
  agree("no dense axis",
        {Operand({5, 33, 31}, DType::f32, {1, 2, 0}).normal(1),
         Operand({5, 31, 17}, DType::f32, {2, 1, 0}).normal(2), Operand({5, 33, 17}, DType::f32, {1, 2, 0})},
        2e-6, multiply);
  for (int64_t m : {1, 33})
    for (int64_t gap : {0, 1})
      agree("one b for all",
            {Operand({4, m, 31}, DType::f32, {}, gap).normal(1), Operand({31, 17}).normal(2),
             Operand({4, m, 17})},
            2e-6, [m](Backend& b, Operands& x) {
              b.matmul(x[0].view(), x[1].view().broadcast_to({4, 31, 17}), x[2].view(), {});
            });
  agree("repeated row", {Operand({1, 31}).normal(1), Operand({31, 17}).normal(2), Operand({9, 17})}, 2e-6,
        [](Backend& b, Operands& x) {
          b.matmul(x[0].view().broadcast_to({9, 31}), x[1].view(), x[2].view(), {});
        });
  agree("no numbers to add", {Operand({9, 0}), Operand({0, 17}), Operand({9, 17})}, 0, multiply);
}

// Runs f with every way to compute a product that this machine and build have.
template <class F>
void with_every_gemm(F&& f) {
  const std::string vectors(cpu::gemm_vectors());
  for (const char* name : {"avx512", "avx2", "portable"}) {
    try {
      cpu::set_gemm_vectors(name);
    } catch (const Error&) {
      MESSAGE("not tested: this processor has no " << name);
      continue;
    }
    CAPTURE(name);
    f();
  }
  cpu::set_gemm_vectors(vectors);
  if (!cpu::has_openblas()) return;
  const cpu::Gemm before = cpu::gemm_choice();
  cpu::set_gemm("openblas");
  CAPTURE("openblas");
  f();
  cpu::set_gemm(before == cpu::Gemm::own ? "own" : before == cpu::Gemm::openblas ? "openblas" : "auto");
}

// The gradient of a bias sums all rows of a batch. One chain of f32 is off by 1e-5 here.
TEST_CASE("cpu: sums of many rows are made in pieces") {
  with_every_gemm([] {
    const int64_t rows = 300'000, n = 35;
    const Tensor b = tensor_of(numbers_for({0, 1}, {rows, n}, 1), {rows, n}, DType::f32, backend("cpu"));
    const Tensor a = Tensor::full({2, rows}, 1, DType::f32, backend("cpu")), sums = Tensor::full({n}, NAN);
    matmul(a, b, {.b_sums = sums.view()});
    const double error =
        relative_error(sums.to_vector<double>(), sum(b.to(DType::f64), {0}).to_vector<double>());
    CHECK(error <= 1e-6);
  });
}

TEST_CASE("cpu: products with every epilogue, by every kernel and library") {
  with_every_gemm([] {
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 1},
                                  {5, 600, 33},
                                  {14, 32, 40},
                                  {16, 513, 19},
                                  {17, 33, 41},
                                  {150, 530, 333},
                                  {33, 31, 1100},
                                  {129, 4130, 5}})
      for (bool across : {false, true}) {
        CAPTURE(m);
        CAPTURE(n);
        CAPTURE(k);
        CAPTURE(across);
        const std::vector<int> order = across ? std::vector<int>{1, 0} : std::vector<int>{0, 1};
        const Operand a = Operand({m, k}, DType::f32, order).normal(1),
                      b = Operand({k, n}, DType::f32, order, 2).normal(2), y({m, n}, DType::f32, {0, 1}, 3),
                      like_y = Operand({m, n}, DType::f32, {0, 1}, 1).normal(4), row = Operand({n}).normal(3);
        // A sum of k products of deviation 1 has deviation sqrt(k); GELU and its derivative keep that scale.
        constexpr double tolerance = 3e-6;
        agree("plain", {a, b, y}, tolerance,
              [](Backend& on, Operands& x) { on.matmul(x[0].view(), x[1].view(), x[2].view(), {}); });
        agree("bias", {a, b, y, row}, tolerance, [](Backend& on, Operands& x) {
          on.matmul(x[0].view(), x[1].view(), x[2].view(), {.bias = x[3].view()});
        });
        agree("bias, residual", {a, b, y, row, like_y}, tolerance, [](Backend& on, Operands& x) {
          on.matmul(x[0].view(), x[1].view(), x[2].view(), {.bias = x[3].view(), .residual = x[4].view()});
        });
        agree("added to y", {a, b, like_y}, tolerance, [](Backend& on, Operands& x) {
          on.matmul(x[0].view(), x[1].view(), x[2].view(), {.residual = x[2].view()});
        });
        agree("bias, gelu", {a, b, y, row, y}, tolerance, [](Backend& on, Operands& x) {
          on.matmul(x[0].view(), x[1].view(), x[2].view(),
                    {.bias = x[3].view(), .activation = Activation::gelu, .before = x[4].view()});
        });
        agree("gelu, nothing kept", {a, b, y}, tolerance, [](Backend& on, Operands& x) {
          on.matmul(x[0].view(), x[1].view(), x[2].view(), {.activation = Activation::gelu});
        });
        agree("gelu backward", {a, b, y, like_y}, tolerance, [](Backend& on, Operands& x) {
          on.matmul(x[0].view(), x[1].view(), x[2].view(),
                    {.activation = Activation::gelu_backward, .before = x[3].view()});
        });
        agree("sums of b", {a, b, y, row}, tolerance, [](Backend& on, Operands& x) {
          on.matmul(x[0].view(), x[1].view(), x[2].view(), {.b_sums = x[3].view()});
        });
      }
  });
}

TEST_CASE("cpu: softmax, its logarithm and their gradients") {
  for (int64_t n : {1, 31, 33, 1023, 5000})
    for (int64_t gap : {0, 3}) {
      CAPTURE(n);
      const auto operand = [&] { return Operand({2, 5, n}, DType::f32, {1, 0, 2}, gap); };
      const auto wide = [&](uint64_t seed) { return operand().normal(seed, 10); };
      agree("softmax", {wide(1), operand()}, 3e-6,
            [](Backend& b, Operands& x) { b.softmax(x[0].view(), x[1].view()); });
      agree("log_softmax", {wide(1), operand()}, 1e-6,
            [](Backend& b, Operands& x) { b.log_softmax(x[0].view(), x[1].view()); });
      agree("softmax_backward", {wide(1), wide(2), operand()}, 3e-6,
            [](Backend& b, Operands& x) { b.softmax_backward(x[0].view(), x[1].view(), x[2].view()); });
      agree("log_softmax_backward", {operand().normal(1), wide(2), operand()}, 3e-6,
            [](Backend& b, Operands& x) { b.log_softmax_backward(x[0].view(), x[1].view(), x[2].view()); });
      agree("softmax across", {Operand({n, 7}, DType::f32, {1, 0}).normal(3), Operand({n, 7})}, 3e-6,
            [](Backend& b, Operands& x) { b.softmax(x[0].view(), x[1].view()); });
    }
  Operand masked = Operand({3, 5000}).normal(1);
  std::fill(masked.view().as<float>(), masked.view().as<float>() + 4000, -INFINITY);
  agree("masked", {masked, Operand({3, 5000})}, 3e-6,
        [](Backend& b, Operands& x) { b.softmax(x[0].view(), x[1].view()); });
  agree("masked", {masked, Operand({3, 5000})}, 3e-6,
        [](Backend& b, Operands& x) { b.log_softmax(x[0].view(), x[1].view()); });
}

TEST_CASE("cpu: layer norm and its gradients") {
  for (int64_t rows : {1, 63, 130})
    for (int64_t n : {1, 31, 33, 384, 1023})
      for (bool with_bias : {false, true}) {
        CAPTURE(rows);
        CAPTURE(n);
        const Shape shape{rows, n};
        const Operand x = Operand(shape, DType::f32, {}, 2).normal(1, 3), weight = Operand({n}).normal(2);
        agree("layer_norm",
              {x, weight, Operand({n}).normal(3), Operand(shape), Operand({rows}), Operand({rows})}, 1e-5,
              [&](Backend& b, Operands& o) {
                b.layer_norm(o[0].view(), o[1].view(), with_bias ? o[2].view() : View{}, 1e-5, o[3].view(),
                             o[4].view(), o[5].view());
              });
        agree("layer_norm_backward",
              {x, weight, Operand({rows}).normal(4), Operand({rows}).normal(5), Operand(shape).normal(6),
               Operand(shape), Operand({n}), Operand({n})},
              1e-5, [&](Backend& b, Operands& o) {
                reference().fill(o[7].view(), 0);
                b.layer_norm_backward(o[0].view(), o[1].view(), o[2].view(), o[3].view(), o[4].view(),
                                      o[5].view(), o[6].view(), with_bias ? o[7].view() : View{});
              });
      }
}

TEST_CASE("cpu: rows gathered, and added in order") {
  for (int64_t n : {1, 31, 130}) {
    const Operand ids = Operand({333}, DType::i32).below(17, 3);
    agree("gather_rows",
          {Operand({17, n}, DType::f32, {}, 1).normal(1), ids, Operand({333, n}, DType::f32, {}, 2)}, 0,
          [](Backend& b, Operands& x) { b.gather_rows(x[0].view(), x[1].view(), x[2].view()); });
    agree(
        "scatter_add_rows",
        {Operand({333, n}, DType::f32, {}, 2).normal(1), ids, Operand({17, n}, DType::f32, {}, 1).normal(2)},
        1e-6, [](Backend& b, Operands& x) { b.scatter_add_rows(x[0].view(), x[1].view(), x[2].view()); });
  }
}

TEST_CASE("cpu: cross-entropy and its gradient") {
  for (int64_t classes : {1, 31, 1023, 5000})
    for (double smoothing : {0.0, 0.1})
      for (bool ignores : {false, true}) {
        CAPTURE(classes);
        CAPTURE(smoothing);
        CAPTURE(ignores);
        const int64_t rows = 37;
        Operand targets = Operand({rows}, DType::i32).below(classes, 5);
        CrossEntropy options;
        options.smoothing = smoothing;
        if (ignores)
          for (int64_t i = 0; i < rows; i += 3) targets.view().as<int32_t>()[i] = options.ignore;
        const Operand logits = Operand({rows, classes}, DType::f32, {}, 3).normal(1, 5);
        agree("cross_entropy", {logits, targets, Operand({}), Operand({rows})}, 1e-6,
              [&](Backend& b, Operands& x) {
                b.cross_entropy(x[0].view(), x[1].view(), options, x[2].view(), x[3].view());
              });
        Operand log_sum({rows}), loss({});
        Operands saved = {logits, targets};
        reference().cross_entropy(saved[0].view(), saved[1].view(), options, loss.view(), log_sum.view());
        agree("cross_entropy_backward",
              {logits, targets, log_sum, Operand({}).normal(1), Operand({rows, classes}, DType::f32, {}, 1)},
              1e-5, [&](Backend& b, Operands& x) {
                b.cross_entropy_backward(x[0].view(), x[1].view(), options, x[2].view(), x[3].view(),
                                         x[4].view());
              });
      }
}

TEST_CASE("cpu: attention over slices of one tensor, and with a prefix of keys") {
  struct Sizes {
    int64_t B, H, T, S, D;
  };
  for (const auto& [B, H, T, S, D] : {Sizes{1, 1, 1, 1, 1},
                                      {2, 3, 33, 33, 16},
                                      {1, 2, 130, 130, 33},
                                      {2, 2, 1, 75, 32},
                                      {1, 3, 5, 200, 20},
                                      {1, 1, 70, 140, 8}}) {
    CAPTURE(T);
    CAPTURE(S);
    CAPTURE(D);
    // (B, T, 3, H, D) as a projection leaves q, k and v; with S > T, only keys and values share a tensor.
    const auto head_slice = [](View x, int64_t which) { return x.select(2, which).transpose(1, 2); };
    const Operand q_source = Operand({B, T, 1, H, D}).normal(1),
                  kv_source = Operand({B, S, 2, H, D}).normal(2);
    const double scale = 1 / std::sqrt(static_cast<double>(D));
    const Call forward = [&](Backend& b, Operands& x) {
      b.attention(head_slice(x[0].view(), 0), head_slice(x[1].view(), 0), head_slice(x[1].view(), 1), scale,
                  x[2].view(), x[3].view());
    };
    Operands operands = {q_source, kv_source, Operand({B, H, T, D}, DType::f32, {0, 2, 1, 3}),
                         Operand({B, H, T})};
    agree("attention", operands, 3e-6, forward);
    forward(reference(), operands);
    Operands backward = operands;
    backward.push_back(Operand({B, H, T, D}, DType::f32, {0, 2, 1, 3}).normal(3));
    backward.push_back(Operand({B, T, 1, H, D}));
    backward.push_back(Operand({B, S, 2, H, D}));
    agree("attention_backward", backward, 1e-5, [&](Backend& b, Operands& x) {
      b.attention_backward(head_slice(x[0].view(), 0), head_slice(x[1].view(), 0), head_slice(x[1].view(), 1),
                           scale, x[2].view(), x[3].view(), x[4].view(), head_slice(x[5].view(), 0),
                           head_slice(x[6].view(), 0), head_slice(x[6].view(), 1));
    });
  }
}

TEST_CASE("cpu: AdamW over many parameters at once") {
  const auto operands = [] {
    Operands result;
    uint64_t seed = 1;
    for (const Shape& shape : {Shape{1}, Shape{33, 1023}, Shape{7}})
      for (int which = 0; which < 4; ++which) {
        result.push_back(Operand(shape).normal(seed++));
        if (which == 3) {
          const View v = result.back().view();  // v is a mean of squares
          reference().unary(Unary::abs, v, v);
        }
      }
    return result;
  }();
  for (int64_t step : {1, 1000})
    agree("adamw", operands, 1e-6, [&](Backend& b, Operands& x) {
      std::vector<AdamWPart> parts;
      for (size_t i = 0; i < x.size(); i += 4)
        parts.push_back({x[i].view(), x[i + 1].view(), x[i + 2].view(), x[i + 3].view(), i == 4 ? 0.1 : 0.0});
      double scale = 0.5;
      b.adamw({1e-3, 0.9, 0.95, 1e-8, step, View{&scale, DType::f64, {}, {}}}, parts);
    });
}
