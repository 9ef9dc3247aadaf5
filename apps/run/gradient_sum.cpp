#include "apps/run/gradient_sum.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

namespace chapbook {

using Clock = std::chrono::steady_clock;

GradientSum::GradientSum(const Slices& slices, Team& team, bool tree) : slices_(slices), tree_(tree) {
  for (size_t bucket = 0; bucket < slices.buckets().size(); ++bucket)
    for (size_t i = slices.buckets()[bucket].first; i < slices.buckets()[bucket].last; ++i)
      bucket_of_.push_back(bucket);
  for (size_t i = 0; i < slices.parameters().size(); ++i)
    parameters_[slices.parameters()[i].variable.node().get()] = i;
  if (team.size() > 1) courier_.emplace(team);
}

// In memory that is nobody else's.
Tensor GradientSum::take_gradient(size_t i) const {
  const Parameter& parameter = slices_.parameters()[i];
  Tensor gradient = parameter.variable.gradient();
  parameter.variable.clear_gradient();
  check(static_cast<bool>(gradient), "shards: {} has no gradient", parameter.name);
  return gradient.shared() || !gradient.contiguous() ? gradient.contiguous_copy() : gradient;
}

void GradientSum::add_shard(Tensor loss) {
  TreeSum::List of_shard;
  for (size_t i = 0; i < slices_.parameters().size(); ++i) of_shard.push_back(take_gradient(i));
  of_shard.push_back(std::move(loss));
  sum_.add(std::move(of_shard));
}

Tensor GradientSum::last_batch(const std::function<Tensor()>& pass) {
  const size_t count = slices_.parameters().size();
  grown_.assign(count, 0), last_grown_.assign(count, 0), complete_.assign(count, false);
  missing_.clear();
  for (const Slices::Bucket& bucket : slices_.buckets()) missing_.push_back(bucket.last - bucket.first);
  sent_ = 0, clock_ = 0;
  if (!courier_) return pass();
  const OnGradients listening([this](const Node& parameter) { grown(parameter); });
  return pass();
}

void GradientSum::grown(const Node& parameter) {
  const auto found = parameters_.find(&parameter);
  if (found == parameters_.end()) return;
  const size_t i = found->second;
  ++grown_[i];
  last_grown_[i] = ++clock_;
  if (additions_.empty() || !overlap_) return;
  check(grown_[i] <= additions_[i], "the gradient of {} has grown after it was sent",
        slices_.parameters()[i].name);
  if (grown_[i] == additions_[i]) complete(i);
}

// The gradient of this worker's shards is whole.
void GradientSum::complete(size_t i) {
  Tensor gradient = take_gradient(i);
  slices_.parameters()[i].variable.set_gradient(tree_ ? sum_.add_last(i, std::move(gradient)) : gradient);
  complete_[i] = true;
  --missing_[bucket_of_[i]];
  for (; courier_ && sent_ < order_.size() && missing_[order_[sent_]] == 0; ++sent_) send(order_[sent_]);
}

void GradientSum::send(size_t bucket) {
  std::vector<float*> numbers;  // handles of tensors stay in this thread
  const size_t first = slices_.buckets()[bucket].first;
  for (size_t i = first; i < slices_.buckets()[bucket].last; ++i)
    numbers.push_back(slices_.parameters()[i].variable.gradient().view().as<float>());
  courier_->send([this, bucket, first, numbers = std::move(numbers)](Team& team) {
    reduce_scatter(team, static_cast<int>(slices_.parts()), [&](int from, int to) {
      Places places;
      for (const Slices::Piece& piece : slices_.pieces(from, to, bucket))
        places.emplace_back(numbers[piece.parameter - first] + piece.begin,
                            static_cast<size_t>(piece.end - piece.begin));
      return places;
    });
  });
}

// Buckets in the order in which their last gradients were whole. It is the same in all workers, whose
// programs and models are.
void GradientSum::learn_order() {
  additions_ = grown_;
  order_.resize(slices_.buckets().size());
  std::iota(order_.begin(), order_.end(), 0);
  const auto when = [&](size_t bucket) {
    const auto& of = slices_.buckets()[bucket];
    return *std::max_element(last_grown_.begin() + static_cast<ptrdiff_t>(of.first),
                             last_grown_.begin() + static_cast<ptrdiff_t>(of.last));
  };
  std::ranges::stable_sort(order_, {}, when);
}

Tensor GradientSum::finish(Tensor loss) {
  if (order_.empty()) learn_order();
  for (size_t i = 0; i < complete_.size(); ++i)
    if (!complete_[i]) complete(i);
  if (tree_) loss = sum_.add_last(complete_.size(), std::move(loss));
  sum_.clear();
  if (courier_) {
    const auto start = Clock::now();
    courier_->wait();
    waited_ += std::chrono::duration<double>(Clock::now() - start).count();
  }
  return loss;
}

}  // namespace chapbook
