// Tensors: views that share numbers, copies between backends and dtypes, counting of memory, and what the ops
// say when they are used wrongly.
#include "tensor/tensor.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "tensor/ops.h"

using namespace chapbook;

static std::vector<float> numbers(const Tensor& x) { return x.to_vector<float>(); }

// 0, 1, 2, ... in a shape.
static Tensor counted(const Shape& shape, DType dtype = DType::f32, Backend& to = backend("cpu")) {
  return Tensor::arange(shape.count(), dtype, to).reshape(shape);
}

TEST_CASE("tensor: views share numbers, copies do not") {
  for (std::string_view name : backend_names()) {
    CAPTURE(name);
    Backend& here = backend(name);
    const Tensor x = counted({2, 3}, DType::f32, here);
    const Tensor views[] = {x,
                            x.reshape({3, 2}),
                            x.transpose(0, 1),
                            x.slice(1, 0, 2),
                            x.select(0, 0),
                            x.reshape({1, 6}).broadcast_to({4, 6}),
                            x.to(here),
                            x.to(DType::f32),
                            x.as_contiguous()};
    const Tensor copies[] = {x.contiguous_copy(), x.to(DType::f64), x.transpose(0, 1).reshape({6}),
                             x.transpose(0, 1).as_contiguous()};
    here.fill(x.view(), 5);
    for (const Tensor& view : views) CHECK(numbers(view) == std::vector<float>(view.count(), 5));
    for (const Tensor& copy : copies) CHECK(numbers(copy) != std::vector<float>(copy.count(), 5));
  }
}

TEST_CASE("tensor: views see the right numbers") {
  const Tensor x = counted({2, 3});
  CHECK(numbers(x.transpose(0, -1)) == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(numbers(x.slice(-1, 1, 3)) == std::vector<float>{1, 2, 4, 5});
  CHECK(numbers(x.select(0, 1)) == std::vector<float>{3, 4, 5});
  CHECK(numbers(x.select(0, 1).broadcast_to({2, 3})) == std::vector<float>{3, 4, 5, 3, 4, 5});
  CHECK(numbers(x.transpose(0, 1).reshape({-1})) == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(x.reshape({-1, 2}).shape() == Shape{3, 2});
  CHECK(x.slice(0, 1, 1).shape() == Shape{0, 3});
  CHECK(numbers(x.slice(0, 1, 1)).empty());
  // The view keeps the numbers alive.
  const Tensor row = Tensor::full({2, 2}, 7, DType::f32, backend("cpu")).select(0, 1);
  CHECK(numbers(row) == std::vector<float>{7, 7});
}

TEST_CASE("tensor: to another backend and back, whatever the layout") {
  for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i32, DType::u16, DType::u8}) {
    const Tensor x = counted({3, 4}, dtype);
    for (const Tensor& view : {x, x.transpose(0, 1), x.slice(1, 1, 3)}) {
      const Tensor there = view.to(backend("reference"));
      CHECK(&there.backend() == &backend("reference"));
      CHECK(there.dtype() == dtype);
      CHECK(there.shape() == view.shape());
      CHECK(numbers(there) == numbers(view));
      CHECK(numbers(there.to(backend("cpu"))) == numbers(view));
    }
  }
}

TEST_CASE("tensor: one number") {
  CHECK(Tensor::full({1, 1}, 2.5, DType::bf16).item() == 2.5);
  CHECK(Tensor::full({}, -3, DType::i32).item() == -3);
  CHECK_THROWS_WITH(counted({2, 3}).item(), "item: a tensor of shape (2, 3) holds 6 numbers, not one");
  CHECK_THROWS_WITH(counted({0}).item(), "item: a tensor of shape (0,) holds 0 numbers, not one");
}

