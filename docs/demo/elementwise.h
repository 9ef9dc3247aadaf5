// The addition that one writes first: what chapter 3 begins with, and times.
#pragma once
#include <vector>

namespace chapbook {

// region: add
// The sum of a and b; if b has fewer numbers, it is repeated.
inline std::vector<float> add(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> y(a.size());
  for (size_t i = 0; i < y.size(); ++i) y[i] = a[i] + b[i % b.size()];
  return y;
}
// endregion

}  // namespace chapbook
