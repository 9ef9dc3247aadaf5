// BlockCache: keeps freed blocks for the next request of the same size, since a training step asks for the
// same sizes every time and fresh memory is slow to touch. Counts the bytes in use.
#pragma once
#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

namespace chapbook {

class Backend;

class BlockCache {
 public:
  explicit BlockCache(Backend& backend) : backend_(backend) {}

  void* take(size_t bytes);  // throws Error with the sizes when there is no memory left
  void give_back(void* block, size_t bytes) noexcept;
  void trim() noexcept;  // returns the free blocks to the system

  size_t live_bytes() const { return live_; }
  size_t peak_bytes() const { return peak_; }
  void reset_peak() { peak_ = live_; }

  // The size of the block that serves a request: at most an eighth more, so that similar requests share
  // blocks.
  static size_t rounded(size_t bytes);

 private:
  Backend& backend_;
  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;  // by rounded size
  size_t live_ = 0, peak_ = 0;
};

}  // namespace chapbook
