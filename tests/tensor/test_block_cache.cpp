// What happens to blocks when memory ends, and when recorded work keeps them for itself.
#include <doctest/doctest.h>

#include <set>

#include "tensor/reference/reference_backend.h"
#include "tensor/tensor.h"

namespace chapbook {

// A backend with little memory, which counts what it has given away.
class SmallBackend final : public ReferenceBackend {
 public:
  explicit SmallBackend(size_t bytes) : left_(bytes) {}
  ~SmallBackend() override { blocks().trim(); }
  std::string_view name() const override { return "small"; }
  void* allocate(size_t bytes) override {
    if (bytes > left_) throw std::bad_alloc();
    left_ -= bytes;
    void* block = ReferenceBackend::allocate(bytes);
    size_of_[block] = bytes;
    return block;
  }
  void release(void* block) noexcept override {
    left_ += size_of_.at(block);
    size_of_.erase(block);
    ReferenceBackend::release(block);
  }
  size_t left() const { return left_; }

 private:
  size_t left_;
  std::map<void*, size_t> size_of_;
};

TEST_CASE(
    "memory: kept blocks are freed for others, and then the error says what was asked and what is in use") {
  SmallBackend small(1 << 20);
  BlockCache& blocks = small.blocks();
  void* live = blocks.take(256 << 10);
  blocks.give_back(blocks.take(512 << 10), 512 << 10);
  // 768 KB fit only where the 512 KB were.
  void* large = blocks.take(768 << 10);
  CHECK(small.left() == 0);
  CHECK_THROWS_WITH_AS(blocks.take(1 << 20),
                       "small: no memory for 1.0 MB more; 1.0 MB are in use. A smaller batch or context, or "
                       "recompute, needs less",
                       Error);
  CHECK(blocks.live_bytes() == 1 << 20);  // what did not come is not counted
  blocks.give_back(large, 768 << 10);
  blocks.give_back(blocks.take(700 << 10), 700 << 10);  // and what there was is still there
  blocks.give_back(live, 256 << 10);
  blocks.trim();
  CHECK(small.left() == 1 << 20);
}

#ifndef CHAPBOOK_SANITIZE  // there, free blocks are not kept
TEST_CASE("memory: blocks of recorded work serve no one else until it is dropped") {
  SmallBackend small(1 << 20);
  BlockCache& blocks = small.blocks();
  void* const before = blocks.take(4096);
  void* const kept = blocks.take(4096);
  blocks.give_back(kept, 4096);

  const int reserve = blocks.begin_reserve();
  void* const recorded = blocks.take(4096);
  CHECK(recorded == kept);         // what was free is used first
  blocks.give_back(before, 4096);  // not of the reserve: it was taken before
  void* const held = blocks.take(8192);
  blocks.give_back(recorded, 4096);
  CHECK(blocks.take(4096) == recorded);  // again and again, inside
  blocks.give_back(recorded, 4096);
  blocks.end_reserve();

  void* const other = blocks.take(4096);
  CHECK(other == before);
  void* const another = blocks.take(4096);
  CHECK(another != recorded);
  blocks.give_back(held, 8192);  // a tensor that outlived the recording
  void* const large = blocks.take(8192);
  CHECK(large != held);
  const size_t left = small.left();
  blocks.trim();
  CHECK(small.left() == left);  // nothing was free

  blocks.drop_reserve(reserve);
  CHECK(blocks.take(4096) == recorded);
  CHECK(blocks.take(8192) == held);
  for (void* block : {other, another, recorded}) blocks.give_back(block, 4096);
  for (void* block : {large, held}) blocks.give_back(block, 8192);
  CHECK(blocks.live_bytes() == 0);
  blocks.trim();
  CHECK(small.left() == 1 << 20);
}
#endif

}  // namespace chapbook
