// What -fsanitize=thread makes the compiler call: at each access to memory, and for each atomic operation.
// The host's code in the kernels' files calls it too, outside of any launch.
#include <cstring>

#include "tensor/simt/block.h"
#include "tensor/simt/watch.h"

using chapbook::simt::Access;

static inline void access(Access kind, const void* address, size_t bytes, size_t alignment,
                          const void* from) {
  using namespace chapbook::simt;
  if (watching && !block.fiber().holds(address)) watch(kind, address, bytes, alignment, from);
}

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

#define CHAPBOOK_HOOK(name, kind, bytes, alignment)                               \
  void __tsan_##name##bytes(void* address) {                                      \
    access(Access::kind, address, bytes, alignment, __builtin_return_address(0)); \
  }
#define CHAPBOOK_HOOKS(bytes)                        \
  CHAPBOOK_HOOK(read, read, bytes, bytes)            \
  CHAPBOOK_HOOK(write, write, bytes, bytes)          \
  CHAPBOOK_HOOK(volatile_read, read, bytes, bytes)   \
  CHAPBOOK_HOOK(volatile_write, write, bytes, bytes) \
  CHAPBOOK_HOOK(unaligned_read, read, bytes, 1)      \
  CHAPBOOK_HOOK(unaligned_write, write, bytes, 1)
CHAPBOOK_HOOKS(1)
CHAPBOOK_HOOKS(2)
CHAPBOOK_HOOKS(4)
CHAPBOOK_HOOKS(8)
CHAPBOOK_HOOKS(16)
void __tsan_read_range(void* address, unsigned long bytes) {
  access(Access::read, address, bytes, 1, __builtin_return_address(0));
}
void __tsan_write_range(void* address, unsigned long bytes) {
  access(Access::write, address, bytes, 1, __builtin_return_address(0));
}

// clang's, for what is copied or set as a whole.
void* __tsan_memmove(void* to, const void* from, unsigned long bytes) {
  access(Access::read, from, bytes, 1, __builtin_return_address(0));
  access(Access::write, to, bytes, 1, __builtin_return_address(0));
  return std::memmove(to, from, bytes);
}
void* __tsan_memcpy(void* to, const void* from, unsigned long bytes) {
  access(Access::read, from, bytes, 1, __builtin_return_address(0));
  access(Access::write, to, bytes, 1, __builtin_return_address(0));
  return std::memcpy(to, from, bytes);
}
void* __tsan_memset(void* to, int value, unsigned long bytes) {
  access(Access::write, to, bytes, 1, __builtin_return_address(0));
  return std::memset(to, value, bytes);
}

// The host's own (a kernel's are in words.h). Every order is served by the strictest.
#define CHAPBOOK_CHANGE(bits, name)                                                        \
  uint##bits##_t __tsan_atomic##bits##_##name(volatile void* a, uint##bits##_t v, int) {   \
    return __atomic_##name(static_cast<volatile uint##bits##_t*>(a), v, __ATOMIC_SEQ_CST); \
  }
#define CHAPBOOK_ATOMICS(bits)                                                                             \
  uint##bits##_t __tsan_atomic##bits##_load(const volatile void* a, int) {                                 \
    return __atomic_load_n(static_cast<const volatile uint##bits##_t*>(a), __ATOMIC_SEQ_CST);              \
  }                                                                                                        \
  void __tsan_atomic##bits##_store(volatile void* a, uint##bits##_t v, int) {                              \
    __atomic_store_n(static_cast<volatile uint##bits##_t*>(a), v, __ATOMIC_SEQ_CST);                       \
  }                                                                                                        \
  uint##bits##_t __tsan_atomic##bits##_exchange(volatile void* a, uint##bits##_t v, int) {                 \
    return __atomic_exchange_n(static_cast<volatile uint##bits##_t*>(a), v, __ATOMIC_SEQ_CST);             \
  }                                                                                                        \
  bool __tsan_atomic##bits##_compare_exchange_strong(volatile void* a, void* expected, uint##bits##_t v,   \
                                                     int, int) {                                           \
    return __atomic_compare_exchange_n(static_cast<volatile uint##bits##_t*>(a),                           \
                                       static_cast<uint##bits##_t*>(expected), v, false, __ATOMIC_SEQ_CST, \
                                       __ATOMIC_SEQ_CST);                                                  \
  }                                                                                                        \
  bool __tsan_atomic##bits##_compare_exchange_weak(volatile void* a, void* expected, uint##bits##_t v,     \
                                                   int order, int other) {                                 \
    return __tsan_atomic##bits##_compare_exchange_strong(a, expected, v, order, other);                    \
  }                                                                                                        \
  CHAPBOOK_CHANGE(bits, fetch_add)                                                                         \
  CHAPBOOK_CHANGE(bits, fetch_sub)                                                                         \
  CHAPBOOK_CHANGE(bits, fetch_and)                                                                         \
  CHAPBOOK_CHANGE(bits, fetch_or)                                                                          \
  CHAPBOOK_CHANGE(bits, fetch_xor)
CHAPBOOK_ATOMICS(8)
CHAPBOOK_ATOMICS(16)
CHAPBOOK_ATOMICS(32)
CHAPBOOK_ATOMICS(64)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

}  // extern "C"
