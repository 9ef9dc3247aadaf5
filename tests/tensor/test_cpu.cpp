// What is special to the cpu backend: the same bits for any number of threads, and each of its loops against
// the reference at sizes and strides that do not divide evenly. Products are in test_gemm.cpp.
#include <doctest/doctest.h>

#include <cmath>

#include "tensor/ops.h"
#include "tests/support/operand.h"
#include "tests/support/run_case.h"

using namespace chapbook;

TEST_CASE("cpu: elementwise, every formula and pattern of strides") {
  for (const Shape& shape : {Shape{1}, Shape{31}, Shape{3, 1023}, Shape{33, 17}, Shape{2, 3, 5, 7}}) {
    CAPTURE(shape.to_string());
    const int rank = shape.rank;
    std::vector<int> backwards(rank);
    std::iota(backwards.rbegin(), backwards.rend(), 0);
    for (int op = 0; op <= static_cast<int>(Unary::gelu_erf); ++op) {
      const Call call = [op](Backend& b, Operands& x) { b.unary(Unary(op), x[0].view(), x[1].view()); };
      const std::string name(name_of(Unary(op)));
      agree(name, {Operand(shape).normal(1), Operand(shape)}, 1e-6, call);
      agree(name + ", gaps",
            {Operand(shape, DType::f32, {}, 3).normal(1), Operand(shape, DType::f32, backwards, 1)}, 1e-6,
            call);
      agree(name + ", f64", {Operand(shape, DType::f64).normal(1), Operand(shape, DType::f64)}, 1e-14, call);
      agree(name + ", half", {Operand(shape, DType::bf16).normal(1), Operand(shape, DType::bf16)}, 1e-2,
            call);
    }
    for (int op = 0; op <= static_cast<int>(Binary::greater_equal); ++op) {
      const DType result = is_comparison(Binary(op)) ? DType::u8 : DType::f32;
      const std::string name(name_of(Binary(op)));
      const Call call = [op](Backend& b, Operands& x) {
        b.binary(Binary(op), x[0].view(), x[1].view(), x[2].view());
      };
      agree(name, {Operand(shape).normal(1), Operand(shape).normal(2), Operand(shape, result)}, 3e-6, call);
      agree(name + ", gaps",
            {Operand(shape, DType::f32, backwards).normal(1), Operand(shape, DType::f32, {}, 2).normal(2),
             Operand(shape, result, {}, 1)},
            3e-6, call);
      const Shape row{shape[-1]};
      Shape column = shape;
      column[-1] = 1;
      for (const Shape& small : {row, column, Shape{}})
        for (bool left : {false, true})
          agree(name + ", stretched",
                {Operand(small).normal(1), Operand(shape).normal(2), Operand(shape, result)}, 3e-6,
                [&, op](Backend& b, Operands& x) {
                  const View stretched = x[0].view().broadcast_to(shape), whole = x[1].view();
                  b.binary(Binary(op), left ? stretched : whole, left ? whole : stretched, x[2].view());
                });
    }
  }
}

TEST_CASE("cpu: NaN and infinity through maximum, relu, exp and comparisons") {
  const float nan = NAN, infinity = INFINITY;
  Operand x({40}), y({40}), z({40});
  for (int i = 0; i < 40; ++i) {
    const float special[] = {nan, infinity, -infinity, 0.0f, -0.0f, 1e38f, -1e-40f, 100};
    x.view().as<float>()[i] = special[i % 8];
    y.view().as<float>()[i] = special[i / 8 % 8];
  }
  for (Unary op : {Unary::exp, Unary::relu, Unary::abs, Unary::tanh, Unary::sigmoid})
    agree(std::string(name_of(op)), {x, z}, 1e-6,
          [op](Backend& b, Operands& o) { b.unary(op, o[0].view(), o[1].view()); });
  for (Binary op : {Binary::maximum, Binary::minimum})
    agree(std::string(name_of(op)), {x, y, z}, 0,
          [op](Backend& b, Operands& o) { b.binary(op, o[0].view(), o[1].view(), o[2].view()); });
}

