#include <new>
#include <random>

#include "tensor/os/system.h"

namespace chapbook::os {

unsigned processors() { return 0; }
unsigned processors_of_machine() { return 0; }

// Not the system's, but as good to tell this process from others.
int64_t process_id() {
  static const int64_t drawn = std::random_device()() & 0x7fffffff;
  return drawn;
}

static constexpr std::align_val_t line{64};
void* allocate(size_t bytes) { return ::operator new(bytes, line, std::nothrow); }
void release(void* block) noexcept { ::operator delete(block, line); }

bool is_terminal() { return false; }
int terminal_width() { return 80; }
std::filesystem::path program() { return {}; }
Loaded load(const std::filesystem::path&, const char*) {
  return {.reason = "libraries cannot be loaded by a portable build"};
}
std::string name() { return "not known to a portable build"; }
double memory_bytes() { return 0; }
int64_t second_cache_bytes() { return 0; }
int64_t last_cache_bytes() { return 0; }
bool grants_tiles() { return false; }

}  // namespace chapbook::os
