// Printing, letter by letter.
#include "tensor/print.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tensor/ops.h"

using namespace chapbook;

namespace {

template <class T>
std::string printed(const std::vector<T>& values, const Shape& shape) {
  return print(Tensor::from(values, shape, backend("reference")));
}

std::string counted(const Shape& shape, DType dtype = DType::i32) {
  return print(Tensor::arange(shape.count(), dtype, backend("reference")).reshape(shape));
}

}  // namespace

TEST_CASE("print: integers") {
  CHECK(counted({2, 3}) == "[[0, 1, 2],\n [3, 4, 5]]\ni32 (2, 3) on reference");
  CHECK(printed<int32_t>({-5, 1000, 20, 2147483647}, {4}) ==
        "[        -5,       1000,         20, 2147483647]\ni32 (4,) on reference");
  CHECK(printed<uint8_t>({0, 255}, {2}) == "[  0, 255]\nu8 (2,) on reference");
  CHECK(printed<uint16_t>({50256}, {1, 1}) == "[[50256]]\nu16 (1, 1) on reference");
}

TEST_CASE("print: scalars and empties") {
  CHECK(counted({}) == "0\ni32 () on reference");
  CHECK(printed<float>({10.82491f}, {}) == "10.82\nf32 () on reference");
  CHECK(counted({0}) == "[]\ni32 (0,) on reference");
  CHECK(counted({2, 0, 3}) == "[]\ni32 (2, 0, 3) on reference");
  CHECK(print(Tensor()) == "no tensor");
}

TEST_CASE("print: one number of decimals, four significant digits for the largest") {
  CHECK(printed<float>({3.14159f, -2.71828f, 0.05f}, {3}) ==
        "[ 3.142, -2.718,  0.050]\nf32 (3,) on reference");
  CHECK(printed<float>({0.0812345f, -0.0003f}, {2}) == "[ 0.08123, -0.00030]\nf32 (2,) on reference");
  CHECK(printed<float>({1234.56f, 1.5f}, {2}) == "[1234.6,    1.5]\nf32 (2,) on reference");
  CHECK(printed<double>({0.5, 0.25, -1}, {3}) == "[ 0.50,  0.25, -1.00]\nf64 (3,) on reference");
  CHECK(printed<float>({0.1f, 0.2f}, {2}) == "[0.1, 0.2]\nf32 (2,) on reference");
  CHECK(printed<float>({9.9996f, 1}, {2}) ==
        "[10.000,  1.000]\nf32 (2,) on reference");  // not 10.: it is none
  CHECK(printed<float>({100, 0.02f}, {2}) ==
        "[100.00,   0.02]\nf32 (2,) on reference");  // the small one stays visible
  CHECK(print(Tensor::from<float>({0.1f, -3}, {2}, backend("reference")).to(DType::bf16)) ==
        "[ 0.100, -3.000]\nbf16 (2,) on reference");
}

TEST_CASE("print: whole numbers keep their point") {
  CHECK(counted({2, 3}, DType::f32) == "[[0., 1., 2.],\n [3., 4., 5.]]\nf32 (2, 3) on reference");
  CHECK(printed<float>({50257, -3}, {2}) == "[50257.,    -3.]\nf32 (2,) on reference");
  CHECK(printed<float>({0, -0.0f}, {2}) == "[ 0., -0.]\nf32 (2,) on reference");
  CHECK(printed<double>({3e8, 1}, {2}) == "[3.e+08, 1.e+00]\nf64 (2,) on reference");
}

TEST_CASE("print: scientific where fixed point would hide numbers") {
  CHECK(printed<float>({1e-6f, 123}, {2}) == "[1.00e-06, 1.23e+02]\nf32 (2,) on reference");
  CHECK(printed<float>({1.2345e-5f, -2e-5f}, {2}) == "[ 1.234e-05, -2.000e-05]\nf32 (2,) on reference");
  CHECK(printed<float>({123456.7f}, {1}) == "[1.235e+05]\nf32 (1,) on reference");
  CHECK(printed<double>({1e-300, 1e300, 0, -5e-324}, {4}) ==
        "[ 1.e-300,  1.e+300,   0.e+00, -5.e-324]\nf64 (4,) on reference");
}