TEST_CASE("cpu: fill, copy, convert and where") {
  for (DType from : {DType::f32, DType::f64, DType::bf16, DType::f16})
    for (DType to : {DType::f32, DType::f64, DType::bf16, DType::f16})
      agree(std::string(name_of(from)) + " to " + std::string(name_of(to)),
            {Operand({3, 1023}, from).normal(3), Operand({3, 1023}, to)}, 0,
            [](Backend& b, Operands& x) { b.copy(x[0].view(), x[1].view()); });
  const Shape shape{3, 33, 5, 70};
  for (const std::vector<int>& order :
       {std::vector<int>{0, 2, 1, 3}, {0, 1, 3, 2}, {3, 2, 1, 0}, {2, 3, 0, 1}})
    for (int64_t gap : {0, 2})
      for (bool reversed : {false, true}) {
        Operand plain = Operand(shape, DType::f32, {}, gap), permuted(shape, DType::f32, order, gap);
        Operands operands = {(reversed ? permuted : plain).normal(4), reversed ? plain : permuted};
        agree("copy", operands, 0, [](Backend& b, Operands& x) { b.copy(x[0].view(), x[1].view()); });
      }
  for (DType dtype : {DType::f32, DType::u8, DType::i32, DType::bf16})
    agree("fill", {Operand({7, 33}, dtype, {}, 1)}, 0,
          [](Backend& b, Operands& x) { b.fill(x[0].view(), 3); });
  Operand condition({33, 70}, DType::u8);
  for (Index i(condition.view().shape); i; ++i)
    condition.view().as<uint8_t>()[i.offset(condition.view().strides)] = (i.at[0] * 7 + i.at[1]) % 3 == 0;
  agree("where", {condition, Operand({33, 70}).normal(1), Operand({1, 70}).normal(2), Operand({33, 70})}, 0,
        [](Backend& b, Operands& x) {
          b.where(x[0].view(), x[1].view(), x[2].view().broadcast_to({33, 70}), x[3].view());
        });
}

TEST_CASE("cpu: random numbers are the reference's") {
  for (Distribution distribution : {Distribution::uniform, Distribution::normal})
    for (const Shape& shape : {Shape{1}, Shape{33, 1023}})
      agree("random", {Operand(shape)}, 0,
            [&](Backend& b, Operands& x) { b.random(distribution, 7, uint64_t{1} << 33, x[0].view()); });
}

TEST_CASE("cpu: reductions of any axes") {
  const auto check_all = [](const Shape& shape, const std::vector<int>& order, int64_t gap) {
    CAPTURE(shape.to_string());
    for (int mask = 0; mask < 1 << shape.rank; ++mask) {
      Shape result = shape;
      for (int axis = 0; axis < shape.rank; ++axis)
        if (mask >> axis & 1) result[axis] = 1;
      CAPTURE(mask);
      for (Reduce op : {Reduce::sum, Reduce::max, Reduce::min}) {
        const Call call = [op](Backend& b, Operands& x) { b.reduce(op, x[0].view(), x[1].view()); };
        agree("reduce",
              {Operand(shape, DType::f32, order, gap).normal(5), Operand(result, DType::f32, {}, 1)}, 1e-6,
              call);
        agree("reduce f64", {Operand(shape, DType::f64, order, gap).normal(5), Operand(result, DType::f64)},
              1e-13, call);
      }
    }
  };
  check_all({1}, {}, 0);
  check_all({70001}, {}, 0);
  check_all({1023, 31}, {}, 0);
  check_all({1023, 31}, {1, 0}, 2);
  check_all({5, 600, 33}, {}, 1);
  check_all({3, 17, 5, 33}, {2, 0, 3, 1}, 1);
  Operand holes = Operand({3, 100}).normal(1);
  holes.view().as<float>()[7] = holes.view().as<float>()[250] = NAN;
  for (Reduce op : {Reduce::sum, Reduce::max, Reduce::min})
    agree("reduce NaN", {holes, Operand({3, 1})}, 1e-6,
          [op](Backend& b, Operands& x) { b.reduce(op, x[0].view(), x[1].view()); });
}

