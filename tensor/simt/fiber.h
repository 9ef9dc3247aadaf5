// Fiber: a stack of its own and where to go on with it. Switching costs a few nanoseconds, no system call.
#pragma once
#include <setjmp.h>

#include <cstddef>
#include <memory>

namespace chapbook::simt {

class Fiber {
 public:
  Fiber() = default;  // of the caller: only to be switched from
  // A new stack on which `body` will run, which must not return. `colour` shifts where the stack begins, so
  // that the stacks of many fibers do not all fall into the same lines of the processor's cache.
  Fiber(void (*body)(), size_t colour);
  Fiber(const Fiber&) = delete;
  ~Fiber();

  // Leaves `from`, which is the one running, and goes on with `to`.
  static void jump(Fiber& from, Fiber& to);

  bool holds(const void* address) const {
    return static_cast<size_t>(static_cast<const char*>(address) - low_) < stack_bytes;
  }

  static constexpr size_t stack_bytes = 256 << 10;

 private:
  static void enter();

  // AddressSanitizer wants to know which stack is in use.
  void leave_for(Fiber& to);
  void arrive();

  jmp_buf context_;
  [[maybe_unused]] void* sanitizer_ = nullptr;
  char* low_ = nullptr;  // lowest address of the stack; below it lies a page that may not be touched
};

}  // namespace chapbook::simt
