// The memory that kernels may touch, and for each word of it a Cell: what was last done to it, by whom and
// when.
#pragma once
#include <cstddef>
#include <cstdint>

namespace chapbook::simt {

// Who: a thread of the block, or several of which one cannot tell any more.
constexpr unsigned several_lanes = 1024;  // of a warp: this plus the warp
constexpr unsigned several_warps = 2047, atomics = 2046;

// One word of 4 bytes. `bytes` are those of the last access, one bit each; ticks are those of order.h.
struct Cell {
  struct {
    uint64_t tick : 44, thread : 12, bytes : 4;
    uint64_t written : 4;  // the bytes that hold something, since the memory was handed out
  } write;
  struct {
    uint64_t tick : 43, thread : 12, bytes : 4;
    uint64_t also_elsewhere : 1;  // another block read it too
    uint64_t valid : 4;           // the bytes that may be touched
  } read;
  uint32_t write_line, read_line;  // code addresses, counted from that of the program
};

// Addresses with their cells. Memory is real only once it is touched.
class Memory {
 public:
  explicit Memory(size_t bytes);  // throws std::bad_alloc
  Memory(const Memory&) = delete;

  char* begin() const { return data_; }
  bool holds(const void* address) const { return offset(address) < bytes_; }
  size_t offset(const void* address) const {
    return static_cast<size_t>(static_cast<const char*>(address) - data_);
  }
  Cell& cell(const void* address) const { return cells_[offset(address) / 4]; }

  void open(const void* address, size_t bytes);         // may be touched from now on, and holds nothing yet
  void close(const void* address, size_t bytes);        // may not be touched any more
  void set_written(const void* address, size_t bytes);  // by the host
  void set_unwritten(const void* address, size_t bytes);

 private:
  char* data_;
  Cell* cells_;
  size_t bytes_;
};

// The bits of a word's bytes that lie in [address, address + bytes).
inline unsigned bytes_of_word(uintptr_t word, uintptr_t address, size_t bytes) {
  unsigned bits = 0xf;
  if (address > word) bits &= 0xf << (address - word);
  if (address + bytes < word + 4) bits &= 0xf >> (word + 4 - address - bytes);
  return bits & 0xf;
}

// Global memory: where the blocks of the backend lie. A hole follows each block, so that a stray access hits
// nothing.
Memory& global_memory();
void* allocate_global(size_t bytes);  // throws std::bad_alloc
void release_global(void* block) noexcept;
void hand_out(void* block, size_t bytes);  // so much of it may be touched from now on, and it holds nothing
struct GlobalBlock {
  char* begin = nullptr;
  size_t bytes = 0;  // handed out; 0: given back
};
GlobalBlock global_block(
    const void* address);  // the one it lies in or behind; begin is null if there is none

}  // namespace chapbook::simt
