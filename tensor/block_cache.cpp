#include "tensor/block_cache.h"

#include <algorithm>
#include <bit>
#include <new>

#include "tensor/backend.h"

namespace chapbook {

size_t BlockCache::rounded(size_t bytes) {
  if (bytes <= 512) return std::max<size_t>(64, (bytes + 63) / 64 * 64);
  const size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

void* BlockCache::pop(FreeBlocks& blocks, size_t bytes) {
  const auto found = blocks.find(bytes);
  if (found == blocks.end() || found->second.empty()) return nullptr;
  void* block = found->second.back();
  found->second.pop_back();
  return block;
}

void* BlockCache::allocate(size_t bytes) {
  try {
    return backend_.allocate(bytes);
  } catch (const std::bad_alloc&) {
    release_free();  // blocks of other sizes
  }
  try {
    return backend_.allocate(bytes);
  } catch (const std::bad_alloc&) {
    fail(
        "{}: no memory for {:.1f} MB more; {:.1f} MB are in use. A smaller batch or context, or recompute, "
        "needs less",
        backend_.name(), bytes / 1e6, live_ / 1e6);
  }
}

void* BlockCache::take(size_t wanted) {
  const size_t bytes = rounded(wanted);
  std::lock_guard lock(mutex_);
  void* block = open_ ? pop(reserves_[open_], bytes) : nullptr;
  if (!block) {
    block = pop(free_, bytes);
    if (!block) block = allocate(bytes);
    if (open_) reserve_of_[block] = open_;
  }
  live_ += bytes;
  peak_ = std::max(peak_, live_);
  backend_.hand_out(block, wanted);
  return block;
}

void BlockCache::give_back(void* block, size_t bytes) noexcept {
  bytes = rounded(bytes);
  std::lock_guard lock(mutex_);
  live_ -= bytes;
  const auto reserve = reserve_of_.find(block);
  if (reserve != reserve_of_.end()) {
    backend_.hand_out(block, 0);
    reserves_[reserve->second][bytes].push_back(block);
    return;
  }
  if (!open_)
    backend_.hand_out(block, 0);  // else it would be recorded, and done again to what others have then
#ifdef CHAPBOOK_SANITIZE
  backend_.release(block);  // so that a sanitizer sees every use after free
#else
  free_[bytes].push_back(block);
#endif
}

void BlockCache::release_free() noexcept {
  for (auto& [bytes, list] : free_)
    for (void* block : list) backend_.release(block);
  free_.clear();
}

void BlockCache::trim() noexcept {
  std::lock_guard lock(mutex_);
  release_free();
}

int BlockCache::begin_reserve() {
  std::lock_guard lock(mutex_);
  return open_ = ++last_;
}

void BlockCache::end_reserve() {
  std::lock_guard lock(mutex_);
  open_ = 0;
}

void BlockCache::drop_reserve(int number) noexcept {
  std::lock_guard lock(mutex_);
  std::erase_if(reserve_of_, [&](const auto& entry) { return entry.second == number; });
  for (auto& [bytes, list] : reserves_[number])
    for (void* block : list) {
      backend_.hand_out(block, 0);
      free_[bytes].push_back(block);
    }
  reserves_.erase(number);
}

}  // namespace chapbook
