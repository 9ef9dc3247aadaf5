#include "data/loader.h"

#include <algorithm>
#include <bit>

#include "tensor/check.h"
#include "tensor/random.h"

namespace chapbook {
namespace {

// Philox counters of the draws that are made once per epoch, far from the positions that random windows
// count.
constexpr uint64_t offset_draw = uint64_t{1} << 62, permutation_draw = uint64_t{1} << 63;

void check_sizes(TokenIds tokens, int64_t batch_size, int64_t context, int64_t needed) {
  check(batch_size >= 1 && context >= 1, "loader: batch size {} and context {} must be at least 1",
        batch_size, context);
  check(tokens.size() >= needed,
        "loader: the data has {} tokens, but a context of {} needs at least {}; use more text or a shorter "
        "context",
        tokens.size(), context, needed);
}

void check_batch(std::span<int32_t> inputs, std::span<int32_t> targets, int64_t batch_size, int64_t context) {
  const auto size = static_cast<size_t>(batch_size * context);
  check(inputs.size() == size && targets.size() == size,
        "loader: a batch of {} x {} does not fit {} inputs and {} targets", batch_size, context,
        inputs.size(), targets.size());
}

// Leaves out targets that do not count, the first of which is token `first`. Gives how many.
int64_t ignore(const std::vector<bool>* counted, int64_t first, std::span<int32_t> targets) {
  int64_t ignored = 0;
  for (size_t i = 0; counted && i < targets.size(); ++i)
    if (!counted->at(static_cast<size_t>(first) + i)) targets[i] = ignored_target, ++ignored;
  return ignored;
}

}  // namespace

uint64_t permuted_index(uint64_t index, uint64_t size, uint64_t key) {
  check(index < size, "permuted_index: {} is not below {}", index, size);
  const int half_bits = (std::bit_width(size - 1) + 1) / 2;
  const uint64_t mask = (uint64_t{1} << half_bits) - 1;
  do {
    uint64_t left = index >> half_bits, right = index & mask;
    for (uint32_t round = 0; round < 6; ++round) {
      const auto words = philox({static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)},
                                {static_cast<uint32_t>(right), 0, round, 0});
      left ^= words[0] & mask;
      std::swap(left, right);
    }
    index = left << half_bits | right;
  } while (index >= size);
  return index;
}

Loader::Loader(std::span<const uint16_t> tokens, int64_t batch_size, int64_t context, LoaderState state,
               const std::vector<bool>* counted)
    : tokens_(tokens), batch_size_(batch_size), context_(context), state_(state), counted_(counted) {
  check_sizes(tokens, batch_size, context, context + 1);
  check(state.epoch >= 0 && state.position >= 0, "loader: epoch {} and position {} must not be negative",
        state.epoch, state.position);
  check(state.position <= windows_in_epoch(),
        "loader: position {} is past the {} windows of the epoch; was the state saved with other data or "
        "another context?",
        state.position, windows_in_epoch());
}

int64_t Loader::offset() const {
  const auto offsets =
      std::min(context_, static_cast<int64_t>(tokens_.size()) - context_);  // at least one window is left
  Random random{state_.seed, offset_draw + static_cast<uint64_t>(state_.epoch)};
  return static_cast<int64_t>(random.below(static_cast<uint64_t>(offsets)));
}

int64_t Loader::windows_in_epoch() const {
  return (static_cast<int64_t>(tokens_.size()) - 1 - offset()) / context_;
}

// Where the next window begins; moves the state past it.
int64_t Loader::next_window() {
  if (state_.position == windows_in_epoch()) {
    ++state_.epoch;
    state_.position = 0;
  }
  const auto words = philox(state_.seed, permutation_draw + static_cast<uint64_t>(state_.epoch));
  const uint64_t key = uint64_t{words[0]} << 32 | words[1];
  const uint64_t window = permuted_index(static_cast<uint64_t>(state_.position++),
                                         static_cast<uint64_t>(windows_in_epoch()), key);
  return offset() + static_cast<int64_t>(window) * context_;
}

void Loader::next(std::span<int32_t> inputs, std::span<int32_t> targets) {
  check_batch(inputs, targets, batch_size_, context_);
  for (int64_t row = 0; row < batch_size_; ++row) {
    const uint16_t* window = tokens_.data() + next_window();
    std::copy_n(window, context_, inputs.data() + row * context_);
    std::copy_n(window + 1, context_, targets.data() + row * context_);
    ignore(counted_, window + 1 - tokens_.data(), targets.subspan(row * context_, context_));
  }
}

void Loader::skip(int64_t batches) {
  for (int64_t window = 0; window < batches * batch_size_; ++window) next_window();
}

void TokenIds::copy(int64_t begin, int64_t count, int32_t* to) const {
  if (wide_.empty())
    std::copy_n(narrow_.begin() + begin, count, to);
  else
    std::copy_n(wide_.begin() + begin, count, to);
}

EvaluationLoader::EvaluationLoader(TokenIds tokens, int64_t batch_size, int64_t context, int64_t stride,
                                   const std::vector<bool>* counted)
    : tokens_(tokens),
      batch_size_(batch_size),
      context_(context),
      stride_(stride == 0 ? context : stride),
      counted_(counted) {
  check_sizes(tokens, batch_size, context, 2);
  check(stride >= 0 && stride <= context,
        "loader: windows of {} tokens cannot begin {} apart: some would be passed over", context, stride);
}

int64_t EvaluationLoader::windows() const {
  return 1 + (std::max<int64_t>(0, targets() - context_) + stride_ - 1) / stride_;
}

int64_t EvaluationLoader::batches() const { return (windows() + batch_size_ - 1) / batch_size_; }

int64_t EvaluationLoader::batch(int64_t index, std::span<int32_t> inputs, std::span<int32_t> targets) const {
  check_batch(inputs, targets, batch_size_, context_);
  check(index >= 0 && index < batches(), "loader: batch {} is not among the {} of the evaluation", index,
        batches());
  std::fill(inputs.begin(), inputs.end(), 0);
  std::fill(targets.begin(), targets.end(), ignored_target);
  int64_t counted = 0;
  for (int64_t row = 0; row < batch_size_ && index * batch_size_ + row < windows(); ++row) {
    const int64_t window = index * batch_size_ + row, begin = window * stride_;
    const int64_t length = std::min(context_, this->targets() - begin);
    const int64_t first = window == 0 ? 0 : context_ - stride_;  // the targets before were the last window's
    tokens_.copy(begin, length, inputs.data() + row * context_);
    tokens_.copy(begin + first + 1, length - first, targets.data() + row * context_ + first);
    counted += length - first -
               ignore(counted_, begin + first + 1, targets.subspan(row * context_ + first, length - first));
  }
  return counted;
}

}  // namespace chapbook
