// How a test that fails shows shapes and lists of numbers; doctest itself would write {?}.
#pragma once
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <vector>

#include "tensor/shape.h"

namespace doctest {

template <>
struct StringMaker<chapbook::Shape> {
  static String convert(const chapbook::Shape& shape) { return shape.to_string().c_str(); }
};

template <class T>
struct StringMaker<std::vector<T>> {
  static String convert(const std::vector<T>& numbers) {
    return fmt::format("[{}]", fmt::join(numbers, ", ")).c_str();
  }
};

}  // namespace doctest
