// A hash table from a pair of token ids to a number, made for the inner loops of BPE: open addressing, no
// removal. It cannot be iterated, so its order can never reach a result.
#pragma once
#include <cstdint>
#include <limits>
#include <vector>

namespace chapbook {

class PairMap {
 public:
  static constexpr uint32_t none = std::numeric_limits<uint32_t>::max();

  // Pairs compare like their keys: first by left, then by right.
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  // The pair's number, or none.
  uint32_t find(int32_t left, int32_t right) const { return slots_[slot_of(key(left, right))].number; }

  // The pair's number, which becomes `number` if the pair was not there.
  uint32_t insert(int32_t left, int32_t right, uint32_t number) {
    if (2 * (used_ + 1) > slots_.size()) grow();
    Slot& slot = slots_[slot_of(key(left, right))];
    if (slot.number == none) {
      slot = {key(left, right), number};
      ++used_;
    }
    return slot.number;
  }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t number = none;  // none: the slot is empty
  };

  // The slot that holds the key, or the empty one where it would go. At most half of the slots are in use.
  size_t slot_of(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = (key * 0x9E3779B97F4A7C15u >> 32) & mask;
    while (slots_[slot].number != none && slots_[slot].key != key) slot = (slot + 1) & mask;
    return slot;
  }

  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.number != none) slots_[slot_of(slot.key)] = slot;
    }
  }

  std::vector<Slot> slots_ = std::vector<Slot>(1024);
  size_t used_ = 0;
};

}  // namespace chapbook
