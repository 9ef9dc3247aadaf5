// Functions of one number. For double they are the C library's: the meaning. For float they are polynomials
// without branches or calls, so that a loop over them vectorises; they are within 2 units in the last place
// of the double result. A GPU's functions, exp and the reciprocal, are as good, and half as many
// instructions.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "tensor/device.h"

namespace chapbook::math {

CHAPBOOK_DEVICE inline double exp(double x) { return std::exp(x); }
CHAPBOOK_DEVICE inline double tanh(double x) { return std::tanh(x); }

// exp(x) = 2^n exp(r), n the integer nearest x / ln 2 and |r| <= ln 2 / 2. The polynomial is Cephes' expf
// (Moshier). Results below 2^-125.5 = 1.7e-38, just above the smallest normal float, are 0.
CHAPBOOK_DEVICE inline float exp(float x) {
#ifdef __CUDA_ARCH__
  return ::expf(x);
#else
  const float low = -87.33654f, high = 88.72284f;
  float clamped = x < low ? low : x;  // written so that a NaN passes through
  clamped = clamped > high ? high : clamped;
  const float magic =
      12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which then sits in the low bits
  const float rounded = clamped * 1.44269504088896341f + magic;
  const float n = rounded - magic;
  const float r =
      (clamped - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two parts, the first exact in 9 bits
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n as 2^(n-1) * 2, because n may be 128, whose exponent alone would already be infinity.
  const float half_scale = std::bit_cast<float>((std::bit_cast<uint32_t>(rounded) + 126u) << 23);
  const float y = p * half_scale * 2.0f;
  return x < low ? 0.0f : x > high ? HUGE_VALF : y;
#endif
}

// 1 / x, for x of at least 1. On a GPU it may be off by one unit in the last place, and what would be below
// the smallest normal float is 0.
CHAPBOOK_DEVICE inline double reciprocal(double x) { return 1 / x; }
CHAPBOOK_DEVICE inline float reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return 1 / x;
#endif
}

// Odd polynomial near 0 (Cephes' tanhf), 1 - 2 / (exp(2x) + 1) further out.
CHAPBOOK_DEVICE inline float tanh(float x) {
  const float magnitude = x < 0 ? -x : x;
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float near = p * z * x + x;
  const float far = 1.0f - 2.0f * reciprocal(exp(2.0f * magnitude) + 1.0f);
  return magnitude < 0.625f ? near : x < 0 ? -far : far;
}

template <class T>
CHAPBOOK_DEVICE T abs(T x) {  // of -0, too, which is not below 0
  return std::abs(x);
}
template <class T>
CHAPBOOK_DEVICE T log(T x) {
  return std::log(x);
}
template <class T>
CHAPBOOK_DEVICE T sqrt(T x) {
  return std::sqrt(x);
}
template <class T>
CHAPBOOK_DEVICE T pow(T a, T b) {
  return std::pow(a, b);
}

template <class T>
CHAPBOOK_DEVICE T sigmoid(T x) {
  return reciprocal(T(1) + exp(-x));
}

template <class T>
CHAPBOOK_DEVICE T silu_derivative(T x) {
  const T s = sigmoid(x);
  return s * (T(1) + x * (T(1) - s));
}

// GELU, tanh form: 0.5 x (1 + tanh(u)) with u = sqrt(2 / pi) (x + 0.044715 x^3). Since 0.5 (1 + tanh(u)) =
// sigmoid(2u), one exp is enough, and no digits are lost for negative x.
template <class T>
CHAPBOOK_DEVICE T gelu(T x) {
  const T u = T(0.7978845608028654) * (x + T(0.044715) * x * x * x);
  return x * sigmoid(T(2) * u);
}

template <class T>
CHAPBOOK_DEVICE T gelu_derivative(T x) {
  const T u = T(0.7978845608028654) * (x + T(0.044715) * x * x * x);
  const T du = T(0.7978845608028654) * (T(1) + T(3 * 0.044715) * x * x);
  const T s = sigmoid(T(2) * u);
  return s + x * s * (T(1) - s) * T(2) * du;
}

// GELU, exact form: x times the standard normal distribution function.
template <class T>
CHAPBOOK_DEVICE T gelu_erf(T x) {
  return T(0.5) * x * std::erfc(-x * T(0.7071067811865476));
}

template <class T>
CHAPBOOK_DEVICE T gelu_erf_derivative(T x) {
  return T(0.5) * std::erfc(-x * T(0.7071067811865476)) + x * exp(T(-0.5) * x * x) * T(0.3989422804014327);
}

}  // namespace chapbook::math
