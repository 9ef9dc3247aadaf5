// Recycled memory for the small things a training step makes anew each time: nodes of the graph, what their
// rules remember, lists. A step asks for the sizes of the step before, so what was given back serves again,
// and after the first steps nothing comes from the heap.
#pragma once
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace chapbook {

void* take_recycled(size_t bytes);
void recycle(void* block, size_t bytes) noexcept;  // `bytes` as it was asked for; from any thread

// For the containers of the standard library and allocate_shared.
template <class T>
struct Recycler {
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  using value_type = T;

  Recycler() = default;
  template <class Other>
  Recycler(const Recycler<Other>&) {}
  T* allocate(size_t count) { return static_cast<T*>(take_recycled(count * sizeof(T))); }
  void deallocate(T* block, size_t count) noexcept { recycle(block, count * sizeof(T)); }
  friend bool operator==(const Recycler&, const Recycler&) { return true; }
};

template <class T>
using RecycledVector = std::vector<T, Recycler<T>>;

template <class T, class... Arguments>
std::shared_ptr<T> make_recycled(Arguments&&... arguments) {
  return std::allocate_shared<T>(Recycler<T>(), std::forward<Arguments>(arguments)...);
}

// What std::function is, but what it captured lies in recycled memory; copies share it.
template <class Signature>
class RecycledFunction;
template <class Result, class... Arguments>
class RecycledFunction<Result(Arguments...)> {
 public:
  RecycledFunction() = default;
  template <class F>
  RecycledFunction(F f)
      : captured_(make_recycled<F>(std::move(f))), call_([](const void* captured, Arguments... arguments) {
          return Result((*static_cast<const F*>(captured))(std::forward<Arguments>(arguments)...));
        }) {}

  Result operator()(Arguments... arguments) const {
    return call_(captured_.get(), std::forward<Arguments>(arguments)...);
  }

 private:
  std::shared_ptr<const void> captured_;
  Result (*call_)(const void* captured, Arguments... arguments) = nullptr;
};

}  // namespace chapbook
