#include "tensor/os/system.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <cstdlib>

namespace chapbook::os {

// Those that are on are more than those that taskset or a container leaves us.
unsigned processors() {
#ifdef __linux__
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) return static_cast<unsigned>(CPU_COUNT(&mask));
#endif
  return 0;
}

unsigned processors_of_machine() { return static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN)); }

int64_t process_id() { return ::getpid(); }

// Blocks of several MiB ask for pages of 2 MiB: the processor keeps the addresses of few pages at hand, and
// every first touch of one costs a call into the system.
void* allocate(size_t bytes) {
  constexpr size_t line = 64, page = 2 << 20;
  const size_t alignment = bytes < page ? line : page;
  void* block = nullptr;  // not by aligned_alloc, whose sizes are multiples of the alignment
  if (::posix_memalign(&block, alignment, bytes) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
  if (alignment == page) ::madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}
void release(void* block) noexcept { std::free(block); }

bool is_terminal() { return ::isatty(STDERR_FILENO) != 0; }

int terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::filesystem::path program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error);
}

Loaded load(const std::filesystem::path& library, const char* function) {
  void* const opened = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!opened) return {.reason = ::dlerror()};  // names the library that is missing
  void* const found = ::dlsym(opened, function);
  if (!found) return {.reason = ::dlerror()};
  return {opened, found};
}

std::string name() {
  utsname system{};
  ::uname(&system);
  return fmt::format("{} {} on {}", system.sysname, system.release, system.machine);
}

double memory_bytes() {
  return static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

#ifdef _SC_LEVEL2_CACHE_SIZE
int64_t second_cache_bytes() { return std::max(0l, ::sysconf(_SC_LEVEL2_CACHE_SIZE)); }
int64_t last_cache_bytes() { return std::max(0l, ::sysconf(_SC_LEVEL3_CACHE_SIZE)); }
#else
int64_t second_cache_bytes() { return 0; }
int64_t last_cache_bytes() { return 0; }
#endif

// arch_prctl, ARCH_REQ_XCOMP_PERM of tile data.
bool grants_tiles() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr long request = 0x1023, tile_data = 18;
  return ::syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
  return false;
#endif
}

}  // namespace chapbook::os
