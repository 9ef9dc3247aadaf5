#include "tensor/simt/machine.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tensor/check.h"
#include "tensor/simt/block.h"
#include "tensor/simt/counters.h"
#include "tensor/simt/fragment.h"
#include "tensor/simt/watch.h"

namespace chapbook::simt {

constexpr unsigned most_threads = 1024;          // of a block
constexpr size_t most_static_shared = 48 << 10;  // bytes; what every GPU has
constexpr size_t most_shared = 227 << 10;        // with what is asked for at launch: compute capability 9.0
constexpr size_t red_zone = 64;                  // bytes between arrays

// What runs now. One launch at a time.
static struct {
  std::string_view kernel;
  dim3 blocks, threads, block_index;
  struct Made {
    const SharedArray* array;
    void* data;
  };
  std::vector<Made> arrays;  // of the running block
  size_t launched_bytes, static_bytes, used;
} now;
static std::mutex one_launch;

Memory& shared_memory() {
  static Memory& memory = *new Memory(1 << 20);
  return memory;
}

std::string from_root(std::string_view path) {
  constexpr std::string_view here = __FILE__, root = here.substr(0, here.rfind("tensor/simt/"));
  if (const size_t at = path.rfind(root); at != path.npos && !root.empty())
    path.remove_prefix(at + root.size());
  return std::string(path);
}
std::string where(Line line) {
  const std::string found = line.code ? where(line.code) : "";
  return found.empty() || found.starts_with("0x") ? fmt::format("{}:{}", from_root(line.file), line.line)
                                                  : found;
}

static std::string_view setting(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

static std::vector<Work>* recording = nullptr;
void record_into(std::vector<Work>* into) { recording = into; }
void submit(Work work) {
  if (recording)
    recording->push_back(std::move(work));
  else
    work();
}

// One block after the other, which is one of the orders a GPU may choose.
static void run_grid(size_t shared_bytes, void (*thread)(const void*), const void* arguments) {
  for (unsigned z = 0; z < now.blocks.z; ++z)
    for (unsigned y = 0; y < now.blocks.y; ++y)
      for (unsigned x = 0; x < now.blocks.x; ++x) {
        now.block_index = {x, y, z};
        now.arrays.clear();
        forget_copies();
        shared_memory().close(shared_memory().begin(), now.used);
        shared_memory().open(shared_memory().begin(), shared_bytes);
        now.static_bytes = 0;
        now.used = shared_bytes + red_zone;
        order.begin_block();
        try {
          block.run(thread, arguments);
          if (counting) end_requests();
        } catch (const std::exception& error) {
          if (counting) ++counting->faults;
          fail("{}: block ({}, {}, {}): {}", now.kernel, x, y, z, error.what());
        }
      }
}

void launch(std::string_view kernel, dim3 blocks, dim3 threads, size_t shared_bytes,
            void (*thread)(const void*), std::shared_ptr<const void> arguments) {
  check(threads.count() >= 1 && threads.count() <= most_threads && threads.z <= 64,
        "{}: blocks of ({}, {}, {}) threads; at most {} are possible, 64 along z", kernel, threads.x,
        threads.y, threads.z, most_threads);
  check(blocks.x >= 1 && blocks.x <= 0x7fffffff && blocks.y >= 1 && blocks.y <= 0xffff && blocks.z >= 1 &&
            blocks.z <= 0xffff,
        "{}: a grid of ({}, {}, {}) blocks; at most 2147483647, 65535, 65535 are possible", kernel, blocks.x,
        blocks.y, blocks.z);
  check(shared_bytes <= most_shared, "{}: {} bytes of shared memory; a block has at most {}", kernel,
        shared_bytes, most_shared);
  submit([=] {
    std::lock_guard lock(one_launch);
    block.resize(threads, setting("CHAPBOOK_SIMT_ORDER") == "reversed");
    checking = setting("CHAPBOOK_SIMT_CHECK") != "0";
    now.kernel = kernel;
    now.blocks = blocks;
    now.threads = threads;
    now.launched_bytes = shared_bytes;
    count_launch(std::string(kernel));
    if (counting)
      counting->blocks += blocks.count(), counting->threads += int64_t{blocks.count()} * threads.count();
    order.begin_launch();
    run_grid(shared_bytes, thread, arguments.get());
  });
}

dim3 thread_index() { return block.thread_index(block.running()); }
dim3 block_index() { return now.block_index; }
dim3 block_size() { return now.threads; }
dim3 grid_size() { return now.blocks; }
int lane() { return block.running() % warp_lanes; }

int barrier(bool predicate, Line line) {
  const Unwatched here;
  line.code = __builtin_return_address(0);
  return block.barrier(predicate, line);
}

void meet(uint32_t mask, void* mine, Finish* finish, Line line) {
  const Unwatched here;
  if (!(mask >> lane() & 1))
    block.fault([&] {
      return fmt::format("{} at {} is not among the lanes {:#010x} it names", block.name(block.running()),
                         where(line), mask);
    });
  block.meet(mask, mine, finish, line);
}

void sync_warp(uint32_t mask, Line line) {
  line.code = __builtin_return_address(0);
  int mine = block.running();
  meet(
      mask, &mine,
      [](void* const* lanes) {
        ++order.tick;
        for (int lane = 0; lane < warp_lanes; ++lane)
          if (lanes[lane]) order.met[static_cast<size_t>(*static_cast<int*>(lanes[lane]))] = order.tick;
      },
      line);
}

uint64_t shuffle(uint32_t mask, uint64_t value, int source, Line line) {
  line.code = __builtin_return_address(0);
  struct Exchange {
    uint64_t value, result;
    int source;
    bool nobody;
  } mine{value, 0, source, false};
  meet(
      mask, &mine,
      [](void* const* lanes) {
        for (int lane = 0; lane < warp_lanes; ++lane)
          if (auto* each = static_cast<Exchange*>(lanes[lane])) {
            const auto* other = static_cast<const Exchange*>(lanes[each->source]);
            if (other)
              each->result = other->value;
            else
              each->nobody = true;
          }
      },
      line);
  if (mine.nobody)
    block.fault([&] {
      return fmt::format("{} at {} wants the value of lane {}, which does not take part",
                         block.name(block.running()), where(line), source);
    });
  return mine.result;
}

uint32_t ballot(uint32_t mask, bool predicate, Line line) {
  line.code = __builtin_return_address(0);
  struct Vote {
    bool predicate;
    uint32_t result;
  } mine{predicate, 0};
  meet(
      mask, &mine,
      [](void* const* lanes) {
        uint32_t result = 0;
        for (int lane = 0; lane < warp_lanes; ++lane)
          if (lanes[lane] && static_cast<Vote*>(lanes[lane])->predicate) result |= 1u << lane;
        for (int lane = 0; lane < warp_lanes; ++lane)
          if (lanes[lane]) static_cast<Vote*>(lanes[lane])->result = result;
      },
      line);
  return mine.result;
}

uint32_t alike(uint32_t mask, uint64_t value, Line line) {
  line.code = __builtin_return_address(0);
  struct Match {
    uint64_t value;
    uint32_t result;
  } mine{value, 0};
  meet(
      mask, &mine,
      [](void* const* lanes) {
        for (int lane = 0; lane < warp_lanes; ++lane)
          for (int other = 0; lanes[lane] && other < warp_lanes; ++other) {
            auto* each = static_cast<Match*>(lanes[lane]);
            if (lanes[other] && static_cast<Match*>(lanes[other])->value == each->value)
              each->result |= 1u << other;
          }
      },
      line);
  return mine.result;
}

uint64_t compare_and_swap(void* address, size_t bytes, uint64_t expected, uint64_t value) {
  watch(Access::atomic, address, bytes, bytes, __builtin_return_address(0));
  uint64_t old = 0;
  std::memcpy(&old, address, bytes);  // a fiber is not interrupted here
  if (std::memcmp(&old, &expected, bytes) == 0) std::memcpy(address, &value, bytes);
  return old;
}

void* launched_shared() { return shared_memory().begin(); }

void* shared(const SharedArray& array) {
  const Unwatched here;
  for (const auto& made : now.arrays)
    if (made.array == &array) return made.data;
  const size_t alignment = std::max<size_t>(array.alignment, 16);
  const size_t offset = (now.used + alignment - 1) / alignment * alignment;
  now.used = offset + array.bytes + red_zone;
  now.static_bytes += array.bytes;
  if (now.static_bytes > most_static_shared || now.static_bytes + now.launched_bytes > most_shared)
    block.fault([&] {
      return fmt::format(
          "{} at {} makes {} bytes of shared arrays; {} can be declared, {} with launched ones", array.name,
          where(array.line), now.static_bytes, most_static_shared, most_shared);
    });
  void* data = shared_memory().begin() + offset;
  shared_memory().open(data, array.bytes);
  now.arrays.push_back({&array, data});
  return data;
}

Thing describe(const void* address) {
  const auto behind = [&](const void* begin) {
    return static_cast<size_t>(static_cast<const char*>(address) - static_cast<const char*>(begin));
  };
  if (shared_memory().holds(address)) {
    for (size_t i = now.arrays.size(); i-- > 0;) {
      const auto& [array, data] = now.arrays[i];
      if (address < data) continue;
      return {fmt::format("number {} of {}", behind(data) / array->number_bytes, array->name),
              fmt::format("{} has {}", array->name, array->bytes / array->number_bytes)};
    }
    return {fmt::format("byte {} of launched_shared()", behind(launched_shared())),
            fmt::format("it has {}", now.launched_bytes)};
  }
  const GlobalBlock block = global_memory().holds(address) ? global_block(address) : GlobalBlock{};
  if (!block.begin) return {fmt::format("address {}", address), "it is neither global nor shared memory"};
  return {fmt::format("byte {} of a block", behind(block.begin)),
          block.bytes ? fmt::format("the block has {}", block.bytes) : "the block was given back"};
}

}  // namespace chapbook::simt
