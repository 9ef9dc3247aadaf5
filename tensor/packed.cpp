#include "tensor/packed.h"

namespace chapbook {

std::string_view name_of(Packing packing) { return packing == Packing::bf16 ? "bf16" : "int8"; }

int64_t PackedMatrix::bytes() const {
  return numbers.count() * size_of(numbers.dtype()) + (scales ? scales.count() * 4 : 0);
}

namespace {

constexpr int64_t width = PackedMatrix::panel, group = PackedMatrix::group;

int64_t divide_up(int64_t x, int64_t by) { return (x + by - 1) / by; }

// Where number p of column j lies, and the scale of group g of it.
int64_t place(Packing packing, int64_t rows, int64_t p, int64_t j) {
  const int64_t panel = j / width, column = j % width;
  const int64_t groups = divide_up(rows, group), four = p % group / 4;
  if (packing == Packing::bf16) return ((panel * groups * group + p) / 2 * width + column) * 2 + p % 2;
  return ((panel * groups + p / group) * group + four * 4) * width + column * 4 + p % 4;
}
int64_t scale_place(int64_t rows, int64_t g, int64_t j) {
  return (j / width * divide_up(rows, group) + g) * width + j % width;
}

}  // namespace

PackedMatrix pack(const Tensor& b, Packing packing) {
  check(b.rank() == 2 && b.dtype() == DType::f32, "pack: wants a matrix of f32, not {} of {}", b.shape(),
        name_of(b.dtype()));
  const int64_t k = b.size(0), n = b.size(1), panels = divide_up(n, width), groups = divide_up(k, group);
  check(k > 0 && n > 0, "pack: there is nothing in {}", b.shape());
  const std::vector<float> from = b.to_vector<float>();
  if (packing == Packing::bf16) {
    std::vector<bf16> numbers(panels * groups * group * width, bf16(0.0f));
    for (int64_t p = 0; p < k; ++p)
      for (int64_t j = 0; j < n; ++j) numbers[place(packing, k, p, j)] = bf16(from[p * n + j]);
    return {packing, k, n, Tensor::from(numbers, {panels, groups * group / 2, width, 2}, b.backend()), {}};
  }
  std::vector<uint8_t> numbers(panels * groups * group * width, 128);
  std::vector<float> scales(panels * groups * width, 0.0f);
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t j = 0; j < n; ++j) {
      const int64_t first = g * group, there = std::min(group, k - first);
      float some[group] = {};
      uint8_t whole[group];
      for (int64_t i = 0; i < there; ++i) some[i] = from[(first + i) * n + j];
      scales[scale_place(k, g, j)] = quantise(group, some, whole, 128);
      for (int64_t i = 0; i < there; ++i) numbers[place(packing, k, first + i, j)] = whole[i];
    }
  return {packing, k, n, Tensor::from(numbers, {panels, groups, group / 4, width, 4}, b.backend()),
          Tensor::from(scales, {panels, groups, width}, b.backend())};
}

Tensor unpack(const PackedMatrix& b) {
  check(static_cast<bool>(b), "unpack: the matrix was never packed");
  const int64_t k = b.rows, n = b.columns;
  const std::vector<float> numbers = b.numbers.to_vector<float>();
  const std::vector<float> scales = b.scales ? b.scales.to_vector<float>() : std::vector<float>();
  std::vector<float> to(k * n);
  for (int64_t p = 0; p < k; ++p)
    for (int64_t j = 0; j < n; ++j) {
      const float number = numbers[place(b.packing, k, p, j)];
      to[p * n + j] = b.scales ? scales[scale_place(k, p / group, j)] * (number - 128) : number;
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