TEST_CASE("print: numbers that are none") {
  const float nan = NAN, infinity = INFINITY;
  CHECK(printed<float>({nan, infinity, -infinity, 1.5f}, {2, 2}) ==
        "[[ nan,  inf],\n [-inf,  1.5]]\nf32 (2, 2) on reference");
  CHECK(printed<float>({-nan}, {}) == "nan\nf32 () on reference");
  CHECK(printed<float>({nan, nan}, {2}) == "[nan, nan]\nf32 (2,) on reference");
}

TEST_CASE("print: an empty line between matrices, two between stacks of them") {
  CHECK(counted({2, 1, 2}) == "[[[0, 1]],\n\n [[2, 3]]]\ni32 (2, 1, 2) on reference");
  CHECK(counted({2, 1, 2, 1}) == "[[[[0],\n   [1]]],\n\n\n [[[2],\n   [3]]]]\ni32 (2, 1, 2, 1) on reference");
}

TEST_CASE("print: views show what they see") {
  const Tensor x = Tensor::arange(6, DType::i32, backend("reference")).reshape({2, 3});
  CHECK(print(x.transpose(0, 1)) == "[[0, 3],\n [1, 4],\n [2, 5]]\ni32 (3, 2) on reference");
  CHECK(print(x.slice(1, 1, 3)) == "[[1, 2],\n [4, 5]]\ni32 (2, 2) on reference");
  CHECK(print(x.select(0, 1).broadcast_to({2, 3})) == "[[3, 4, 5],\n [3, 4, 5]]\ni32 (2, 3) on reference");
  CHECK(x.to_string() == print(x));
}

TEST_CASE("print: long rows go on in the next line") {
  CHECK(counted({1, 30}) ==
        "[[ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17, 18,\n"
        "  19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29]]\ni32 (1, 30) on reference");
  const std::string whole = counted({1000});  // the most that is shown whole
  CHECK(whole.find("...") == whole.npos);
  for (size_t from = 0, to; from < whole.size(); from = to + 1) {
    to = std::min(whole.find('\n', from), whole.size());
    CHECK(to - from <= 80);
  }
}

TEST_CASE("print: more than 1000 numbers show the ends of long axes") {
  CHECK(counted({1001}) == "[   0,    1,    2, ...,  998,  999, 1000]\ni32 (1001,) on reference");
  CHECK(counted({100, 11}) ==
        "[[   0,    1,    2, ...,    8,    9,   10],\n"
        " [  11,   12,   13, ...,   19,   20,   21],\n"
        " [  22,   23,   24, ...,   30,   31,   32],\n"
        " ...,\n"
        " [1067, 1068, 1069, ..., 1075, 1076, 1077],\n"
        " [1078, 1079, 1080, ..., 1086, 1087, 1088],\n"
        " [1089, 1090, 1091, ..., 1097, 1098, 1099]]\n"
        "i32 (100, 11) on reference");
  CHECK(counted({7, 1, 1000}) ==  // an axis of 7 is shortened, shorter ones are not
        "[[[   0,    1,    2, ...,  997,  998,  999]],\n\n"
        " [[1000, 1001, 1002, ..., 1997, 1998, 1999]],\n\n"
        " [[2000, 2001, 2002, ..., 2997, 2998, 2999]],\n\n"
        " ...,\n\n"
        " [[4000, 4001, 4002, ..., 4997, 4998, 4999]],\n\n"
        " [[5000, 5001, 5002, ..., 5997, 5998, 5999]],\n\n"
        " [[6000, 6001, 6002, ..., 6997, 6998, 6999]]]\n"
        "i32 (7, 1, 1000) on reference");
  const std::string six = counted({6, 1000});
  CHECK(six.find("\n ...") == six.npos);
  CHECK(six.find("[3000, 3001, 3002, ..., 3997, 3998, 3999]") != six.npos);
}
