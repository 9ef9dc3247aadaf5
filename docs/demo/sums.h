// Three ways to add up a list of numbers in their own type: one after the other, in pairs, and with the lost
// digits carried along. What chapter 1 compares, and one of its exercises.
#pragma once
#include <cstddef>
#include <span>

#include "tensor/check.h"

namespace chapbook {

template <class T>
T naive_sum(std::span<const T> x) {
  T sum = 0;
  for (const T each : x) sum += each;
  return sum;
}

// The sum of each half, and then of the two: no number goes through more than log2(n) additions.
template <class T>
T pairwise_sum(std::span<const T> x) {
  if (x.size() == 1) return x[0];
  if (x.empty()) return 0;
  const size_t half = x.size() / 2;
  return pairwise_sum(x.first(half)) + pairwise_sum(x.subspan(half));
}

// Kahan 1965: what an addition rounds away is found, and goes into the next one.
template <class T>
T compensated_sum(std::span<const T> x) {
  T sum = 0, lost = 0;
  for (const T each : x) {
    const T more = each + lost;
    const T next = sum + more;
    lost = more - (next - sum);  // next - sum is what arrived
    sum = next;
  }
  return sum;
}

}  // namespace chapbook
