// The simt machine: runs a CUDA kernel on the host, one fiber for each thread of a block, one block after the
// other. A thread runs until it must wait for others: at a barrier, or where the lanes of a warp meet. One
// warp runs as far as it can, then the next.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chapbook::simt {

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  constexpr unsigned count() const { return x * y * z; }
};

// A line of a kernel: where a word was written.
struct Line {
  const char* file;
  int line;
  const void* code =
      nullptr;  // the call itself, from which a kernel's line behind an inlined function is found
  bool operator==(const Line& other) const { return file == other.file && line == other.line; }
};
std::string from_root(std::string_view path);  // "tensor/cuda/softmax.cu" of a longer path
std::string where(Line line);                  // "tensor/cuda/softmax.cu:40"
// As a default argument: the line of the call.
#define CHAPBOOK_THIS_LINE \
  { __builtin_FILE(), __builtin_LINE() }

// Work of the backend, in order, as on a stream: done at once, or kept in the recording that is on.
using Work = std::function<void()>;
void submit(Work work);
void record_into(std::vector<Work>* recording);  // null: no more

// Submits a kernel: `thread(arguments)` for every thread of the grid. Throws what the kernel did wrong.
void launch(std::string_view kernel, dim3 blocks, dim3 threads, size_t shared_bytes,
            void (*thread)(const void*), std::shared_ptr<const void> arguments);
// A lambda instead. Its own reading of what it captured is not watched.
template <class F>
void launch(std::string_view kernel, dim3 blocks, dim3 threads, size_t shared_bytes, const F& thread) {
  const auto call = [](const void* f) __attribute__((no_sanitize("thread"))) {
    (*static_cast<const F*>(f))();
  };
  launch(kernel, blocks, threads, shared_bytes, call, std::make_shared<const F>(thread));
}

// Where the running thread is. The compiler may keep the answers: a thread never moves.
[[gnu::const]] dim3 thread_index();
[[gnu::const]] dim3 block_index();
[[gnu::const]] dim3 block_size();  // in threads
[[gnu::const]] dim3 grid_size();   // in blocks
[[gnu::const]] int lane();

// Waits for all threads of the block. Returns for how many of them the predicate was not 0.
int barrier(bool predicate, Line line);

// Where lanes of a warp meet: waits until all those of `mask` that have not ended are here, each with a
// pointer to what it brings. Then `finish` is called once with all pointers (null where a lane has ended or
// is not in the mask), and all go on.
using Finish = void(void* const* lanes);
void meet(uint32_t mask, void* mine, Finish* finish, Line line);

// What is built on it. 64 bits hold any value that can be exchanged. `source` is a lane.
uint64_t shuffle(uint32_t mask, uint64_t value, int source, Line line);
uint32_t ballot(uint32_t mask, bool predicate, Line line);
uint32_t alike(uint32_t mask, uint64_t value, Line line);  // the lanes that bring the same value
void sync_warp(uint32_t mask, Line line);

// The integer of so many bytes at the address becomes `value` if it is `expected`. Returns what it was.
uint64_t compare_and_swap(void* address, size_t bytes, uint64_t expected, uint64_t value);

// An array that the threads of the running block share: made when the first of them asks, known by its
// address here, which differs between instances of a template.
struct SharedArray {
  const char* name;
  size_t bytes, number_bytes, alignment;
  Line line;
};
void* shared(const SharedArray& array);
void* launched_shared();

}  // namespace chapbook::simt
