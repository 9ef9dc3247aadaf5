#include "tensor/simt/watch.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "tensor/check.h"
#include "tensor/simt/block.h"
#include "tensor/simt/counters.h"
#include "tensor/simt/fragment.h"
#include "tensor/simt/machine.h"

namespace chapbook::simt {

Order order;
thread_local bool watching = false;
bool checking = true;

namespace {

// The program, or the module that this is part of: lines in cells are counted from where its code begins to
// fit into 32 bits.
const link_map& own_module() {
  static const link_map& map = []() -> const link_map& {
    Dl_info info;
    link_map* found = nullptr;
    dladdr1(reinterpret_cast<const void*>(&own_module), &info, reinterpret_cast<void**>(&found),
            RTLD_DL_LINKMAP);
    return *found;
  }();
  return map;
}
const char* code_begin() { return reinterpret_cast<const char*>(own_module().l_addr); }
uint32_t line_of(const void* from) {
  return static_cast<uint32_t>(static_cast<const char*>(from) - code_begin());
}

// Constants of the program, which kernels may read.
bool is_constant(const void* address) {
  struct Search {
    uintptr_t address;
    bool found = false;
  } search{reinterpret_cast<uintptr_t>(address)};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* to) {
        auto& search = *static_cast<Search*>(to);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& part = info->dlpi_phdr[i];
          const bool constant =
              (part.p_type == PT_LOAD && !(part.p_flags & PF_W)) || part.p_type == PT_GNU_RELRO;
          if (constant && search.address - (info->dlpi_addr + part.p_vaddr) < part.p_memsz)
            search.found = true;
        }
        return static_cast<int>(search.found);
      },
      &search);
  return search.found;
}

std::string name_of(unsigned thread) {
  if (thread < several_lanes) return block.name(static_cast<int>(thread));
  if (thread == atomics) return "an atomic operation";
  return thread == several_warps ? "several threads"
                                 : fmt::format("several lanes of warp {}", thread - several_lanes);
}

// One access of the running thread, for what is said about it.
struct Attempt {
  Access access;
  const void *address, *from;

  // `why()` is called where its text can be freed.
  template <class F>
  [[gnu::noinline]] void fault(const F& why) const {
    block.fault([&] {
      const char* verb = access == Access::read    ? "reads"
                         : access == Access::write ? "writes"
                                                   : "atomically changes";
      return fmt::format("{} {} {} at {}, {}", block.name(block.running()), verb, describe(address).name,
                         where(from), why());
    });
  }
  void out_of_bounds() const {
    fault([&] { return "which is out of bounds: " + describe(address).extent; });
  }
  // The other access that is to blame.
  void conflict(const char* done, uint64_t tick, unsigned thread, uint32_t line) const {
    fault([&] {
      const std::string place = where(code_begin() + line);
      if (tick < order.block)
        return fmt::format("which another block {} at {} in the same launch", done, place);
      return fmt::format("which {} {} at {}; no barrier lies between", name_of(thread), done, place);
    });
  }
};

// Whether what `thread` did at `tick`, in this launch, is over for the running thread.
bool is_behind(uint64_t tick, unsigned thread, unsigned self) {
  if (tick < order.block) return false;  // in another block
  if (tick < order.barrier || thread == self) return true;
  if (thread < several_lanes)
    return thread / 32 == self / 32 && tick < order.met[self] && tick < order.met[thread];
  return thread == several_lanes + self / 32 && tick < order.met[self];
}

// Both change a copy: the processor waits where what was written in parts is read as one.
void remember_read(Cell& cell, unsigned bits, unsigned self, uint32_t line) {
  auto last = cell.read;
  const bool same_bytes = last.bytes & bits;  // nobody is blamed for what others did to the other bytes
  last.also_elsewhere =
      same_bytes && last.tick >= order.launch && (last.tick < order.block || last.also_elsewhere);
  if (last.tick < order.barrier || !same_bytes) {
    last.bytes = bits & 0xf;
    last.thread = self;
  } else if (last.thread != self) {
    const unsigned warp = last.thread < several_lanes ? last.thread / 32 : last.thread - several_lanes;
    last.thread = warp != self / 32             ? several_warps
                  : last.tick < order.met[self] ? self
                                                : several_lanes + warp;
    last.bytes &= bits;
  }
  last.tick = order.tick & 0x7ffffffffff;
  cell.read = last;
  cell.read_line = line;
}

