// The profiled backend: the same bits as the one it wraps, and counts that can be checked by hand.
#include <doctest/doctest.h>

#include "tensor/profile/profile_backend.h"
#include "tests/support/run_case.h"

using namespace chapbook;

static std::vector<Tensor> inputs_of(const OpCase& row, const std::vector<Shape>& shapes, Backend& backend) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : shapes)
    inputs.push_back(tensor_of(numbers_for(row.domain, shape, static_cast<int>(inputs.size())), shape,
                               DType::f32, backend));
  return inputs;
}

TEST_CASE("every row of the table of ops has the bits of the backend that is wrapped") {
  Backend& plain = default_backend();
  ProfileBackend profiled(plain);
  for (const OpCase& row : op_cases())
    for (const std::vector<Shape>& shapes : row.shapes) {
      CAPTURE(row.name);
      const Computed wanted = run(row, inputs_of(row, shapes, plain));
      const Computed got = run(row, inputs_of(row, shapes, profiled));
      CHECK(got.shape == wanted.shape);
      // Bits, so that NaN equals NaN.
      const auto same = [](const Numbers64& a, const Numbers64& b) {
        return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](double x, double y) {
                 return std::bit_cast<uint64_t>(x) == std::bit_cast<uint64_t>(y);
               });
      };
      CHECK(same(got.y, wanted.y));
      REQUIRE(got.gradients.size() == wanted.gradients.size());
      for (size_t i = 0; i < got.gradients.size(); ++i) CHECK(same(got.gradients[i], wanted.gradients[i]));
    }
  double before = 0;
  for (const Call& call : profiled.take_calls().calls) {
    CAPTURE(call.op);
    CHECK(call.start >= before);  // one after another
    CHECK(call.end >= call.start);
    CHECK(call.cost.flops >= 0);
    CHECK(call.cost.bytes() >= 0);
    before = call.end;
  }
  CHECK(profiled.take_calls().calls.empty());
  CHECK(profiled.blocks().live_bytes() == 0);  // all tensors are gone
}

namespace {

struct Fixture {
  ProfileBackend profiled{chapbook::backend("reference")};
  Backend& backend = profiled;
  Tensor make(const Shape& shape, DType dtype = DType::f32) {
    return Tensor::from(std::vector<double>(shape.count(), 0.5), shape, backend).to(dtype);
  }
  Call last() { return profiled.take_calls().calls.back(); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "FLOPs and bytes of calls counted by hand") {
  const Tensor a = make({3, 4}), b = make({4, 5}), row = make({5}), y = make({3, 5}), z = make({3, 5});
  const auto expect = [&](const char* op, const char* shapes, double flops, double read, double written) {
    const Call call = last();
    CHECK(call.op == op);
    CHECK(call.shapes == shapes);
    CHECK(call.cost.flops == flops);
    CHECK(call.cost.read == read);
    CHECK(call.cost.written == written);
  };
  backend.matmul(a.view(), b.view(), y.view(), {});
  expect("matmul", "(3, 4) (4, 5)", 2 * 3 * 4 * 5, 4 * (12 + 20), 4 * 15);
  Epilogue forward;
  forward.bias = row.view(), forward.activation = Activation::gelu, forward.before = z.view();
  backend.matmul(a.view(), b.view(), y.view(), forward);
  expect("matmul+bias+gelu", "(3, 4) (4, 5)", 120 + 15 * (1 + 11), 4 * (12 + 20 + 5), 4 * (15 + 15));
  Epilogue back;
  back.residual = y.view(), back.activation = Activation::gelu_backward, back.before = z.view();
  back.b_sums = row.view();
  backend.matmul(a.view(), b.view(), y.view(), back);
  expect("matmul+gelu_backward+residual+sums", "(3, 4) (4, 5)", 120 + 15 * (21 + 1) + 20,
         4 * (12 + 20 + 15 + 15), 4 * (15 + 5));
  backend.binary(Binary::add, y.view(), row.view().broadcast_to({3, 5}), z.view());
  expect("binary add", "(3, 5)", 15, 4 * (15 + 5), 4 * 15);  // what is repeated is read once
  backend.unary(Unary::gelu, y.view(), z.view());
  expect("unary gelu", "(3, 5)", 11 * 15, 60, 60);
  backend.copy(y.view(), make({3, 5}, DType::bf16).view());
  expect("copy f32 to bf16", "(3, 5)", 0, 60, 30);
  backend.reduce(Reduce::sum, y.view(), make({1, 5}).view());
  expect("reduce sum", "(3, 5) (1, 5)", 15, 60, 20);
  const std::vector<In> views{a.view(), b.view()};
  backend.square_sum(views, Tensor::empty({}, DType::f64, backend).view());
  expect("square_sum", "(32,)", 64, 128, 8);
}

TEST_CASE_FIXTURE(Fixture, "attention counts the places a query sees") {
  // One head of 2 queries over 3 places: 2 and 3 of them are seen, numbers of 4.
  const Tensor q = make({1, 1, 2, 4}), k = make({1, 1, 3, 4}), log_sum = make({1, 1, 2});
  const Tensor y = make({1, 1, 2, 4}), dk = make({1, 1, 3, 4}), dv = make({1, 1, 3, 4});
  backend.attention(q.view(), k.view(), k.view(), 1, y.view(), log_sum.view());
  Call call = last();
  CHECK(call.shapes == "(1, 1, 2, 4) (3,)");
  CHECK(call.cost.flops == 5 * (4 * 4 + 5));
  CHECK(call.cost.bytes() == 4 * (8 + 12 + 12 + 8 + 2));
  backend.attention_backward(q.view(), k.view(), k.view(), 1, y.view(), log_sum.view(), y.view(), q.view(),
                             dk.view(), dv.view());
  call = last();
  CHECK(call.cost.flops == 5 * (10 * 4 + 6));
}

TEST_CASE_FIXTURE(Fixture, "a call knows its phase and the bytes in use after it") {
  current_phase = Phase::backward;
  Tensor x = Tensor::zeros({1000}, DType::f32, backend);
  current_phase = Phase::forward;
  Call call = last();
  CHECK(call.phase == Phase::backward);
  const size_t with_x = call.live;
  CHECK(with_x >= 4000);
  x = {};
  Tensor::zeros({10}, DType::f32, backend);
  call = last();
  CHECK(call.phase == Phase::forward);
  CHECK(call.live + 4000 <= with_x + 64);
}

TEST_CASE_FIXTURE(Fixture, "writing down takes time of its own, within the whole") {
  const double start = profiled.now();
  for (int i = 0; i < 100; ++i) Tensor::zeros({10}, DType::f32, backend);
  const double whole = profiled.now() - start;
  const auto [calls, recording] = profiled.take_calls();
  double sum = 0;
  for (const Call& call : calls) sum += call.end - call.start;
  CHECK(calls.size() == 100);
  CHECK(recording > 0);
  CHECK(sum + recording <= whole);
}

TEST_CASE_FIXTURE(Fixture, "an error passes through and leaves no call behind") {
  profiled.take_calls();
  CHECK_THROWS_AS(gather_rows(make({2, 3}), Tensor::from(std::vector<int32_t>{2}, {1}, backend)), Error);
  for (const Call& call : profiled.take_calls().calls) CHECK(call.op != "gather_rows");
  CHECK(backend.name() == "profiled reference");
}