TEST_CASE("cpu: argmax takes the first of equals and survives NaN") {
  for (int64_t n : {1, 31, 33, 1023}) {
    Operand x = Operand({5, n}, DType::f32, {}, 3).normal(6);
    float* numbers = x.view().as<float>();
    const int64_t step = x.view().strides[0];
    if (n > 20) numbers[3] = numbers[17] = 50;
    std::fill(numbers + step, numbers + step + n, -INFINITY);
    numbers[2 * step] = NAN;
    numbers[3 * step + n / 2] = NAN;
    agree("argmax", {x, Operand({5}, DType::i32)}, 0,
          [](Backend& b, Operands& o) { b.argmax(o[0].view(), o[1].view()); });
  }
}

TEST_CASE("cpu: square_sum of many views") {
  agree("square_sum",
        {Operand({1}).normal(1), Operand({333, 101}, DType::f32, {1, 0}, 2).normal(2), Operand({0}),
         Operand({40001}).normal(3), Operand({}, DType::f64)},
        1e-12, [](Backend& b, Operands& x) {
          const In views[] = {x[0].view(), x[1].view(), x[2].view(), x[3].view()};
          b.square_sum(views, x[4].view());
        });
}

TEST_CASE("cpu: softmax, its logarithm and their gradients") {
  for (int64_t n : {1, 31, 33, 1023, 5000})
    for (int64_t gap : {0, 3}) {
      CAPTURE(n);
      const auto operand = [&] { return Operand({2, 5, n}, DType::f32, {1, 0, 2}, gap); };
      const auto wide = [&](uint64_t seed) { return operand().normal(seed, 10); };
      agree("softmax", {wide(1), operand()}, 3e-6,
            [](Backend& b, Operands& x) { b.softmax(x[0].view(), x[1].view()); });
      agree("log_softmax", {wide(1), operand()}, 1e-6,
            [](Backend& b, Operands& x) { b.log_softmax(x[0].view(), x[1].view()); });
      agree("softmax_backward", {wide(1), wide(2), operand()}, 3e-6,
            [](Backend& b, Operands& x) { b.softmax_backward(x[0].view(), x[1].view(), x[2].view()); });
      agree("log_softmax_backward", {operand().normal(1), wide(2), operand()}, 3e-6,
            [](Backend& b, Operands& x) { b.log_softmax_backward(x[0].view(), x[1].view(), x[2].view()); });
      agree("softmax across", {Operand({n, 7}, DType::f32, {1, 0}).normal(3), Operand({n, 7})}, 3e-6,
            [](Backend& b, Operands& x) { b.softmax(x[0].view(), x[1].view()); });
    }
  Operand masked = Operand({3, 5000}).normal(1);
  std::fill(masked.view().as<float>(), masked.view().as<float>() + 4000, -INFINITY);
  agree("masked", {masked, Operand({3, 5000})}, 3e-6,
        [](Backend& b, Operands& x) { b.softmax(x[0].view(), x[1].view()); });
  agree("masked", {masked, Operand({3, 5000})}, 3e-6,
        [](Backend& b, Operands& x) { b.log_softmax(x[0].view(), x[1].view()); });
}

