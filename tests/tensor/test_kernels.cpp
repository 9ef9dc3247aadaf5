// Kernels called as backends get them: results go into views with gaps, surrounded by a sentinel, as slices
// and transposes ask for. The tests of ops cannot show this, since most ops make a fresh contiguous result.
#include <doctest/doctest.h>

#include "tests/support/run_case.h"

namespace chapbook {

namespace {

enum class Kind { number, positive, id, yes_or_no, fresh };  // fresh: what the kernel must write itself

struct Operand {
  Shape shape;
  Kind kind = Kind::number;
};

// Inputs, then results: what kernels add to or update in place starts as an input does, the others as NaN.
struct KernelCase {
  std::string name;
  std::vector<Operand> inputs, results;
  std::function<void(Backend& backend, const std::vector<View>& x, const std::vector<View>& y)> call;
  DType result_dtype = DType::f32;  // f32 stands for that of the inputs
};

const double scale = 0.6;

std::vector<KernelCase> kernel_cases() {
  using Views = const std::vector<View>&;
  using B = Backend&;
  const Operand square{{6, 7}}, fresh{{6, 7}, Kind::fresh}, vector{{7}}, rows{{6}, Kind::positive};
  const Operand fresh_vector{{7}, Kind::fresh}, targets{{6}, Kind::id}, one{{}, Kind::positive};
  const Operand q{{2, 2, 3, 4}}, k{{2, 2, 5, 4}}, log_sum{{2, 2, 3}, Kind::positive};
  return {
      {"fill", {}, {fresh}, [](B b, Views, Views y) { b.fill(y[0], 3); }},
      {"copy", {square}, {fresh}, [](B b, Views x, Views y) { b.copy(x[0], y[0]); }},
      {"copy to bf16", {square}, {fresh}, [](B b, Views x, Views y) { b.copy(x[0], y[0]); }, DType::bf16},
      {"unary", {square}, {fresh}, [](B b, Views x, Views y) { b.unary(Unary::tanh, x[0], y[0]); }},
      {"binary",
       {square, square},
       {fresh},
       [](B b, Views x, Views y) { b.binary(Binary::mul, x[0], x[1], y[0]); }},
      {"binary, repeated",
       {square, vector},
       {fresh},
       [](B b, Views x, Views y) {
         b.binary(Binary::sub, x[0], x[1].broadcast_to({6, 7}), y[0]);
       }},
      {"comparison",
       {square, square},
       {fresh},
       [](B b, Views x, Views y) { b.binary(Binary::less, x[0], x[1], y[0]); },
       DType::u8},
      {"where",
       {{{6, 7}, Kind::yes_or_no}, square, square},
       {fresh},
       [](B b, Views x, Views y) { b.where(x[0], x[1], x[2], y[0]); }},
      {"uniform", {}, {fresh}, [](B b, Views, Views y) { b.random(Distribution::uniform, 3, 4, y[0]); }},
      {"normal", {}, {fresh}, [](B b, Views, Views y) { b.random(Distribution::normal, 3, 4, y[0]); }},
      {"triangle", {}, {fresh}, [](B b, Views, Views y) { b.triangle(y[0], 1); }, DType::u8},
      {"sum of rows",
       {square},
       {{{6, 1}, Kind::fresh}},
       [](B b, Views x, Views y) { b.reduce(Reduce::sum, x[0], y[0]); }},
      {"max of columns",
       {square},
       {{{1, 7}, Kind::fresh}},
       [](B b, Views x, Views y) { b.reduce(Reduce::max, x[0], y[0]); }},
      {"argmax",
       {square},
       {{{6}, Kind::fresh}},
       [](B b, Views x, Views y) { b.argmax(x[0], y[0]); },
       DType::i32},
      {"square_sum",
       {square, vector},
       {{{}, Kind::fresh}},
       [](B b, Views x, Views y) { b.square_sum(std::vector<In>(x.begin(), x.end()), y[0]); },
       DType::f64},
      {"matmul",
       {{{6, 5}}, {{5, 7}}},
       {fresh},
       [](B b, Views x, Views y) { b.matmul(x[0], x[1], y[0], {}); }},
      {"matmul of batches",
       {{{2, 3, 6, 5}}, {{2, 3, 5, 7}}},
       {{{2, 3, 6, 7}, Kind::fresh}},
       [](B b, Views x, Views y) { b.matmul(x[0], x[1], y[0], {}); }},
      {"softmax", {square}, {fresh}, [](B b, Views x, Views y) { b.softmax(x[0], y[0]); }},
      {"softmax_backward",
       {square, square},
       {fresh},
       [](B b, Views x, Views y) { b.softmax_backward(x[0], x[1], y[0]); }},
      {"log_softmax", {square}, {fresh}, [](B b, Views x, Views y) { b.log_softmax(x[0], y[0]); }},
      {"log_softmax_backward",
       {square, square},
       {fresh},
       [](B b, Views x, Views y) { b.log_softmax_backward(x[0], x[1], y[0]); }},
      {"layer_norm",
       {square, vector, vector},
       {fresh, {{6}, Kind::fresh}, {{6}, Kind::fresh}},
       [](B b, Views x, Views y) { b.layer_norm(x[0], x[1], x[2], 0.1, y[0], y[1], y[2]); }},
      {"layer_norm_backward",
       {square, vector, rows, rows, square},
       {fresh, fresh_vector, fresh_vector},
       [](B b, Views x, Views y) { b.layer_norm_backward(x[0], x[1], x[2], x[3], x[4], y[0], y[1], y[2]); }},
      {"gather_rows",
       {{{9, 7}}, targets},
       {fresh},
       [](B b, Views x, Views y) { b.gather_rows(x[0], x[1], y[0]); }},
      {"scatter_add_rows",
       {square, targets},
       {{{9, 7}}},
       [](B b, Views x, Views y) { b.scatter_add_rows(x[0], x[1], y[0]); }},
      {"cross_entropy",
       {square, targets},
       {{{}, Kind::fresh}, {{6}, Kind::fresh}},
       [](B b, Views x, Views y) {
         b.cross_entropy(x[0], x[1], {.ignore = 4, .smoothing = 0.1}, y[0], y[1]);
       }},
      {"cross_entropy_backward",
       {square, targets, rows, one},
       {fresh},
       [](B b, Views x, Views y) {
         b.cross_entropy_backward(x[0], x[1], {.ignore = 4, .smoothing = 0.1}, x[2], x[3], y[0]);
       }},
      {"attention",
       {q, k, k},
       {{q.shape, Kind::fresh}, {{2, 2, 3}, Kind::fresh}},
       [](B b, Views x, Views y) { b.attention(x[0], x[1], x[2], scale, y[0], y[1]); }},
      {"attention_backward",
       {q, k, k, q, log_sum, q},
       {{q.shape, Kind::fresh}, {k.shape, Kind::fresh}, {k.shape, Kind::fresh}},
       [](B b, Views x, Views y) {
         b.attention_backward(x[0], x[1], x[2], scale, x[3], x[4], x[5], y[0], y[1], y[2]);
       }},
      {"adamw",
       {square},
       {square, square, {{6, 7}, Kind::positive}},
       [](B b, Views x, Views y) {
         const AdamWPart part{y[0], x[0], y[1], y[2], 0.1};
         b.adamw({.rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-3, .step = 2, .gradient_scale = {}},
                 {&part, 1});
       }},
  };
}

// The operand number `which` of a kernel that computes with `dtype`.
Placed place(const Operand& operand, DType dtype, DType fresh, int which, Backend& to, Layout layout) {
  const auto make = [&](Domain domain, DType as) {
    return Placed(tensor_of(numbers_for(domain, operand.shape, which), operand.shape, as, to), layout);
  };
  switch (operand.kind) {
    case Kind::number:
      return make({}, dtype);
    case Kind::positive:
      return make({0.1, 1}, dtype);
    case Kind::id:
      return make({0, 6, 1}, DType::i32);
    case Kind::yes_or_no:
      return make({0, 1, 1}, DType::u8);
    case Kind::fresh:
      break;
  }
  const double unwritten = is_float(fresh) ? std::numeric_limits<double>::quiet_NaN() : 99;
  return Placed(Tensor::full(operand.shape, unwritten, fresh, to), layout);
}

std::vector<Numbers64> results_of(const KernelCase& row, DType dtype, Backend& backend, Layout layout) {
  std::vector<Placed> inputs, results;
  std::vector<View> x, y;
  for (const Operand& operand : row.inputs)
    inputs.push_back(place(operand, dtype, dtype, static_cast<int>(inputs.size()), backend, layout));
  const DType fresh = row.result_dtype == DType::f32 ? dtype : row.result_dtype;
  for (const Operand& operand : row.results)
    results.push_back(place(operand, dtype, fresh, 20 + static_cast<int>(results.size()), backend, layout));
  for (const Placed& each : inputs) x.push_back(each.tensor().view());
  for (const Placed& each : results) y.push_back(each.tensor().view());
  row.call(backend, x, y);
  std::vector<Numbers64> numbers;
  for (const Placed& each : inputs) CHECK_MESSAGE(each.intact(), "an input was written to");
  for (const Placed& each : results) {
    CHECK_MESSAGE(each.intact_around(), "something beside a result was written to");
    numbers.push_back(each.tensor().to_vector<double>());
  }
  return numbers;
}

}  // namespace

TEST_CASE("every kernel writes its results, and nothing else, into views with gaps") {
  Tally tally;
  for (const KernelCase& row : kernel_cases())
    for (DType dtype : {DType::f32, DType::f64}) {
      const auto wanted = results_of(row, dtype, backend("reference"), Layout::contiguous);
      for (Backend* backend : tested_backends())
        for (Layout layout : {Layout::contiguous, Layout::transposed, Layout::sliced, Layout::scattered}) {
          INFO(row.name, " ", name_of(dtype), " ", name_of(layout), " on ", backend->name());
          const auto got = results_of(row, dtype, *backend, layout);
          for (size_t i = 0; i < wanted.size(); ++i) {
            const double error = relative_error(got[i], wanted[i]);
            if (!(error <= tolerance(dtype))) FAIL_CHECK("result ", i, " is off by ", error);
          }
          tally.count(*backend, row.name);
        }
    }
  MESSAGE("kernels: ", tally.to_string());
}

// Rows of n numbers, each of which begins at another place of the 16 bytes that are read at once.
TEST_CASE("kernels along rows take rows that begin anywhere") {
  const auto results = [](int64_t n, int64_t offset, DType dtype, Backend& backend) {
    const Shape shape{9, n};
    const auto placed = [&](const Tensor& x) {
      const Tensor whole = Tensor::full({9, n + 8}, NAN, dtype, backend);  // what is read beside a row shows
      const Tensor part = whole.slice(1, offset, offset + n);
      backend.copy(x.view(), part.view());
      return part;
    };
    const auto numbers = [&](int which) {  // halves of whole numbers, so that some are equal
      return placed(tensor_of(numbers_for({-4, 4, 0.5}, shape, which), shape, dtype, backend));
    };
    const DType wide = dtype == DType::f64 ? DType::f64 : DType::f32;
    const Tensor x = numbers(1), dy = numbers(2), y = numbers(3), weight = numbers(4).select(0, 1);
    const Tensor ids =
        tensor_of(numbers_for({0, static_cast<double>(n) - 1, 1}, {9}, 5), {9}, DType::i32, backend);
    const Tensor sums = Tensor::empty({9, 1}, wide, backend), others = Tensor::empty({9}, wide, backend);
    const Tensor places = Tensor::empty({9}, DType::i32, backend), loss = Tensor::empty({}, wide, backend);
    std::vector<Numbers64> all;
    const auto keep = [&](const Tensor& result) { all.push_back(result.to_vector<double>()); };
    for (Reduce op : {Reduce::sum, Reduce::max}) backend.reduce(op, x.view(), sums.view()), keep(sums);
    backend.argmax(x.view(), places.view()), keep(places);
    backend.fill(y.view(), 1), backend.fill(y.slice(1, 0, 1).view(), 0);  // all equal but the first
    backend.argmax(y.view(), places.view()), keep(places);
    backend.softmax(x.view(), y.view()), keep(y);
    backend.softmax_backward(x.view(), dy.view(), y.view()), keep(y);
    backend.log_softmax(x.view(), y.view()), keep(y);
    backend.layer_norm(x.view(), weight.view(), {}, 0.1, y.view(), sums.select(1, 0).view(), others.view());
    keep(y), keep(sums), keep(others);
    backend.cross_entropy(x.view(), ids.view(), {.smoothing = 0.1}, loss.view(), others.view());
    keep(loss), keep(others);
    const Tensor rows = tensor_of(numbers_for({0, 8, 1}, {9}, 6), {9}, DType::i32, backend);
    backend.gather_rows(x.view(), rows.view(), y.view()), keep(y);
    return all;
  };
  for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16})
    for (int64_t n : {1, 7, 8, 30, 131})
      for (int64_t offset : {0, 1, 3, 8}) {
        const auto wanted = results(n, offset, dtype, backend("reference"));
        for (Backend* to : tested_backends()) {
          const auto got = results(n, offset, dtype, *to);
          for (size_t i = 0; i < wanted.size(); ++i) {
            INFO("result ", i, " of rows of ", n, " from ", offset, " of ", name_of(dtype), " on ",
                 to->name());
            const double error = relative_error(got[i], wanted[i]);
            if (!(error <= tolerance(dtype))) FAIL_CHECK("is off by ", error);
          }
        }
      }
}

}  // namespace chapbook
