// The number types a tensor can hold. Half types are stored, never computed with: kernels read them as f32. A
// GPU has instructions that round and widen as written here; rounding, they make every NaN the same, 0x7fff.
#pragma once
#include <bit>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "tensor/check.h"
#include "tensor/device.h"

namespace chapbook {

enum class DType : uint8_t { f32, f64, bf16, f16, i32, u16, u8 };

// bfloat16: the upper half of an f32. Rounds to nearest, ties to even; a NaN stays a NaN.
struct bf16 {
  uint16_t bits;
  bf16() = default;
  CHAPBOOK_DEVICE explicit bf16(float x) {
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
#else
    const uint32_t u = std::bit_cast<uint32_t>(x);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
#endif
  }
  CHAPBOOK_DEVICE explicit operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

// IEEE half: 1 sign, 5 exponent, 10 fraction bits. Rounds to nearest, ties to even; overflows to infinity
// above 65,504.
struct f16 {
  uint16_t bits;
  f16() = default;
  CHAPBOOK_DEVICE explicit f16(float x);
  CHAPBOOK_DEVICE explicit operator float() const;
};

CHAPBOOK_DEVICE inline f16::f16(float x) {
#ifdef __CUDA_ARCH__
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
#else
  const uint32_t u = std::bit_cast<uint32_t>(x);
  const uint16_t sign = static_cast<uint16_t>((u >> 16) & 0x8000u);
  const uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    bits = sign | 0x7e00u;  // NaN
  } else if (magnitude >= 0x477ff000u) {
    bits = sign | 0x7c00u;  // rounds past 65,504: infinity
  } else if (magnitude < 0x38800000u) {
    // Below 2^-14 the result is subnormal: adding 0.5 lines the fraction up so that the FPU itself rounds to
    // even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    bits = static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  } else {
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    bits = static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
  }
#endif
}

CHAPBOOK_DEVICE inline f16::operator float() const {
#ifdef __CUDA_ARCH__
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
#else
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu, fraction = bits & 0x3ffu;
  if (exponent == 0) {  // subnormal: fraction times 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 0x7f800000u : (exponent + 112u) << 23;
  return std::bit_cast<float>(sign | wide | (fraction << 13));
#endif
}

// x as one number of type T, which every backend stores so. An integer is cut off towards 0; what T cannot
// hold becomes the nearest that it can, and NaN 0. C++ leaves that open, and processors differ.
template <class T, class X>
CHAPBOOK_DEVICE T number_as(X x) {
  if constexpr (std::is_same_v<X, bf16> || std::is_same_v<X, f16>) {
    return number_as<T>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>) {
    return T(static_cast<float>(x));
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, X>) {
    constexpr int bits = 8 * sizeof(T) - std::is_signed_v<T>;
    constexpr double high = static_cast<double>((int64_t{1} << bits) - 1),
                     low = std::is_signed_v<T> ? -high - 1 : 0;
    const double wide = static_cast<double>(x);
    const double inside = wide < low ? low : wide > high ? high : wide == wide ? wide : 0;
    return static_cast<T>(inside);
  } else {
    return static_cast<T>(x);
  }
}

// The C++ type of a dtype's elements, and back.
template <class T>
struct Type {
  using type = T;
};
template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<bf16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<f16>() {
  return DType::f16;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<uint16_t>() {
  return DType::u16;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}

// Calls f(Type<T>{}) with the C++ type of `dtype`.
template <class F>
decltype(auto) visit(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f(Type<float>{});
    case DType::f64:
      return f(Type<double>{});
    case DType::bf16:
      return f(Type<bf16>{});
    case DType::f16:
      return f(Type<f16>{});
    case DType::i32:
      return f(Type<int32_t>{});
    case DType::u16:
      return f(Type<uint16_t>{});
    case DType::u8:
      return f(Type<uint8_t>{});
  }
  fail("dtype {} is none", static_cast<int>(dtype));
}

inline int64_t size_of(DType dtype) {
  return visit(dtype, []<class T>(Type<T>) { return static_cast<int64_t>(sizeof(T)); });
}

inline bool is_float(DType dtype) { return dtype <= DType::f16; }

std::string_view name_of(DType dtype);     // "f32"
DType dtype_named(std::string_view name);  // throws and lists the names there are

}  // namespace chapbook