TEST_CASE("cpu: layer norm and its gradients") {
  for (int64_t rows : {1, 63, 130})
    for (int64_t n : {1, 31, 33, 384, 1023})
      for (bool with_bias : {false, true}) {
        CAPTURE(rows);
        CAPTURE(n);
        const Shape shape{rows, n};
        const Operand x = Operand(shape, DType::f32, {}, 2).normal(1, 3), weight = Operand({n}).normal(2);
        agree("layer_norm",
              {x, weight, Operand({n}).normal(3), Operand(shape), Operand({rows}), Operand({rows})}, 1e-5,
              [&](Backend& b, Operands& o) {
                b.layer_norm(o[0].view(), o[1].view(), with_bias ? o[2].view() : View{}, 1e-5, o[3].view(),
                             o[4].view(), o[5].view());
              });
        agree("layer_norm_backward",
              {x, weight, Operand({rows}).normal(4), Operand({rows}).normal(5), Operand(shape).normal(6),
               Operand(shape), Operand({n}), Operand({n})},
              1e-5, [&](Backend& b, Operands& o) {
                reference().fill(o[7].view(), 0);
                b.layer_norm_backward(o[0].view(), o[1].view(), o[2].view(), o[3].view(), o[4].view(),
                                      o[5].view(), o[6].view(), with_bias ? o[7].view() : View{});
              });
      }
}

TEST_CASE("cpu: rows gathered, and added in order") {
  for (int64_t n : {1, 31, 130}) {
    const Operand ids = Operand({333}, DType::i32).below(17, 3);
    agree("gather_rows",
          {Operand({17, n}, DType::f32, {}, 1).normal(1), ids, Operand({333, n}, DType::f32, {}, 2)}, 0,
          [](Backend& b, Operands& x) { b.gather_rows(x[0].view(), x[1].view(), x[2].view()); });
    agree(
        "scatter_add_rows",
        {Operand({333, n}, DType::f32, {}, 2).normal(1), ids, Operand({17, n}, DType::f32, {}, 1).normal(2)},
        1e-6, [](Backend& b, Operands& x) { b.scatter_add_rows(x[0].view(), x[1].view(), x[2].view()); });
  }
}

// A token that is everywhere. One chain of f32 is off by 1e-5 here.
TEST_CASE("cpu: many rows of one id are summed in pieces") {
  const int64_t count = 300'000, n = 35;
  const Tensor rows = tensor_of(numbers_for({0, 1}, {count, n}, 1), {count, n}, DType::f32, backend("cpu"));
  const Tensor ids = Tensor::full({count}, 1, DType::i32, backend("cpu"));
  const Tensor sums = scatter_add_rows(rows, ids, 3);
  CHECK(relative_error(sums.select(0, 1).to_vector<double>(),
                       sum(rows.to(DType::f64), {0}).to_vector<double>()) <= 1e-6);
  for (int other : {0, 2}) CHECK(sum(abs(sums.select(0, other))).item() == 0);

  // Whole pieces and what is left of them, added to what is there.
  const Operand few = Operand({1777}, DType::i32).below(2, 3);
  agree("scatter_add_rows", {Operand({1777, 130}).normal(1), few, Operand({3, 130}).normal(2)}, 1e-6,
        [](Backend& b, Operands& x) { b.scatter_add_rows(x[0].view(), x[1].view(), x[2].view()); });
}

TEST_CASE("cpu: cross-entropy and its gradient") {
  for (int64_t classes : {1, 31, 1023, 5000})
    for (double smoothing : {0.0, 0.1})
      for (bool ignores : {false, true}) {
        CAPTURE(classes);
        CAPTURE(smoothing);
        CAPTURE(ignores);
        const int64_t rows = 37;
        Operand targets = Operand({rows}, DType::i32).below(classes, 5);
        CrossEntropy options;
        options.smoothing = smoothing;
        if (ignores)
          for (int64_t i = 0; i < rows; i += 3) targets.view().as<int32_t>()[i] = options.ignore;
        const Operand logits = Operand({rows, classes}, DType::f32, {}, 3).normal(1, 5);
        agree("cross_entropy", {logits, targets, Operand({}), Operand({rows})}, 1e-6,
              [&](Backend& b, Operands& x) {
                b.cross_entropy(x[0].view(), x[1].view(), options, x[2].view(), x[3].view());
              });
        Operand log_sum({rows}), loss({});
        Operands saved = {logits, targets};
        reference().cross_entropy(saved[0].view(), saved[1].view(), options, loss.view(), log_sum.view());
        agree("cross_entropy_backward",
              {logits, targets, log_sum, Operand({}).normal(1), Operand({rows, classes}, DType::f32, {}, 1)},
              1e-5, [&](Backend& b, Operands& x) {
                b.cross_entropy_backward(x[0].view(), x[1].view(), options, x[2].view(), x[3].view(),
                                         x[4].view());
              });
      }
}

