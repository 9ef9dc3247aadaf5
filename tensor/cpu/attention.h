// What the two ways to compute attention on the cpu share: the rows of a head. attention.cpp multiplies
// floats; attention_pairs.cpp bf16, where the processor has instructions for it.
#pragma once
#include "tensor/cpu/half.h"
#include "tensor/cpu/loop.h"
#include "tensor/view.h"

namespace chapbook::cpu {

// The rows (T, D) of one head, read and written as f32.
struct Head {
  View x;
  int64_t offset, count, size, step;

  Head(const View& x, int64_t index)
      : x(x),
        offset(offset_of(index, Shape(x.shape.size, 2), x.strides)),
        count(x.shape[2]),
        size(x.shape[3]),
        step(x.strides[2]) {}
  const float* read(int64_t i, float* room) const { return cpu::read_row(x, offset + i * step, size, room); }
  // f(row) writes it.
  template <class F>
  void write(int64_t i, F&& f) const {
    float* const row = cpu::row_to_write(x, offset + i * step, scratch<struct WrittenRow>(size));
    f(row);
    cpu::write_row(row, size, x, offset + i * step);
  }
};

// Attention of several queries in bf16 by kernel_of_pairs(), which must be there; all operands but log_sum
// are bf16 with dense rows. See Backend::attention.
void attention_in_pairs(const View& q, const View& k, const View& v, float scale, const View& y,
                        const View& log_sum);
void attention_backward_in_pairs(const View& q, const View& k, const View& v, float scale, const View& y,
                                 const View& log_sum, const View& dy, const View& dq, const View& dk,
                                 const View& dv);

}  // namespace chapbook::cpu
