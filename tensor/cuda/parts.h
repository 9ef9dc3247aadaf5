// Parts: many tensors of different sizes in one launch, where a launch for each would cost more than its
// work. Each tensor is cut into chunks, and a block takes one chunk.
#pragma once
#include <algorithm>
#include <cstdint>

#include "tensor/device.h"

namespace chapbook {

// Part: what the kernel wants to know of a tensor, with its `count` of numbers. The list travels with the
// launch, whose arguments have room for 4 KB.
template <class Part>
struct Parts {
  static constexpr int most = 3840 / (sizeof(Part) + sizeof(unsigned));
  static constexpr int64_t chunk = 16384;  // numbers that a block takes

  int count = 0;
  unsigned first[most + 1] = {};  // the chunk each part begins with; after the last part: how many there are
  Part part[most];

  static int64_t chunks_of(int64_t numbers) { return (numbers + chunk - 1) / chunk; }
  void add(const Part& next) {
    first[count + 1] = first[count] + static_cast<unsigned>(chunks_of(next.count));
    part[count++] = next;
  }
  bool full() const { return count == most; }
  unsigned chunks() const { return first[count]; }

  // Where chunk `number` is: numbers begin to end of a part.
  struct Place {
    int part;
    int64_t begin, end;
  };
  CHAPBOOK_DEVICE Place place(unsigned number) const {
    int i = 0;
    while (first[i + 1] <= number) ++i;
    const int64_t begin = (number - first[i]) * chunk, rest = part[i].count - begin;
    return {i, begin, begin + (rest < chunk ? rest : chunk)};
  }
};

}  // namespace chapbook
