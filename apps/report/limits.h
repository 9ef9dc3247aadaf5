// The limits of this machine: how fast it multiplies and adds, and how fast memory comes. An op can be no
// faster than the slower of the two allows (the roofline of Williams, Waterman & Patterson 2009).
#pragma once
#include <algorithm>

namespace chapbook {

// Of all threads of the pool together.
struct Limits {
  int threads = 1;
  double flops = 0;   // f32 operations a second; a multiplication and an addition fused are two
  double read = 0;    // bytes a second of memory that is only read,
  double triad = 0;   // of z = x + 3 y, three arrays (McCalpin's STREAM; the fetch of z before it is written
                      // is not counted),
  double update = 0;  // and of x = x / 2: each byte read and written

  double bandwidth() const { return std::max({read, triad, update}); }

  // The least an op can take that does not find its bytes in a cache.
  double seconds(double op_flops, double op_bytes) const {
    return std::max(op_flops / flops, op_bytes / bandwidth());
  }
};

// Takes about half a second and 192 MiB for its time. The best of several short runs counts: what disturbs a
// run only makes it slower.
Limits measure_limits();

}  // namespace chapbook
