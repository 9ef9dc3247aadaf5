#include "tensor/simt/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <vector>

namespace chapbook::simt {

static void* reserve(size_t bytes) {
  void* addresses =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (addresses == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_NOHUGEPAGE
  madvise(addresses, bytes, MADV_NOHUGEPAGE);  // most of it stays untouched
#endif
  return addresses;
}

Memory::Memory(size_t bytes)
    : data_(static_cast<char*>(reserve(bytes))),
      cells_(static_cast<Cell*>(reserve(bytes / 4 * sizeof(Cell)))),
      bytes_(bytes) {}

// Calls f(cell, bits of its bytes) for each word of a stretch.
template <class F>
static void each_word(const Memory& memory, const void* address, size_t bytes, F f) {
  const auto begin = reinterpret_cast<uintptr_t>(address);
  for (uintptr_t word = begin & ~uintptr_t{3}; word < begin + bytes; word += 4)
    f(memory.cell(reinterpret_cast<const void*>(word)), bytes_of_word(word, begin, bytes));
}

void Memory::open(const void* address, size_t bytes) {
  each_word(*this, address, bytes, [](Cell& cell, unsigned bits) {
    cell = {};
    cell.read.valid = bits & 0xf;
  });
}

void Memory::close(const void* address, size_t bytes) {
  each_word(*this, address, bytes, [](Cell& cell, unsigned) { cell = {}; });
}

void Memory::set_written(const void* address, size_t bytes) {
  each_word(*this, address, bytes, [](Cell& cell, unsigned bits) { cell.write.written |= bits & 0xf; });
}

constexpr size_t global_bytes = size_t{64} << 30;
void Memory::set_unwritten(const void* address, size_t bytes) {
  each_word(*this, address, bytes, [](Cell& cell, unsigned bits) { cell.write.written &= ~bits & 0xf; });
}

Memory& global_memory() {
  static Memory& memory = *new Memory(global_bytes);
  return memory;
}

// Blocks by where they begin. Released ones wait in `free` for a request of their size.
struct Entry {
  size_t capacity, handed_out;
};
static std::mutex mutex;
static std::map<char*, Entry> blocks;
static std::map<size_t, std::vector<char*>> free_blocks;
static size_t used = 0;

void* allocate_global(size_t bytes) {
  constexpr size_t alignment = 256, widest_hole = 1 << 20;
  const size_t capacity = std::max(alignment, (bytes + alignment - 1) / alignment * alignment);
  std::lock_guard lock(mutex);
  char* block;
  if (auto& of_size = free_blocks[capacity]; !of_size.empty()) {
    block = of_size.back();
    of_size.pop_back();
  } else {
    const size_t room = capacity + std::min(capacity, widest_hole);
    if (used + room > global_bytes) throw std::bad_alloc();
    block = global_memory().begin() + used;
    used += room;
  }
  blocks[block] = {capacity, bytes};
  global_memory().open(block, bytes);
  return block;
}

void release_global(void* block) noexcept {
  std::lock_guard lock(mutex);
  const auto found = blocks.find(static_cast<char*>(block));
  global_memory().close(block, found->second.handed_out);
  free_blocks[found->second.capacity].push_back(found->first);
  found->second.handed_out = 0;
}

void hand_out(void* block, size_t bytes) {
  std::lock_guard lock(mutex);
  Entry& entry = blocks.at(static_cast<char*>(block));
  if (entry.handed_out > bytes) global_memory().close(block, entry.handed_out);
  global_memory().open(block, bytes);
  entry.handed_out = bytes;
}

GlobalBlock global_block(const void* address) {
  std::lock_guard lock(mutex);
  auto after = blocks.upper_bound(const_cast<char*>(static_cast<const char*>(address)));
  if (after == blocks.begin()) return {nullptr, 0};
  --after;
  return {after->first, after->second.handed_out};
}

}  // namespace chapbook::simt
