#include "tensor/dtype.h"

namespace chapbook {

static constexpr std::string_view names[] = {"f32", "f64", "bf16", "f16", "i32", "u16", "u8"};

std::string_view name_of(DType dtype) { return names[static_cast<int>(dtype)]; }

DType dtype_named(std::string_view name) {
  for (int i = 0; i < 7; ++i)
    if (names[i] == name) return static_cast<DType>(i);
  fail("no dtype '{}'; there are f32, f64, bf16, f16, i32, u16, u8", name);
}

}  // namespace chapbook