TEST_CASE("cpu: attention over slices of one tensor, and with a prefix of keys") {
  struct Sizes {
    int64_t B, H, T, S, D;
  };
  for (const auto& [B, H, T, S, D] : {Sizes{1, 1, 1, 1, 1},
                                      {2, 3, 33, 33, 16},
                                      {1, 2, 130, 130, 33},
                                      {2, 2, 1, 75, 32},
                                      {1, 3, 5, 200, 20},
                                      {1, 1, 70, 140, 8}}) {
    CAPTURE(T);
    CAPTURE(S);
    CAPTURE(D);
    // (B, T, 3, H, D) as a projection leaves q, k and v; with S > T, only keys and values share a tensor.
    const auto head_slice = [](View x, int64_t which) { return x.select(2, which).transpose(1, 2); };
    const Operand q_source = Operand({B, T, 1, H, D}).normal(1),
                  kv_source = Operand({B, S, 2, H, D}).normal(2);
    const double scale = 1 / std::sqrt(static_cast<double>(D));
    const Call forward = [&](Backend& b, Operands& x) {
      b.attention(head_slice(x[0].view(), 0), head_slice(x[1].view(), 0), head_slice(x[1].view(), 1), scale,
                  x[2].view(), x[3].view());
    };
    Operands operands = {q_source, kv_source, Operand({B, H, T, D}, DType::f32, {0, 2, 1, 3}),
                         Operand({B, H, T})};
    agree("attention", operands, 3e-6, forward);
    forward(reference(), operands);
    Operands backward = operands;
    backward.push_back(Operand({B, H, T, D}, DType::f32, {0, 2, 1, 3}).normal(3));
    backward.push_back(Operand({B, T, 1, H, D}));
    backward.push_back(Operand({B, S, 2, H, D}));
    agree("attention_backward", backward, 1e-5, [&](Backend& b, Operands& x) {
      b.attention_backward(head_slice(x[0].view(), 0), head_slice(x[1].view(), 0), head_slice(x[1].view(), 1),
                           scale, x[2].view(), x[3].view(), x[4].view(), head_slice(x[5].view(), 0),
                           head_slice(x[6].view(), 0), head_slice(x[6].view(), 1));
    });
  }
}

TEST_CASE("cpu: AdamW over many parameters at once") {
  const auto operands = [] {
    Operands result;
    uint64_t seed = 1;
    for (const Shape& shape : {Shape{1}, Shape{33, 1023}, Shape{7}})
      for (int which = 0; which < 4; ++which) {
        result.push_back(Operand(shape).normal(seed++));
        if (which == 3) {
          const View v = result.back().view();  // v is a mean of squares
          reference().unary(Unary::abs, v, v);
        }
      }
    return result;
  }();
  for (int64_t step : {1, 1000})
    agree("adamw", operands, 1e-6, [&](Backend& b, Operands& x) {
      std::vector<AdamWPart> parts;
      for (size_t i = 0; i < x.size(); i += 4)
        parts.push_back({x[i].view(), x[i + 1].view(), x[i + 2].view(), x[i + 3].view(), i == 4 ? 0.1 : 0.0});
      double scale = 0.5;
      b.adamw({1e-3, 0.9, 0.95, 1e-8, step, View{&scale, DType::f64, {}, {}}}, parts);
    });
}
