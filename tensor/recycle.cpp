#include "tensor/recycle.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>

namespace chapbook {

#ifdef CHAPBOOK_SANITIZE  // so that a sanitizer sees every use after free

void* take_recycled(size_t bytes) { return ::operator new(bytes); }
void recycle(void* block, size_t) noexcept { ::operator delete(block); }

#else

namespace {

// Free blocks of each power of two, as lists that run through the blocks themselves. One for all threads: a
// block may be given back by another thread than took it, and a step takes too few for the lock to be felt.
struct Lists {
  struct Free {
    Free* next;
  };
  std::mutex mutex;
  Free* free[64] = {};
};

// Never destroyed: what static objects hold is given back after the end of main.
Lists& lists() {
  static Lists& all = *new Lists;
  return all;
}

int power_of(size_t bytes) { return std::bit_width(std::max<size_t>(bytes, 32) - 1); }

// What is larger is no small thing, as all numbers of a tensor on their way to a device, and goes back.
constexpr size_t largest = 1 << 20;

}  // namespace

void* take_recycled(size_t bytes) {
  if (bytes > largest) return ::operator new(bytes);
  const int power = power_of(bytes);
  {
    Lists& all = lists();
    std::lock_guard lock(all.mutex);
    if (Lists::Free* block = all.free[power]) {
      all.free[power] = block->next;
      return block;
    }
  }
  return ::operator new (size_t{1} << power);
}

void recycle(void* block, size_t bytes) noexcept {
  if (bytes > largest) return ::operator delete(block);
  Lists& all = lists();
  std::lock_guard lock(all.mutex);
  Lists::Free*& first = all.free[power_of(bytes)];
  first = new (block) Lists::Free{first};
}

#endif

}  // namespace chapbook
