// TreeSum: adds up lists of tensors that come one after another, 2^k of them, as ((0 + 1) + (2 + 3)) + ...:
// like a binary counter, two sums of as many lists become one. Where the tree is cut, another machine can go
// on with it, and the bits are the same. It holds k sums besides the list that comes.
#pragma once
#include <cstdint>

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

  // The sum of all, after which there is none.
  List take() {
    check(sums_.size() == 1, "a tree of {} leaves is not whole", count_);
    List sum = std::move(sums_.back());
    sums_.clear();
    count_ = 0;
    return sum;
  }

 private:
  RecycledVector<List> sums_;
  uint64_t count_ = 0;
};

}  // namespace chapbook
