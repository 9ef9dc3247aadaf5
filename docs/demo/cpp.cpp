// What appendix B prints. One part for each word: handles, owners, captures, types.
#include <fmt/format.h>

#include <functional>
#include <map>
#include <string>

#include "tensor/ops.h"

using namespace chapbook;

// ---- handles: what a copy copies

static void handles() {
  std::vector<float> a = {1, 2, 3}, b = a;
  b[0] = 100;
  fmt::print("vector: a[0] is {} after b = a and b[0] = 100\n", a[0]);
  const Tensor x = Tensor::from(a, {3}), y = x, z = x.contiguous_copy();
  y.backend().fill(y.view(), 100);
  fmt::print("Tensor: x[0] is {} after y = x and y is filled with 100; the copy z[0] is {}\n",
             x.to_vector<float>()[0], z.to_vector<float>()[0]);
}

// ---- owners: memory goes with its last owner

static void owners() {
  const BlockCache& blocks = backend("cpu").blocks();
  const size_t before = blocks.live_bytes();
  Tensor y;
  {
    const Tensor x = Tensor::zeros({1024}, DType::f32, backend("cpu"));
    y = x.slice(0, 0, 1);
    fmt::print("x and a slice of it: {} bytes\n", blocks.live_bytes() - before);
  }
  fmt::print("x is gone, the slice of one number is there: {} bytes\n", blocks.live_bytes() - before);
  y = Tensor();
  fmt::print("both are gone: {} bytes\n", blocks.live_bytes() - before);
}

// ---- captures: what a lambda keeps

static void captures() {
  // region: captures
  int x = 1;
  const auto by_value = [x] { return x; };
  const auto by_reference = [&x] { return x; };
  x = 2;
  fmt::print("captured by value: {}, by reference: {}\n", by_value(), by_reference());
  // endregion
}

// ---- types: one function, compiled for each dtype

static void types() {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i32}) {
    // region: visit
    const size_t bytes = visit(dtype, []<class T>(Type<T>) { return sizeof(T); });
    // endregion
    fmt::print("{}: {} bytes\n", name_of(dtype), bytes);
  }
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {
      {"handles", handles}, {"owners", owners}, {"captures", captures}, {"types", types}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_cpp: say which part: handles owners captures types\n");
    return 2;
  }
  part->second();
}
