// BlockCache: keeps freed blocks for the next request of the same size, since a training step asks for the
// same sizes every time and fresh memory is slow to touch. Counts the bytes in use.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace chapbook {

class Backend;

class BlockCache {
 public:
  explicit BlockCache(Backend& backend) : backend_(backend) {}

  // Frees what is kept when the backend has no more; when that is not enough, throws Error with the sizes.
  void* take(size_t wanted);
  void give_back(void* block, size_t bytes) noexcept;
  void trim() noexcept;  // returns the free blocks to the system

  // Work that is recorded to be done again needs its blocks to itself: what is taken between begin_reserve(),
  // which gives the reserve's number, and end_reserve() serves no one else, also when it has been given back,
  // until drop_reserve().
  int begin_reserve();
  void end_reserve();
  void drop_reserve(int number) noexcept;

  size_t live_bytes() const { return live_; }
  size_t peak_bytes() const { return peak_; }
  void reset_peak() { peak_ = live_; }

  // The size of the block that serves a request: at most an eighth more, so that similar requests share
  // blocks.
  static size_t rounded(size_t bytes);

 private:
  using FreeBlocks = std::map<size_t, std::vector<void*>>;  // by rounded size
  static void* pop(FreeBlocks& blocks, size_t bytes);
  void* allocate(size_t bytes);
  void release_free() noexcept;

  Backend& backend_;
  std::mutex mutex_;
  FreeBlocks free_;
  std::map<int, FreeBlocks> reserves_;
  std::unordered_map<void*, int> reserve_of_;  // of the blocks that are in one
  int open_ = 0, last_ = 0;                    // reserves by number; 0: none
  size_t live_ = 0, peak_ = 0;
};

// `count` numbers for the length of a call, on whatever backend the cache is of. They go back at once when it
// ends: on a device, whoever takes them next comes later on the same stream.
template <class T>
class Scratch {
 public:
  Scratch(BlockCache& cache, int64_t count)
      : cache_(&cache), bytes_(static_cast<size_t>(count) * sizeof(T)), data_(cache.take(bytes_)) {}
  Scratch(Scratch&& other) noexcept
      : cache_(other.cache_), bytes_(other.bytes_), data_(std::exchange(other.data_, nullptr)) {}
  ~Scratch() {
    if (data_) cache_->give_back(data_, bytes_);
  }
  T* data() const { return static_cast<T*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  BlockCache* cache_;
  size_t bytes_;
  void* data_;
};

}  // namespace chapbook
