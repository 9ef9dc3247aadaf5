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

void* BlockCache::take(size_t bytes) {
  bytes = rounded(bytes);
  std::lock_guard lock(mutex_);
  void* block = nullptr;
  if (auto found = free_.find(bytes); found != free_.end() && !found->second.empty()) {
    block = found->second.back();
    found->second.pop_back();
  } else {
    try {
      block = backend_.allocate(bytes);
    } catch (const std::bad_alloc&) {
      fail("{}: no memory for {:.1f} MB more; {:.1f} MB are in use. A smaller batch or context needs less",
           backend_.name(), bytes / 1e6, live_ / 1e6);
    }
  }
  live_ += bytes;
  peak_ = std::max(peak_, live_);
  return block;
}

void BlockCache::give_back(void* block, size_t bytes) noexcept {
  bytes = rounded(bytes);
  std::lock_guard lock(mutex_);
  live_ -= bytes;
#ifdef CHAPBOOK_SANITIZE
  backend_.release(block);  // so that a sanitizer sees every use after free
#else
  free_[bytes].push_back(block);
#endif
}

void BlockCache::trim() noexcept {
  std::lock_guard lock(mutex_);
  for (auto& [bytes, list] : free_)
    for (void* block : list) backend_.release(block);
  free_.clear();
}

}  // namespace chapbook
