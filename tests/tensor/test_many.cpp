// What backends do with many tensors at once, as an optimiser asks for, with many ids, and with every pair of
// dtypes.
#include <doctest/doctest.h>

#include <cmath>
#include <optional>

#include "tests/support/run_case.h"

namespace chapbook {

namespace {

// Two hundred tensors of a few numbers and some of tens of thousands; one is transposed.
std::vector<Tensor> many(int which, Domain domain, DType dtype, Backend& to) {
  std::vector<Tensor> tensors;
  for (int64_t i = 0; i < 200; ++i) {
    const Shape shape = i == 60 ? Shape{16384} : i == 61 ? Shape{2, 16385} : Shape{i * 37 % 11, 5};
    tensors.push_back(tensor_of(numbers_for(domain, shape, which), shape, dtype, to));
  }
  tensors[61] = tensors[61].transpose(0, 1);
  return tensors;
}

Numbers64 numbers_of(const std::vector<Tensor>& tensors) {
  Numbers64 all;
  for (const Tensor& x : tensors)
    for (double number : x.to_vector<double>()) all.push_back(number);
  return all;
}

std::vector<In> views_of(const std::vector<Tensor>& tensors) {
  std::vector<In> views;
  for (const Tensor& x : tensors) views.push_back(x.view());
  return views;
}

// The weights, m and v after a step.
Numbers64 stepped(DType dtype, Backend& backend) {
  const auto weights = many(0, {}, dtype, backend), gradients = many(1, {}, dtype, backend);
  const auto m = many(2, {}, dtype, backend), v = many(3, {0.1, 1}, dtype, backend);
  std::vector<AdamWPart> parts;
  for (size_t i = 0; i < weights.size(); ++i)
    parts.push_back(
        {weights[i].view(), gradients[i].view(), m[i].view(), v[i].view(), static_cast<double>(i % 3)});
  backend.adamw({.rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-3, .step = 2, .gradient_scale = {}},
                parts);
  Numbers64 all = numbers_of(weights);
  for (const auto& each : {m, v})
    for (double number : numbers_of(each)) all.push_back(number);
  return all;
}

}  // namespace

TEST_CASE("squares of many tensors are summed, and a step moves many, as the reference does it") {
  Backend& reference = backend("reference");
  for (Backend* to : tested_backends())
    for (DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      CAPTURE(to->name());
      CAPTURE(name_of(dtype));
      const Tensor sum = Tensor::empty({}, DType::f64, *to),
                   wanted = Tensor::empty({}, DType::f64, reference);
      const auto here = many(4, {}, dtype, *to), there = many(4, {}, dtype, reference);
      to->square_sum(views_of(here), sum.view());
      reference.square_sum(views_of(there), wanted.view());
      CHECK(sum.item() == doctest::Approx(wanted.item()).epsilon(1e-12));  // both add in f64
      CHECK(relative_error(stepped(dtype, *to), stepped(dtype, reference)) <= tolerance(dtype));
    }
}

TEST_CASE("large squares stay finite, and nothing has the norm 0") {
  for (Backend* to : tested_backends()) {
    CAPTURE(to->name());
    const Tensor large = Tensor::full({3, 33}, 1e30, DType::f32, *to);
    CHECK(global_norm(std::vector{large}).item() == doctest::Approx(std::sqrt(99.0) * 1e30));
    CHECK(global_norm(std::vector{Tensor::empty({0, 4}, DType::f32, *to)}).item() == 0);
  }
}

TEST_CASE("a step whose gradients would be scaled by infinity or NaN changes nothing") {
  for (Backend* to : tested_backends())
    for (DType dtype : {DType::f32, DType::f64})
      for (double scale : {INFINITY, NAN}) {
        CAPTURE(to->name());
        const Tensor weight = Tensor::full({5}, 3, dtype, *to), gradient = Tensor::full({5}, 1, dtype, *to);
        const Tensor m = Tensor::full({5}, 4, dtype, *to), v = Tensor::full({5}, 5, dtype, *to);
        const Tensor scales = Tensor::full({}, scale, DType::f64, *to);
        const AdamWPart part{weight.view(), gradient.view(), m.view(), v.view(), 0.1};
        to->adamw({.rate = 0.1,
                   .beta1 = 0.9,
                   .beta2 = 0.99,
                   .epsilon = 1e-3,
                   .step = 2,
                   .gradient_scale = scales.view()},
                  {&part, 1});
        CHECK(weight.to_vector<double>() == Numbers64(5, 3));
        CHECK(m.to_vector<double>() == Numbers64(5, 4));
        CHECK(v.to_vector<double>() == Numbers64(5, 5));
      }
}

TEST_CASE("of many ids the first bad one is reported, once") {
  for (Backend* to : tested_backends()) {
    CAPTURE(to->name());
    const auto checked = [&](const std::vector<int32_t>& numbers, std::optional<int32_t> also) {
      const Tensor ids = Tensor::from(numbers, {static_cast<int64_t>(numbers.size())}, *to);
      to->check_ids("embedding", ids.view(), 9, also);
      to->synchronize();
    };
    std::vector<int32_t> ids(3000, 8);
    CHECK_NOTHROW(checked(ids, {}));
    ids[5 + 1024] = -100;
    CHECK_NOTHROW(checked(ids, -100));
    ids[5] = 9;
    CHECK_THROWS_WITH(checked(ids, -100), "embedding: id 9 is not in 0..8");
    CHECK_NOTHROW(to->synchronize());
    CHECK_THROWS_WITH(checked(ids, {}), "embedding: id 9 is not in 0..8");
  }
}

// The table after rows of whole numbers, whose sums have no rounding, were added by these ids.
static Numbers64 added(const std::vector<int32_t>& ids, int64_t limit, int64_t n, DType rows, DType table,
                       Backend& backend) {
  const auto count = static_cast<int64_t>(ids.size());
  const Tensor from = tensor_of(numbers_for({-4, 4, 1}, {count, n}, 5), {count, n}, rows, backend);
  const Tensor into = tensor_of(numbers_for({-4, 4, 1}, {limit, n}, 6), {limit, n}, table, backend);
  backend.scatter_add_rows(from.view(), Tensor::from(ids, {count}, backend).view(), into.view());
  return into.to_vector<double>();
}

TEST_CASE("rows are added into a table, whatever the ids") {
  struct Table {
    int64_t limit, distinct;  // rows of the table, and how many of them the ids name
  };
  for (int64_t count : {0, 1, 31, 33, 1023, 5000})
    for (const auto& [limit, distinct] : {Table{1, 1}, {300, 1}, {300, 3}, {256, 256}, {70'000, 70'000}}) {
      std::vector<int32_t> ids(static_cast<size_t>(count));
      for (size_t i = 0; i < ids.size(); ++i)
        ids[i] = static_cast<int32_t>(limit - 1 - static_cast<int64_t>(i * i * 7919) % distinct);
      const Numbers64 wanted = added(ids, limit, 5, DType::f32, DType::f32, backend("reference"));
      for (Backend* to : tested_backends()) {
        INFO(count, " ids, ", distinct, " of ", limit, " rows, on ", to->name());
        CHECK((added(ids, limit, 5, DType::f32, DType::f32, *to) == wanted));
      }
    }
  std::vector<int32_t> ids(1023);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = i % 3 == 1 ? 5 : static_cast<int32_t>(i % 41);
  for (DType rows : {DType::f32, DType::f64, DType::bf16, DType::f16})
    for (int64_t n : {33, 64, 4136}) {  // in single columns, in packs, and more than a block has threads for
      const Numbers64 wanted = added(ids, 41, n, rows, DType::f32, backend("reference"));
      if (rows != DType::f64)
        for (Backend* to : tested_backends()) {
          INFO(n, " columns of ", name_of(rows), " on ", to->name());
          CHECK((added(ids, 41, n, rows, DType::f32, *to) == wanted));
        }
    }
}

TEST_CASE("rows with equal ids are added in their order") {
  // 1 disappears beside 2^24, so each order has a sum of its own. The reference, in f64, has only one.
  const std::vector<float> numbers = {1, 0x1p24f, 1, -0x1p24f, 1, 1, 0x1p24f, -0x1p24f, 1, 0x1p24f, 1, 1};
  const auto count = static_cast<int64_t>(numbers.size());
  for (Backend* to : tested_backends()) {
    if (to->name() == "reference") continue;
    CAPTURE(to->name());
    std::vector<int32_t> ids;
    std::vector<float> sums(3);
    for (size_t i = 0; i < numbers.size(); ++i) {
      ids.push_back(static_cast<int32_t>(i * i % 3));
      sums[static_cast<size_t>(ids.back())] += numbers[i];
    }
    const Tensor table = Tensor::zeros({3, 1}, DType::f32, *to);
    to->scatter_add_rows(Tensor::from(numbers, {count, 1}, *to).view(),
                         Tensor::from(ids, {count}, *to).view(), table.view());
    CHECK(table.to_vector<float>() == sums);
  }
}

// On a device a bad id is found when the host next waits, and the kernel meets it before.
TEST_CASE("ids outside the table add nothing on a device") {
  for (Backend* to : tested_backends()) {
    if (to->name() != "simt" && to->name() != "cuda") continue;
    CAPTURE(to->name());
    for (int64_t count : {7, 500}) {
      std::vector<int32_t> ids(static_cast<size_t>(count)), good;
      for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i % 5);
      Numbers64 wanted(5);
      for (size_t i = 0; i < ids.size(); ++i)
        if (i % 4 == 1)
          ids[i] = i % 3 == 0 ? -1 : i % 3 == 1 ? 5 : i % 8 == 1 ? INT32_MIN : INT32_MAX;
        else
          wanted[static_cast<size_t>(ids[i])] += 1;
      const Tensor table = Tensor::zeros({5, 1}, DType::f32, *to);
      to->scatter_add_rows(Tensor::full({count, 1}, 1, DType::f32, *to).view(),
                           Tensor::from(ids, {count}, *to).view(), table.view());
      CHECK(table.to_vector<double>() == wanted);
    }
  }
}

TEST_CASE("numbers of every dtype are copied into every other") {
  constexpr DType dtypes[] = {DType::f32, DType::f64, DType::bf16, DType::f16,
                              DType::i32, DType::u16, DType::u8};
  for (Backend* to : tested_backends())
    for (DType from : dtypes)
      for (const Shape& shape : {Shape{6, 64}, Shape{5, 33}, Shape{}}) {
        const Numbers64 numbers = numbers_for({0, 250, 1}, shape, 0);  // every dtype holds them
        const Tensor x = tensor_of(numbers, shape, from, *to);
        for (DType into : dtypes) {
          INFO(name_of(from), " to ", name_of(into), " on ", to->name());
          CHECK(x.to(into).to_vector<double>() == numbers);
          if (shape.rank == 2) {
            const Tensor y = Tensor::empty({shape[1], shape[0]}, into, *to);
            to->copy(x.view().transpose(0, 1), y.view());
            CHECK(y.transpose(0, 1).to_vector<double>() == numbers);
          }
        }
      }
}

}  // namespace chapbook
