// Counts what a program takes from the heap, on all threads, whoever asks: operator new, malloc, a library.
#pragma once
#include <cstddef>

namespace chapbook {

// Whether calls can be counted here: glibc without a sanitizer, which has a heap of its own.
bool heap_is_counted();

// Counts while it lives; one at a time.
class HeapCount {
 public:
  HeapCount();
  ~HeapCount();
  HeapCount(const HeapCount&) = delete;
  size_t calls() const;
  size_t last_bytes() const;  // of the last call: a hint whose it was
};

}  // namespace chapbook
