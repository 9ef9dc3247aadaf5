// A stack is entered once, with makecontext; from then on _setjmp and _longjmp switch, which unlike
// swapcontext do not call the system. The C library's check that a jump leads up the stack would forbid that.
#undef _FORTIFY_SOURCE
#include "tensor/simt/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <new>

namespace chapbook::simt {

// What a new fiber finds when it is entered.
static struct {
  ucontext_t creator;
  jmp_buf* context;
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
  birth.context = &context_;
  birth.body = body;
  swapcontext(&birth.creator, &start);
}

Fiber::~Fiber() {
  if (low_) munmap(low_ - guard, guard + stack_bytes);
}

void Fiber::enter() {
  const auto body = birth.body;
  if (_setjmp(*birth.context) == 0) setcontext(&birth.creator);
  body();
}

void Fiber::jump(Fiber& from, Fiber& to) {
  if (_setjmp(from.context_) == 0) _longjmp(to.context_, 1);
}

}  // namespace chapbook::simt
