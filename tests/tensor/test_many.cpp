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

std::vector<View> views_of(const std::vector<Tensor>& tensors) {
  std::vector<View> views;
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
