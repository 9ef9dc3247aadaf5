// Slices: the numbers of a model, cut into equal parts. A step of S shards has S parts, however many workers
// share them; each worker answers for some, and moves only those weights (ZeRO, stage 1: Rajbhandari et al.
// 2020). An optimizer of slices is an optimizer of other parameters: see leaves().
//
// Neighbouring parameters make a bucket, and each bucket is cut into S parts by itself: so a bucket whose
// gradients are there can be summed, all workers taking part, while those of others are still computed.
#pragma once
#include <vector>

#include "nn/module.h"

namespace chapbook {

class Slices {
 public:
  // A bucket ends where it has so many numbers: 1 MiB, as much as is sent at once (team/sum.h), unless told.
  static constexpr int64_t usual_bucket = 1 << 18;
  Slices(std::vector<Parameter> parameters, int64_t parts, int64_t bucket = usual_bucket);

  // Of the numbers of one parameter, `begin` to `end` - 1.
  struct Piece {
    size_t parameter;
    int64_t begin, end;
  };
  // What lies in the parts `first` to `last` - 1, in order; of a parameter at most one piece.
  std::vector<Piece> pieces(int64_t first, int64_t last) const;
  std::vector<Piece> pieces(int64_t first, int64_t last, size_t bucket) const;  // of that one's parameters

  struct Bucket {
    size_t first, last;  // parameters `first` to `last` - 1
    int64_t length;      // of each part
  };
  const std::vector<Bucket>& buckets() const { return buckets_; }

  // That piece of a tensor of the parameter's shape: the tensor itself where that is all of it, else a view
  // of (n) numbers, or (1, n) of a matrix, which so remains one.
  static Tensor of(const Tensor& whole, const Piece& piece);

  // A parameter for each piece, named after its whole: that one itself where the piece is all of it.
  std::vector<Parameter> leaves(const std::vector<Piece>& pieces) const;

  const std::vector<Parameter>& parameters() const { return parameters_; }
  int64_t parts() const { return parts_; }

 private:
  std::vector<Parameter> parameters_;
  std::vector<int64_t> begin_;  // of each parameter, in its bucket
  std::vector<Bucket> buckets_;
  int64_t parts_;
};

}  // namespace chapbook