TEST_CASE("tensor: errors of making and reshaping") {
  CHECK_THROWS_WITH(Tensor::from(std::vector<float>{1, 2, 3}, {2, 2}),
                    "tensor: 3 values do not fill shape (2, 2)");
  CHECK_THROWS_WITH(Tensor::empty({2, -1}), "tensor: shape (2, -1) has a negative size or too many numbers");
  CHECK_THROWS_WITH(Tensor::empty({int64_t{1} << 40, int64_t{1} << 40}),
                    "tensor: shape (1099511627776, 1099511627776) has a negative size or too many numbers");
  CHECK_THROWS_WITH(counted({2, 3}).reshape({4}), "reshape: (2, 3) has 6 numbers, (4,) has 4");
  CHECK_THROWS_WITH(counted({2, 3}).reshape({4, -1}),
                    "reshape: 6 numbers of (2, 3) do not divide into (4, -1)");
  CHECK_THROWS_WITH(counted({2, 3}).transpose(0, 1).upload(nullptr),
                    "upload: the tensor is a view with gaps");
  CHECK_THROWS_WITH(backend("abacus"), doctest::Contains("no backend 'abacus' here; there are: "));
}

TEST_CASE("ops: errors name the op and both sides") {
  const Tensor x = counted({2, 3}), y = counted({2, 4});
  const Tensor ids = Tensor::from(std::vector<int32_t>{0, 2}, {2}, backend("cpu"));
  CHECK_THROWS_WITH(x + y, doctest::Contains("add: shapes (2, 3) and (2, 4)"));
  CHECK_THROWS_WITH(x * x.to(DType::f64), "mul: f32 and f64 do not mix; convert one with to()");
  CHECK_THROWS_WITH(x + x.to(backend("reference")),
                    "add: one operand is on 'cpu', the other on 'reference'; move one with to()");
  CHECK_THROWS_WITH(matmul(x, x), "matmul: (2, 3) times (2, 3): inner sizes 3 and 2 differ");
  CHECK_THROWS_WITH(matmul(x, ids), doctest::Contains("matmul: f32 and i32 do not mix"));
  CHECK_THROWS_WITH(matmul(x, x.select(0, 0)), "matmul: (2, 3) times (3,): both need at least two axes");
  CHECK_THROWS_WITH(matmul(counted({2, 2, 3}), counted({3, 3, 2})),
                    doctest::Contains("matmul: shapes (2,) and (3,)"));
  CHECK_THROWS_WITH(matmul(ids.reshape({1, 2}), ids.reshape({2, 1})),
                    "matmul: wants floating-point numbers, not i32");
  CHECK_THROWS_WITH(where(x, x, x), "where: the condition is f32, not u8");
  CHECK_THROWS_WITH(softmax(ids), "softmax: wants floating-point numbers, not i32");
  CHECK_THROWS_WITH(softmax(x, 2), doctest::Contains("softmax: "));
  CHECK_THROWS_WITH(sum(x, {2}), doctest::Contains("sum: "));
  CHECK_THROWS_WITH(max(counted({0, 3})), "max: no numbers to choose from in shape (0, 3)");
  CHECK_THROWS_WITH(argmax(counted({3, 0})), "argmax: no numbers to choose from in shape (3, 0)");
  CHECK_THROWS_WITH(mean(ids), "mean: wants floating-point numbers, not i32");
  CHECK_THROWS_WITH(concatenate(std::vector<Tensor>{}, 0), "concatenate: nothing to join");
  CHECK_THROWS_WITH(concatenate(std::vector{x, y}, 0),
                    "concatenate: shapes (2, 3) and (2, 4) differ in more than axis 0");
  CHECK_THROWS_WITH(layer_norm(x, counted({4}), {}, 1e-5),
                    "layer_norm: weight (4,) does not fit the last axis of (2, 3)");
  CHECK_THROWS_WITH(layer_norm(x, counted({3}), counted({4}), 1e-5),
                    "layer_norm: bias (4,) and weight (3,) differ");
  CHECK_THROWS_WITH(
      attention(counted({1, 1, 3, 2}), counted({1, 1, 2, 2}), counted({1, 1, 2, 2}), 1),
      doctest::Contains("attention: q (1, 1, 3, 2), k (1, 1, 2, 2) and v (1, 1, 2, 2) do not fit"));
  CHECK_THROWS_WITH(attention(counted({1, 1, 2, 2}), counted({1, 1, 2, 2}), counted({1, 1, 2, 2}), 0),
                    "attention: a scale of 0; it must be positive");
}

