// The arithmetic of every elementwise op, once, for host and device, and the only list of their names. Adding
// a line here gives the op to the Tensor library and to every backend; its gradient is a rule in
// autograd/ops.cpp.
#pragma once
#include <cstdint>
#include <string_view>

#include "tensor/math.h"

namespace chapbook {

// Name, operations (each addition, multiplication, comparison or function of a number is one; see Cost in
// tensor/kernel_call.h) and formula. T is float or double; `x`, or `a` and `b`, are the operands.
#define CHAPBOOK_UNARY_OPS(OP)                                                         \
  OP(neg, 1, -x)                                                                       \
  OP(abs, 1, math::abs(x))                                                             \
  OP(exp, 1, math::exp(x))                                                             \
  OP(log, 1, math::log(x))                                                             \
  OP(sqrt, 1, math::sqrt(x))                                                           \
  OP(rsqrt, 2, T(1) / math::sqrt(x))                                                   \
  OP(tanh, 1, math::tanh(x))                                                           \
  OP(sigmoid, 4, math::sigmoid(x))                                                     \
  OP(relu, 1, x < T(0) ? T(0) : x)                                                     \
  OP(silu, 5, x* math::sigmoid(x))                                                     \
  OP(gelu, 11, math::gelu(x))        /* tanh form, Hendrycks & Gimpel 2016, GPT-2's */ \
  OP(gelu_erf, 5, math::gelu_erf(x)) /* exact form: x times the normal distribution */

#define CHAPBOOK_BINARY_OPS(OP)                                           \
  OP(add, 1, a + b)                                                       \
  OP(sub, 1, a - b)                                                       \
  OP(mul, 1, a* b)                                                        \
  OP(div, 1, a / b)                                                       \
  OP(pow, 1, math::pow(a, b))                                             \
  OP(maximum, 1, a > b || a != a ? a : b)                                 \
  OP(minimum, 1, a < b || a != a ? a : b)                                 \
  OP(silu_backward, 9, math::silu_derivative(a) * b)          /* x, dy */ \
  OP(gelu_backward, 21, math::gelu_derivative(a) * b)         /* x, dy */ \
  OP(gelu_erf_backward, 11, math::gelu_erf_derivative(a) * b) /* x, dy */

// Comparisons give a u8: 1 where true, 0 where not.
#define CHAPBOOK_COMPARISONS(OP) \
  OP(equal, 1, a == b)           \
  OP(not_equal, 1, a != b)       \
  OP(less, 1, a < b)             \
  OP(less_equal, 1, a <= b)      \
  OP(greater, 1, a > b)          \
  OP(greater_equal, 1, a >= b)

#define CHAPBOOK_NAME(name, operations, formula) name,
enum class Unary : uint8_t { CHAPBOOK_UNARY_OPS(CHAPBOOK_NAME) };
enum class Binary : uint8_t { CHAPBOOK_BINARY_OPS(CHAPBOOK_NAME) CHAPBOOK_COMPARISONS(CHAPBOOK_NAME) };
#undef CHAPBOOK_NAME

template <Unary op>
struct UnaryFormula;
template <Binary op>
struct BinaryFormula;

#define CHAPBOOK_FORMULA(name, operations, formula) \
  template <>                                       \
  struct UnaryFormula<Unary::name> {                \
    template <class T>                              \
    CHAPBOOK_DEVICE T operator()(T x) const {       \
      return formula;                               \
    }                                               \
  };
CHAPBOOK_UNARY_OPS(CHAPBOOK_FORMULA)
#undef CHAPBOOK_FORMULA

#define CHAPBOOK_FORMULA(name, operations, formula) \
  template <>                                       \
  struct BinaryFormula<Binary::name> {              \
    template <class T>                              \
    CHAPBOOK_DEVICE T operator()(T a, T b) const {  \
      return T(formula);                            \
    }                                               \
  };
CHAPBOOK_BINARY_OPS(CHAPBOOK_FORMULA)
CHAPBOOK_COMPARISONS(CHAPBOOK_FORMULA)
#undef CHAPBOOK_FORMULA

// What f gives for the formula of `op`: the switch is outside the loop, so each loop is compiled for one
// formula.
template <class F>
auto visit(Unary op, F&& f) {
  switch (op) {
#define CHAPBOOK_CASE(name, operations, formula) \
  case Unary::name:                              \
    return f(UnaryFormula<Unary::name>{});
    CHAPBOOK_UNARY_OPS(CHAPBOOK_CASE)
#undef CHAPBOOK_CASE
  }
  __builtin_unreachable();
}

template <class F>
auto visit(Binary op, F&& f) {
  switch (op) {
#define CHAPBOOK_CASE(name, operations, formula) \
  case Binary::name:                             \
    return f(BinaryFormula<Binary::name>{});
    CHAPBOOK_BINARY_OPS(CHAPBOOK_CASE)
    CHAPBOOK_COMPARISONS(CHAPBOOK_CASE)
#undef CHAPBOOK_CASE
  }
  __builtin_unreachable();
}

constexpr bool is_comparison(Binary op) { return op >= Binary::equal; }

// What has a meaning for integers: the result in real numbers, stored as number_as in tensor/dtype.h says. So
// 7 / 2 is 3, and 1 / 0 the largest there is. Of the other ops nothing useful would be left.
constexpr bool takes_integers(Unary op) { return op == Unary::neg || op == Unary::abs || op == Unary::relu; }
constexpr bool takes_integers(Binary op) { return op <= Binary::minimum || is_comparison(op); }

std::string_view name_of(Unary op);
std::string_view name_of(Binary op);
int operations(Unary op);
int operations(Binary op);

}  // namespace chapbook
