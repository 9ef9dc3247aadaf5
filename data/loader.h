// Loaders cut tokens into batches for a language model: B rows of T inputs, and as targets the tokens that
// follow each of them. Which tokens a batch holds depends on (seed, position) alone: nothing is shuffled in
// memory, so a position is three numbers, and a run that is resumed sees the very batches it would have seen.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace chapbook {

inline constexpr int32_t ignored_target = -100;  // marks a target that does not count in the loss

// Where a loader is: what a checkpoint saves.
struct LoaderState {
  uint64_t seed = 0;
  int64_t epoch = 0;
  int64_t position = 0;  // windows taken, in this epoch

  bool operator==(const LoaderState&) const = default;
};

// An endless stream of training batches.
//
// An epoch visits every window once, in random order: the tokens are cut into windows of T, from a random
// offset below T that differs between epochs. The tokens before the offset and after the last whole window,
// fewer than 2 T, wait for another epoch. A batch may begin in one epoch and end in the next.
class Loader {
 public:
  // The tokens must outlive the loader. Throws Error unless there are at least context + 1 of them. Of tokens
  // that are not `counted`, where that is told (see answers.h), the targets are ignored.
  Loader(std::span<const uint16_t> tokens, int64_t batch_size, int64_t context, LoaderState state,
         const std::vector<bool>* counted = nullptr);

  // Fills the next batch; inputs and targets: (B, T), row by row.
  void next(std::span<int32_t> inputs, std::span<int32_t> targets);

  void skip(int64_t batches);  // as if they had been taken

  const LoaderState& state() const { return state_; }

  int64_t windows_in_epoch() const;  // how many windows the present epoch has; changes by at most one

 private:
  int64_t offset() const;
  int64_t next_window();

  std::span<const uint16_t> tokens_;
  int64_t batch_size_, context_;
  LoaderState state_;
  const std::vector<bool>* counted_;
};

// Ids where they lie: 16 bits wide, as in token files, or 32, as a tokenizer gives them.
class TokenIds {
 public:
  TokenIds(std::span<const uint16_t> ids) : narrow_(ids) {}
  TokenIds(std::span<const int32_t> ids) : wide_(ids) {}
  TokenIds(const std::vector<uint16_t>& ids) : narrow_(ids) {}
  TokenIds(const std::vector<int32_t>& ids) : wide_(ids) {}
  int64_t size() const { return static_cast<int64_t>(narrow_.size() + wide_.size()); }  // one is empty
  void copy(int64_t begin, int64_t count, int32_t* to) const;

 private:
  std::span<const uint16_t> narrow_;
  std::span<const int32_t> wide_;
};

// The batches of an evaluation: windows that begin `stride` tokens apart, so that each token but the first,
// which follows nothing, is a target exactly once. With a stride of the context (0 means that) windows lie
// side by side, and the first tokens of each are predicted from little; with a shorter one each target has at
// least context - stride tokens before it, but those of the first window. What is left of the last batch is
// padded with input 0 and ignored targets.
class EvaluationLoader {
 public:
  // The tokens must outlive the loader. Throws Error unless there are at least 2 of them. `counted` as above.
  EvaluationLoader(TokenIds tokens, int64_t batch_size, int64_t context, int64_t stride = 0,
                   const std::vector<bool>* counted = nullptr);

  int64_t batches() const;

  // Fills batch `index` (0 .. batches() - 1); inputs and targets: (B, T). Returns how many targets count.
  int64_t batch(int64_t index, std::span<int32_t> inputs, std::span<int32_t> targets) const;

 private:
  int64_t windows() const;
  int64_t targets() const { return tokens_.size() - 1; }  // that count, in all batches

  TokenIds tokens_;
  int64_t batch_size_, context_, stride_;
  const std::vector<bool>* counted_;
};

// Where `index` goes in a random permutation of 0 .. size - 1 that belongs to the key, computed without a
// table: a Feistel network permutes the next power of 4, and an index that lands outside goes through it
// again until it lands inside (cycle walking; Black and Rogaway, "Ciphers with arbitrary finite domains",
// 2002).
uint64_t permuted_index(uint64_t index, uint64_t size, uint64_t key);

}  // namespace chapbook
