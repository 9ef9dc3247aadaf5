// A stack is entered once, with makecontext; from then on _setjmp and _longjmp switch, which unlike
// swapcontext do not call the system. The C library's check that a jump leads up the stack would forbid that.
#undef _FORTIFY_SOURCE
#include "tensor/simt/fiber.h"

#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>
#ifdef __has_feature  // clang's way to say it
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#include <new>

namespace chapbook::simt {

// What a new fiber finds when it is entered.
static struct {
  ucontext_t creator;
  Fiber* fiber;
  void (*body)();
} birth;

static constexpr size_t guard = 4096;

Fiber::Fiber(void (*body)(), size_t colour) {
  void* pages = mmap(nullptr, guard + stack_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  mprotect(pages, guard, PROT_NONE);
  low_ = static_cast<char*>(pages) + guard;

  ucontext_t start;
  getcontext(&start);
  start.uc_stack.ss_sp = low_;
  start.uc_stack.ss_size = stack_bytes - colour % 61 * 1088;
  start.uc_link = nullptr;
  makecontext(&start, &Fiber::enter, 0);
  birth.fiber = this;
  birth.body = body;
  swapcontext(&birth.creator, &start);
}

Fiber::~Fiber() {
  if (!low_) return;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(low_, stack_bytes);
#endif
  munmap(low_ - guard, guard + stack_bytes);
}

void Fiber::enter() {
  Fiber& self = *birth.fiber;
  const auto body = birth.body;
  if (_setjmp(self.context_) == 0) setcontext(&birth.creator);
  self.arrive();
  body();
}

void Fiber::jump(Fiber& from, Fiber& to) {
  from.leave_for(to);
  if (_setjmp(from.context_) == 0) _longjmp(to.context_, 1);
  from.arrive();
}

#ifdef __SANITIZE_ADDRESS__
void Fiber::leave_for(Fiber& to) {
  static thread_local struct {
    void* low = nullptr;
    size_t bytes = 0;
  } own;  // the stack of this host thread
  if (!to.low_ && !own.low) {
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &own.low, &own.bytes);
    pthread_attr_destroy(&attributes);
  }
  __sanitizer_start_switch_fiber(&sanitizer_, to.low_ ? to.low_ : own.low, to.low_ ? stack_bytes : own.bytes);
}
void Fiber::arrive() { __sanitizer_finish_switch_fiber(sanitizer_, nullptr, nullptr); }
#else
void Fiber::leave_for(Fiber&) {}
void Fiber::arrive() {}
#endif

}  // namespace chapbook::simt
