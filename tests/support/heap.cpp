#include "tests/support/heap.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>

namespace chapbook {

static std::atomic<bool> counting{false};
static std::atomic<size_t> calls_seen{0}, bytes_seen{0};

[[maybe_unused]] static void count(size_t bytes) {  // by the functions below, where they are
  if (!counting.load(std::memory_order_relaxed)) return;
  calls_seen.fetch_add(1, std::memory_order_relaxed);
  bytes_seen = bytes;
}

HeapCount::HeapCount() {
  calls_seen = 0;
  counting = true;
}
HeapCount::~HeapCount() { counting = false; }
size_t HeapCount::calls() const { return calls_seen; }
size_t HeapCount::last_bytes() const { return bytes_seen; }

#if defined(__GLIBC__) && !defined(CHAPBOOK_SANITIZE)
bool heap_is_counted() { return true; }
#else
bool heap_is_counted() { return false; }
#endif

}  // namespace chapbook

#if defined(__GLIBC__) && !defined(CHAPBOOK_SANITIZE)

// A program may bring its own malloc; this one counts and calls glibc's. operator new ends here too.
extern "C" {

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) {
  chapbook::count(bytes);
  return __libc_malloc(bytes);
}

void* calloc(size_t count, size_t bytes) {
  chapbook::count(count * bytes);
  return __libc_calloc(count, bytes);
}

void* realloc(void* block, size_t bytes) {
  chapbook::count(bytes);
  return __libc_realloc(block, bytes);
}

void* memalign(size_t alignment, size_t bytes) {
  chapbook::count(bytes);
  return __libc_memalign(alignment, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void** block, size_t alignment, size_t bytes) {
  *block = memalign(alignment, bytes);
  return *block ? 0 : ENOMEM;
}

}  // extern "C"

#endif