TEST_CASE("ops: numbers that index are in range") {
  const Tensor table = counted({3, 2});
  const auto ids = [](std::vector<int32_t> numbers) {
    return Tensor::from(numbers, {static_cast<int64_t>(numbers.size())}, backend("cpu"));
  };
  CHECK_THROWS_WITH(gather_rows(table, ids({0, 3})), "gather_rows: id 3 is not in 0..2");
  CHECK_THROWS_WITH(gather_rows(table, ids({-1})), "gather_rows: id -1 is not in 0..2");
  CHECK_THROWS_WITH(gather_rows(table, table), "gather_rows: ids are f32, not i32");
  CHECK_THROWS_WITH(gather_rows(table.reshape({6}), ids({0})),
                    "gather_rows: the table has shape (6,), not (rows, columns)");
  CHECK_THROWS_WITH(scatter_add_rows(table, ids({0, 1}), 9),
                    "scatter_add_rows: rows (3, 2) do not fit ids (2,)");
  CHECK_THROWS_WITH(cross_entropy(table, ids({0, 1, 2})), "cross_entropy: id 2 is not in 0..1");
  CHECK_THROWS_WITH(cross_entropy(table, ids({0, 1, -1})), "cross_entropy: id -1 is not in 0..1");
  CHECK_NOTHROW(cross_entropy(table, ids({0, 1, -1}), {.ignore = -1}));
  CHECK_THROWS_WITH(cross_entropy(table, ids({0, 1})),
                    "cross_entropy: targets (2,) do not fit logits (3, 2)");
}

TEST_CASE("ops: an empty table has no row 0") {
  const Tensor table = Tensor::empty({0, 2}, DType::f32, backend("cpu"));
  CHECK_THROWS_AS(gather_rows(table, Tensor::from(std::vector<int32_t>{0}, {1}, backend("cpu"))), Error);
}

TEST_CASE("ops: the mean of many half numbers stays in range though their sum does not") {
  for (std::string_view name : backend_names()) {
    const Tensor x = Tensor::full({70000}, 20, DType::f16, backend(name));
    CHECK(mean(x).item() == 20);
    CHECK(var(x).item() == 0);
    CHECK(mean(x).dtype() == DType::f16);
  }
}

TEST_CASE("ops: a row written beside others is no different for them") {
  // Joining slices of one tensor, as attention and checkpoints do.
  const Tensor x = counted({4, 6});
  std::vector<Tensor> parts;
  for (int64_t i = 0; i < 3; ++i) parts.push_back(x.slice(1, 2 * i, 2 * i + 2));
  CHECK(numbers(concatenate(parts, -1)) == numbers(x));
}

TEST_CASE("memory: live and peak bytes follow the tensors, and blocks come back") {
  for (std::string_view name : backend_names()) {
    CAPTURE(name);
    Backend& here = backend(name);
    BlockCache& blocks = here.blocks();
    const size_t before = blocks.live_bytes(), block = BlockCache::rounded(4000);
    blocks.reset_peak();
    CHECK(blocks.peak_bytes() == before);
    void* first;
    {
      const Tensor x = Tensor::empty({1000}, DType::f32, here);
      first = x.view().data;
      CHECK(blocks.live_bytes() == before + block);
      const Tensor shared = x.slice(0, 10, 20), handle = x;
      CHECK(blocks.live_bytes() == before + block);
      const Tensor y = Tensor::empty({1000}, DType::f32, here);
      CHECK(y.view().data != x.view().data);
      CHECK(blocks.live_bytes() == before + 2 * block);
    }
    CHECK(blocks.live_bytes() == before);
    CHECK(blocks.peak_bytes() == before + 2 * block);
    blocks.reset_peak();
    CHECK(blocks.peak_bytes() == before);
    const Tensor again = Tensor::empty({1000}, DType::f32, here);
    const Tensor other = Tensor::empty({1000}, DType::f32, here);
#ifndef CHAPBOOK_SANITIZE
    CHECK((again.view().data == first || other.view().data == first));
#endif
    blocks.trim();  // what is in use stays
    CHECK(blocks.live_bytes() == before + 2 * block);
  }
}

TEST_CASE("memory: a block is as large as was asked for, and an eighth larger at most") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    const size_t bytes = random() >> (24 + i % 40), rounded = BlockCache::rounded(bytes);
    if (rounded < bytes || (bytes > 512 && rounded > bytes + bytes / 8) || rounded % 64 != 0 || rounded == 0)
      FAIL_CHECK(bytes, " bytes are rounded to ", rounded);
    if (BlockCache::rounded(rounded) != rounded) FAIL_CHECK(rounded, " is rounded again");
  }
}
