// TreeSum: adds up lists of tensors that come one after another, 2^k of them, as ((0 + 1) + (2 + 3)) + ...:
// like a binary counter, two sums of as many lists become one. Where the tree is cut, another machine can go
// on with it, and the bits are the same. It holds k sums besides the list that comes.
#pragma once
#include <cstdint>
#include <utility>

#include "tensor/ops.h"

namespace chapbook {

class TreeSum {
 public:
  using List = RecycledVector<Tensor>;

  // The tensors are contiguous and nobody else's: sums are made in their memory.
  void add(List list) {
    for (uint64_t carry = count_++; carry & 1; carry >>= 1) {
      List sum = std::move(sums_.back());
      sums_.pop_back();
      for (size_t i = 0; i < sum.size(); ++i)
        sum[i].backend().binary(Binary::add, sum[i].view(), list[i].view(), sum[i].view());
      list = std::move(sum);
    }
    sums_.push_back(std::move(list));
  }

  // Of the last list of all, the tensor at place i: gives the sum of all lists there. In any order of i;
  // after all of them the sum has been taken, and clear() makes room for the next.
  Tensor add_last(size_t i, Tensor tensor) {
    check(((count_ + 1) & count_) == 0, "a tree of {} leaves is not whole", count_ + 1);
    for (size_t level = sums_.size(); level-- > 0;) {  // the smallest sums first, as a carry goes
      Tensor sum = std::exchange(sums_[level][i], {});
      sum.backend().binary(Binary::add, sum.view(), tensor.view(), sum.view());
      tensor = std::move(sum);
    }
    return tensor;
  }
  void clear() {
    sums_.clear();
    count_ = 0;
  }

 private:
  RecycledVector<List> sums_;
  uint64_t count_ = 0;
};

}  // namespace chapbook
