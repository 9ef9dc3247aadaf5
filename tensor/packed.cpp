#include "tensor/packed.h"

#include <cmath>

#include "tensor/cpu/thread_pool.h"

namespace chapbook {

std::string_view name_of(Packing packing) { return packing == Packing::bf16 ? "bf16" : "int8"; }

int64_t PackedMatrix::bytes() const {
  return numbers.count() * size_of(numbers.dtype()) + (scales ? scales.count() * 4 : 0);
}

namespace {

constexpr int64_t width = PackedMatrix::panel, group = PackedMatrix::group;

int64_t divide_up(int64_t x, int64_t by) { return (x + by - 1) / by; }

// f(panel, column in it, column) for every column of a matrix, panels shared out among the threads.
template <class F>
void each_column(int64_t columns, F&& f) {
  parallel_for(divide_up(columns, width), 1, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin * width; j < std::min(end * width, columns); ++j) f(j / width, j % width, j);
  });
}

// Where number p of a column lies among those of its panel.
int64_t place(int64_t p, int64_t column) {
  return p / group * group * width + p % group / 4 * 4 * width + column * 4 + p % 4;
}

}  // namespace

PackedMatrix pack(const Tensor& b, Packing packing) {
  check(b.rank() == 2 && b.dtype() == DType::f32, "pack: wants a matrix of f32, not {} of {}", b.shape(),
        name_of(b.dtype()));
  const int64_t k = b.size(0), n = b.size(1), panels = divide_up(n, width), groups = divide_up(k, group);
  check(k > 0 && n > 0, "pack: there is nothing in {}", b.shape());
  const std::vector<float> from = b.to_vector<float>();
  PackedMatrix packed{packing, k, n, {}, {}};
  if (packing == Packing::bf16) {
    std::vector<bf16> numbers(panels * k * width, bf16(0.0f));
    each_column(n, [&](int64_t panel, int64_t column, int64_t j) {
      for (int64_t p = 0; p < k; ++p) numbers[(panel * k + p) * width + column] = bf16(from[p * n + j]);
    });
    packed.numbers = Tensor::from(numbers, {panels, k, width}, b.backend());
    return packed;
  }
  std::vector<uint8_t> numbers(panels * groups * group * width, 128);
  std::vector<float> scales(panels * groups * width, 0.0f);
  each_column(n, [&](int64_t panel, int64_t column, int64_t j) {
    for (int64_t g = 0; g < groups; ++g) {
      float some[group] = {};
      uint8_t whole[group];
      for (int64_t i = 0; i < std::min(group, k - g * group); ++i) some[i] = from[(g * group + i) * n + j];
      scales[(panel * groups + g) * width + column] = quantise(group, some, whole, 128);
      for (int64_t i = 0; i < group; ++i)
        numbers[panel * groups * group * width + place(g * group + i, column)] = whole[i];
    }
  });
  packed.numbers = Tensor::from(numbers, {panels, groups, group / 4, width, 4}, b.backend());
  packed.scales = Tensor::from(scales, {panels, groups, width}, b.backend());
  return packed;
}

Tensor unpack(const PackedMatrix& b) {
  check(static_cast<bool>(b), "unpack: the matrix was never packed");
  const int64_t k = b.rows, n = b.columns, groups = divide_up(k, group);
  std::vector<float> to(k * n);
  if (b.packing == Packing::bf16) {
    const std::vector<float> numbers = b.numbers.to_vector<float>();
    each_column(n, [&](int64_t panel, int64_t column, int64_t j) {
      for (int64_t p = 0; p < k; ++p) to[p * n + j] = numbers[(panel * k + p) * width + column];
    });
  } else {
    const std::vector<uint8_t> numbers = b.numbers.to_vector<uint8_t>();
    const std::vector<float> scales = b.scales.to_vector<float>();
    each_column(n, [&](int64_t panel, int64_t column, int64_t j) {
      for (int64_t p = 0; p < k; ++p)
        to[p * n + j] = scales[(panel * groups + p / group) * width + column] *
                        static_cast<float>(numbers[panel * groups * group * width + place(p, column)] - 128);
    });
  }
  return Tensor::from(to, {k, n}, b.numbers.backend());
}

Tensor matmul(const Tensor& a, const PackedMatrix& b, const Tensor& bias, const Tensor& residual) {
  check(static_cast<bool>(b), "matmul: the matrix was never packed");
  check(a.rank() >= 1 && a.size(-1) == b.rows, "matmul: {} times a packed ({}, {}): inner sizes differ",
        a.shape(), b.rows, b.columns);
  const Shape shape = a.shape().with(-1, b.columns);
  const auto fits = [&](const char* what, const Tensor& x, const Shape& wanted) {
    check(&x.backend() == &b.numbers.backend(), "matmul: {} is on '{}', the packed matrix on '{}'", what,
          x.backend().name(), b.numbers.backend().name());
    check(x.dtype() == DType::f32 && x.shape() == wanted, "matmul: {} is {} of {}, not {} of f32", what,
          x.shape(), name_of(x.dtype()), wanted);
  };
  fits("a", a, a.shape());
  if (bias) fits("the bias", bias, {b.columns});
  if (residual) fits("the residual", residual, shape);
  const auto rows = [](const Tensor& x) {
    return x.as_contiguous().reshape({x.count() / std::max<int64_t>(1, x.size(-1)), x.size(-1)});
  };
  const Tensor x = rows(a), added = residual ? rows(residual) : Tensor();
  const Tensor y = Tensor::empty({x.size(0), b.columns}, DType::f32, a.backend());
  a.backend().packed_matmul(x.view(), b.numbers.view(), b.scales ? b.scales.view() : View{},
                            bias ? bias.as_contiguous().view() : View{}, added ? added.view() : View{},
                            y.view());
  return y.reshape(shape);
}

}  // namespace chapbook
