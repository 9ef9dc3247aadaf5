// The arithmetic of every elementwise op, once, for host and device, and the only list of their names. Adding
// a line here gives the op to the Tensor library and to every backend; its gradient is a rule in
// autograd/ops.cpp.
#pragma once
#include <cstdint>
#include <string_view>

#include "tensor/math.h"

namespace chapbook {

// T is float or double; `x` and `y`, `a` and `b` are the operands.
#define CHAPBOOK_UNARY_OPS(OP)                                                      \
  OP(neg, -x)                                                                       \
  OP(abs, x < T(0) ? -x : x)                                                        \
  OP(exp, math::exp(x))                                                             \
  OP(log, math::log(x))                                                             \
  OP(sqrt, math::sqrt(x))                                                           \
  OP(rsqrt, T(1) / math::sqrt(x))                                                   \
  OP(tanh, math::tanh(x))                                                           \
  OP(sigmoid, math::sigmoid(x))                                                     \
  OP(relu, x < T(0) ? T(0) : x)                                                     \
  OP(silu, x* math::sigmoid(x))                                                     \
  OP(gelu, math::gelu(x))         /* tanh form, Hendrycks & Gimpel 2016, GPT-2's */ \
  OP(gelu_erf, math::gelu_erf(x)) /* exact form: x times the normal distribution */

#define CHAPBOOK_BINARY_OPS(OP)                                       \
  OP(add, a + b)                                                      \
  OP(sub, a - b)                                                      \
  OP(mul, a* b)                                                       \
  OP(div, a / b)                                                      \
  OP(pow, math::pow(a, b))                                            \
  OP(maximum, a > b || a != a ? a : b)                                \
  OP(minimum, a < b || a != a ? a : b)                                \
  OP(silu_backward, math::silu_derivative(a) * b)         /* x, dy */ \
  OP(gelu_backward, math::gelu_derivative(a) * b)         /* x, dy */ \
  OP(gelu_erf_backward, math::gelu_erf_derivative(a) * b) /* x, dy */

// Comparisons give a u8: 1 where true, 0 where not.
#define CHAPBOOK_COMPARISONS(OP) \
  OP(equal, a == b)              \
  OP(not_equal, a != b)          \
  OP(less, a < b)                \
  OP(less_equal, a <= b)         \
  OP(greater, a > b)             \
  OP(greater_equal, a >= b)

#define CHAPBOOK_NAME(name, formula) name,
enum class Unary : uint8_t { CHAPBOOK_UNARY_OPS(CHAPBOOK_NAME) };
enum class Binary : uint8_t { CHAPBOOK_BINARY_OPS(CHAPBOOK_NAME) CHAPBOOK_COMPARISONS(CHAPBOOK_NAME) };
#undef CHAPBOOK_NAME

template <Unary op>
struct UnaryFormula;
template <Binary op>
struct BinaryFormula;

#define CHAPBOOK_FORMULA(name, formula)       \
  template <>                                 \
  struct UnaryFormula<Unary::name> {          \
    template <class T>                        \
    CHAPBOOK_DEVICE T operator()(T x) const { \
      return formula;                         \
    }                                         \
  };
CHAPBOOK_UNARY_OPS(CHAPBOOK_FORMULA)
#undef CHAPBOOK_FORMULA

#define CHAPBOOK_FORMULA(name, formula)            \
  template <>                                      \
  struct BinaryFormula<Binary::name> {             \
    template <class T>                             \
    CHAPBOOK_DEVICE T operator()(T a, T b) const { \
      return T(formula);                           \
    }                                              \
  };
CHAPBOOK_BINARY_OPS(CHAPBOOK_FORMULA)
CHAPBOOK_COMPARISONS(CHAPBOOK_FORMULA)
#undef CHAPBOOK_FORMULA

// Calls f with the formula of `op`: the switch is outside the loop, so each loop is compiled for one formula.
template <class F>
void visit(Unary op, F&& f) {
  switch (op) {
#define CHAPBOOK_CASE(name, formula) \
  case Unary::name:                  \
    return f(UnaryFormula<Unary::name>{});
    CHAPBOOK_UNARY_OPS(CHAPBOOK_CASE)
#undef CHAPBOOK_CASE
  }
}

template <class F>
void visit(Binary op, F&& f) {
  switch (op) {
#define CHAPBOOK_CASE(name, formula) \
  case Binary::name:                 \
    return f(BinaryFormula<Binary::name>{});
    CHAPBOOK_BINARY_OPS(CHAPBOOK_CASE)
    CHAPBOOK_COMPARISONS(CHAPBOOK_CASE)
#undef CHAPBOOK_CASE
  }
}

constexpr bool is_comparison(Binary op) { return op >= Binary::equal; }
std::string_view name_of(Unary op);
std::string_view name_of(Binary op);

}  // namespace chapbook
