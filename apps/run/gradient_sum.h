// GradientSum: what becomes of the gradients of a step that is cut into shards. In one worker they add up in
// the tree of the shards; those of several workers are then added over the team, bucket by bucket, and that
// begins while the backward pass of the worker's last batch goes on: the last layers, whose gradients come
// first, are on their way while the first ones are computed. The sums and their order are the same as
// without.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "optim/slices.h"
#include "optim/tree_sum.h"
#include "team/courier.h"
#include "team/sum.h"

namespace chapbook {

class GradientSum {
 public:
  // With `tree`, shards add up as ((0 + 1) + (2 + 3)) + ...; else a worker's own add up as they come. Both
  // must outlive it.
  GradientSum(const Slices& slices, Team& team, bool tree);

  // With a tree: the gradients of a shard are there, and it is not the last one of this worker.
  void add_shard(Tensor loss);
  // The worker's last batch, whose gradients may be on their way before it ends.
  Tensor last_batch(const std::function<Tensor()>& pass);
  // Afterwards the gradients in this worker's own parts are sums over the team, and what it gives is the loss
  // of its shards, of which `loss` is the last.
  Tensor finish(Tensor loss);

  void overlap(bool allowed) { overlap_ = allowed; }  // or all at the end, to compare
  double waited() const { return waited_; }           // seconds in finish(), since the beginning

 private:
  void grown(const Node& parameter);
  void complete(size_t i);
  void send(size_t bucket);
  void learn_order();
  Tensor take_gradient(size_t i) const;

  const Slices& slices_;
  bool tree_, overlap_ = true;
  TreeSum sum_;
  std::vector<size_t> bucket_of_;             // of each parameter
  std::map<const Node*, size_t> parameters_;  // by their nodes

  // How often a batch adds to each gradient, and which bucket is whole first, is learned from the first step.
  std::vector<int> additions_;
  std::vector<size_t> order_;
  // Of the batch that goes on: additions to each gradient so far, and which was how late; what is summed in
  // this worker; what buckets lack; how many of `order_` are on their way.
  std::vector<int> grown_, last_grown_;
  std::vector<bool> complete_;
  std::vector<size_t> missing_;
  size_t sent_ = 0;
  int clock_ = 0;

  double waited_ = 0;
  std::optional<Courier> courier_;  // ends before what its errands use
};

}  // namespace chapbook