void remember_write(Cell& cell, unsigned bits, unsigned who, uint32_t line) {
  auto last = cell.write;
  const bool more = last.tick == order.tick && last.thread == who;  // other bytes of the word
  last.bytes = (more ? last.bytes | bits : bits) & 0xf;
  last.tick = order.tick & 0xfffffffffff;
  last.thread = who & 0xfff;
  last.written |= bits & 0xf;
  cell.write = last;
  cell.write_line = line;
}

void count(Access access, bool shared, const void* address, size_t bytes, const void* from) {
  const Unwatched here;
  if (access == Access::atomic)
    ++counting->atomics;
  else
    count_access(shared, access == Access::write, address, bytes, from, block.running());
}

}  // namespace

void watch(Access access, const void* address, size_t bytes, size_t alignment, const void* from) {
  const bool global = global_memory().holds(address);
  Memory& memory = global ? global_memory() : shared_memory();
  if (counting && memory.holds(address)) count(access, !global, address, bytes, from);
  if (!checking) return;
  const auto attempt = [&](uintptr_t at) { return Attempt{access, reinterpret_cast<const void*>(at), from}; };
  const auto begin = reinterpret_cast<uintptr_t>(address);
  if (!memory.holds(address)) {
    if (access == Access::read && is_constant(address)) return;
    attempt(begin).out_of_bounds();
  }
  if (begin & (alignment - 1))  // a power of two
    attempt(begin).fault([&] {
      return fmt::format("{} bytes at once, which must begin at a multiple of {}", bytes, alignment);
    });
  const auto self = static_cast<unsigned>(block.running());
  const uint32_t line = line_of(from);
  for (uintptr_t word = begin & ~uintptr_t{3}; word < begin + bytes; word += 4) {
    Cell& cell = memory.cell(reinterpret_cast<const void*>(word));
    const auto read = cell.read;
    const auto write = cell.write;
    const unsigned bits = bytes_of_word(word, begin, bytes);
    const uintptr_t at = std::max(word, begin);
    if (bits & ~read.valid) attempt(at).out_of_bounds();
    if (access != Access::write && bits & ~write.written)
      attempt(at).fault([&] {
        const std::string copy = copy_under_way(reinterpret_cast<const void*>(at));
        return "where nothing has been written yet" + (copy.empty() ? "" : ": " + copy);
      });
    if (write.tick >= order.launch && (write.bytes & bits) && !is_behind(write.tick, write.thread, self) &&
        !(access == Access::atomic && write.thread == atomics))
      attempt(at).conflict("wrote", write.tick, write.thread, cell.write_line);
    if (access == Access::read) {
      remember_read(cell, bits, self, line);
      continue;
    }
    if (read.tick >= order.launch && (read.bytes & bits) &&
        (read.also_elsewhere || !is_behind(read.tick, read.thread, self)))
      attempt(at).conflict("read", read.also_elsewhere ? 0 : read.tick, read.thread, cell.read_line);
    remember_write(cell, bits, access == Access::atomic ? atomics : self, line);
  }
}

// Asks addr2line, of binutils. Where the line was inlined, the innermost of the project's own is named, and
// the line of the kernel's file that it was inlined to.
std::string where(const void* code) {
  std::string module = own_module().l_name;
  if (module.empty()) module = std::filesystem::read_symlink("/proc/self/exe");  // the program
  const auto address = static_cast<const char*>(code) - code_begin() - 1;        // of the call, not behind it
  const std::string command = fmt::format("addr2line -i -e '{}' {:#x} 2>/dev/null", module, address);
  std::unique_ptr<FILE, int (*)(FILE*)> answer(popen(command.c_str(), "r"), pclose);
  std::string innermost, kernel;
  for (char text[4096]; answer && fgets(text, sizeof(text), answer.get());) {
    std::string line(text);
    line.resize(line.find_first_of(" \n"));
    line = from_root(line);
    if (line[0] == '?' || line.starts_with("/usr/") || line.starts_with("tensor/simt/") ||
        line.starts_with("tensor/cuda/fragment.h:"))  // words, as in tensor/simt/words.h
      continue;
    if (innermost.empty()) innermost = line;
    kernel = line.find(".cu:") == line.npos ? kernel : line;
    if (!kernel.empty()) break;
  }
  if (innermost.empty()) return fmt::format("{}", code);
  return kernel.empty() || kernel == innermost ? innermost : fmt::format("{} for {}", innermost, kernel);
}

}  // namespace chapbook::simt
