#include "cases/op_cases.h"

#include <cmath>
#include <map>

#include "tensor/packed.h"

namespace chapbook {

// Sizes around the widths of vector registers and tiles, multiples of them, and past what one thread takes at
// a time.
static const std::vector<std::vector<Shape>> one_input = {{{3, 5}}, {{}},     {{1}},       {{31}},   {{33}},
                                                          {{1023}}, {{0, 4}}, {{3, 7001}}, {{6, 64}}};
static const std::vector<std::vector<Shape>> two_inputs = {{{3, 5}, {3, 5}},
                                                           {{3, 1}, {1, 5}},
                                                           {{}, {4}},
                                                           {{31}, {31}},
                                                           {{33}, {1}},
                                                           {{1023}, {1023}},
                                                           {{7, 33}, {33}},
                                                           {{2, 3, 1, 5}, {4, 1}},
                                                           {{0, 4}, {1, 4}},
                                                           {{3, 7001}, {3, 7001}},
                                                           {{5, 1, 301}, {5, 17, 1}},
                                                           {{6, 64}, {6, 64}},
                                                           {{6, 1, 64}, {4, 1}}};
static const std::vector<std::vector<Shape>> rows = {
    {{3, 4}}, {{1, 1}}, {{2, 31}}, {{5, 33}}, {{3, 1023}}, {{2, 3, 4}}, {{1, 5003}}, {{700, 31}}, {{6, 64}}};

// What bench/ measures; 2048 rows are 8 sequences of 256 tokens.
static const std::vector<std::vector<Shape>> real_one = {{{32, 32}}, {{256, 256}}, {{2048, 1536}}};
static const std::vector<std::vector<Shape>> real_two = {
    {{32, 32}, {32, 32}}, {{256, 256}, {256, 256}}, {{2048, 1536}, {2048, 1536}}};
static const std::vector<std::vector<Shape>> real_rows = {{{64, 64}}, {{2048, 384}}, {{2048, 4096}}};
static const std::vector<std::vector<Shape>> real_normalised = {
    {{64, 64}, {64}, {64}}, {{2048, 384}, {384}, {384}}, {{2048, 768}, {768}, {768}}};
static const std::vector<std::vector<Shape>> real_products = {{{64, 64}, {64, 64}},
                                                              {{2048, 384}, {384, 1536}}};

// Those of the rows that are neither one() nor two().
static const std::map<std::string, std::vector<std::vector<Shape>>> real_sizes = {
    {"dropout", real_one},
    {"gelu_backward", real_two},
    {"silu_backward", real_two},
    {"to bf16", real_one},
    {"sum of rows", real_rows},
    {"sum of columns", real_rows},
    {"max of rows", real_rows},
    {"argmax", real_rows},
    {"softmax", real_rows},
    {"log_softmax", real_rows},
    {"matmul", real_products},
    {"layer_norm", real_normalised},
    {"normal", real_one},
    {"linear", {{{2048, 384}, {384, 1536}, {1536}}}},
    {"mlp", {{{2048, 384}, {384, 1536}, {1536}, {1536, 384}, {384}}}},
    {"linear_cross_entropy", {{{2048, 384}, {4096, 384}}}},
    {"attention", {{{24, 256, 384}}}}};

static OpCase one(std::string name, Variable (*f)(const Variable&), Domain domain = {}) {
  return {name, one_input, [f](const Variables& x) { return f(x[0]); }, domain, true, false, real_one};
}

static OpCase two(std::string name, Variable (*f)(const Variable&, const Variable&), Domain domain = {}) {
  return {name, two_inputs, [f](const Variables& x) { return f(x[0], x[1]); }, domain, true, false, real_two};
}

// An op on Tensors that has no gradient.
template <class F>
static OpCase values(std::string name, std::vector<std::vector<Shape>> shapes, F f, Domain domain = {}) {
  const auto on_tensors = [f](const Variables& x) -> Variable {
    std::vector<Tensor> tensors;
    for (const Variable& each : x) tensors.push_back(each.value());
    return f(tensors);
  };
  return {name, std::move(shapes), on_tensors, domain, false};
}

static OpCase with_integers(OpCase row) {
  row.integers = true;
  return row;
}

using Tensors = std::vector<Tensor>;

// Integers below `limit` in an order that repeats some and skips others; every `hole`-th is -100.
static Tensor ids(const Shape& shape, int64_t limit, Backend& backend, int64_t hole = 0) {
  std::vector<int32_t> numbers(shape.count());
  for (size_t i = 0; i < numbers.size(); ++i)
    numbers[i] =
        hole && static_cast<int64_t>(i) % hole == 1 ? -100 : static_cast<int32_t>((i * i + 3) % limit);
  return Tensor::from(numbers, shape, backend);
}

// u8 of a shape: ones in the places 0, 1, 4, 9, ...
static Tensor squares(const Shape& shape, Backend& backend) {
  std::vector<uint8_t> ones(shape.count());
  for (size_t i = 0; i * i < ones.size(); ++i) ones[i * i] = 1;
  return Tensor::from(ones, shape, backend);
}

// The reductions over all axes and over some.
static void add_reductions(std::vector<OpCase>& cases, const std::string& name,
                           Variable (*f)(const Variable&, const std::vector<int>&, bool), bool integers,
                           int64_t many) {
  const auto add = [&](const std::string& how, std::vector<int> axes, bool keep,
                       std::vector<std::vector<Shape>> shapes) {
    cases.push_back({name + how, std::move(shapes), [=](const Variables& x) { return f(x[0], axes, keep); }});
    cases.back().integers = integers;
  };
  add("", {}, false, {{{2, 3, 2}}, {{}}, {{1}}, {{31}}, {{33}}, {{1023}}, {{3, many}}});
  add(" of rows", {-1}, false,
      {{{3, 4}}, {{1, 1}}, {{5, 31}}, {{2, 33}}, {{3, 1023}}, {{600, 33}}, {{5, 64}}});
  add(" of columns", {0}, false,
      {{{3, 4}}, {{1, 1}}, {{31, 5}}, {{33, 31}}, {{1023, 3}}, {{301, 270}}, {{301, 64}}});
  add(" over 0 and 2, kept", {0, 2}, true, {{{2, 3, 4}}, {{31, 2, 33}}, {{3, 33, 2}}});
  add(" over the middle", {1}, false, {{{2, 3, 4}}, {{3, 33, 31}}, {{2, 301, 5}}, {{2, 33, 160}}});
}

// Attention of T queries over S >= T places, with the rule autograd/ops.cpp has for T = S.
static Variable cached_attention(const Variables& x) {
  const Tensor q = x[0].value(), k = x[1].value(), v = x[2].value();
  const double scale = 0.7;
  const Attended saved = attention(q, k, v, scale);
  return record("attention", saved.y, {{x, [=](const Tensor& dy) {
                                          Tensor dq = Tensor::like(q), dk = Tensor::like(k),
                                                 dv = Tensor::like(v);
                                          attention_backward(q, k, v, scale, saved, dy, dq, dk, dv);
                                          return std::vector{dq, dk, dv};
                                        }}});
}

// Step 3 of AdamW on two parameters at once; x: weight, gradient, m, v. Gives the new weights, m and v.
static Tensor adamw(const Tensors& x) {
  const auto flat = [](const Tensor& t) { return t.reshape({-1}); };
  const Tensor w1 = x[0].contiguous_copy(), m1 = x[2].contiguous_copy(), v1 = abs(x[3]);
  const Tensor w2 = (x[0] * 2).contiguous_copy(), m2 = m1.contiguous_copy(), v2 = v1 * 3;
  const AdamWPart parts[] = {{w1.view(), x[1].view(), m1.view(), v1.view(), 0.1},
                             {w2.view(), x[1].view(), m2.view(), v2.view(), 0}};
  const Tensor scale = Tensor::full({}, 0.5, DType::f64, w1.backend());
  w1.backend().adamw(
      {.rate = 0.3, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 0.01, .step = 3, .gradient_scale = scale.view()},
      parts);
  return concatenate(Tensors{flat(w1), flat(m1), flat(v1), flat(w2), flat(m2), flat(v2)}, 0);
}

// x[0] x[1] + x[2] + x[3], x[1] packed; always f32, so for f64 too only what is exact will do: quarters in
// bf16, and int8, whose meaning is in f32.
static const std::vector<std::vector<Shape>> packed_products = {{{3, 4}, {4, 2}, {2}, {3, 2}},
                                                                {{2, 9, 65}, {65, 39}, {39}, {2, 9, 39}}};
template <Packing packing>
static Tensor packed_product(const Tensors& x) {
  const auto wide = [&](int i) { return x[i].to(DType::f32); };
  return matmul(wide(0), pack(wide(1), packing), wide(2), wide(3)).to(x[0].dtype());
}

static std::vector<OpCase> make() {
  const std::vector<std::vector<Shape>> affine = {
      {{3, 4}, {4, 5}, {5}}, {{1, 1}, {1, 1}, {1}}, {{2, 3, 31}, {31, 33}, {33}}, {{19, 33}, {33, 31}, {31}}};
  const std::vector<std::vector<Shape>> two_layers = {{{3, 2}, {2, 4}, {4}, {4, 2}, {2}},
                                                      {{2, 3, 5}, {5, 33}, {33}, {33, 5}, {5}},
                                                      {{17, 31}, {31, 65}, {65}, {65, 31}, {31}}};
  const std::vector<std::vector<Shape>> head = {{{3, 4}, {5, 4}}, {{2, 3, 7}, {31, 7}}, {{33, 5}, {1023, 5}}};
  std::vector<OpCase> cases = {
      // Elementwise.
      one("abs", abs),
      one("exp", exp),
      one("log", log, {0.2, 3}),
      one("sqrt", sqrt, {0.2, 3}),
      one("rsqrt", rsqrt, {0.2, 3}),
      one("tanh", tanh),
      one("sigmoid", sigmoid, {-5, 5}),
      one("relu", relu),
      one("silu", silu, {-5, 5}),
      one("gelu", gelu, {-5, 5}),
      one("gelu_erf", gelu_erf, {-5, 5}),
      with_integers(one("neg", operator-)),
      with_integers(two("add", operator+)),
      with_integers(two("sub", operator-)),
      with_integers(two("mul", operator*)),
      two("div", operator/, {0.5, 2}),
      two("pow", pow, {0.3, 2}),
      with_integers(two("maximum", maximum)),
      with_integers(two("minimum", minimum)),
      {"add a number", one_input, [](const Variables& x) { return x[0] + 0.75; }},
      {"sub a number", one_input, [](const Variables& x) { return x[0] - 0.75; }},
      {"mul a number", one_input, [](const Variables& x) { return x[0] * 0.75; }},
      {"div a number", one_input, [](const Variables& x) { return x[0] / 0.75; }},
      {"x used twice", one_input, [](const Variables& x) { return x[0] * x[0] + x[0]; }},
      {"where", two_inputs,
       [](const Variables& x) {
         const Shape shape = broadcast(x[0].shape(), x[1].shape(), "where");
         return where(squares(shape, x[0].value().backend()), x[0], x[1]);
       }},
      {"where over rows",
       {{{3, 5}, {3, 5}}, {{7, 33}, {33}}, {{6, 64}, {64}}},
       [](const Variables& x) {
         return where(squares({x[0].size(0), 1}, x[0].value().backend()), x[0], x[1]);
       }},
      {"dropout", one_input,
       [](const Variables& x) {
         Random random{7, 3};
         return dropout(x[0], 0.25, random);
       }},
      {"gated_silu",
       {{{3, 5}, {3, 5}}, {{31, 33}, {31, 33}}, {{3, 7001}, {3, 7001}}},
       [](const Variables& x) { return gated_silu(x[0], x[1]); },
       {-5, 5}},
      values("silu_backward", two_inputs, [](const Tensors& x) { return silu_backward(x[0], x[1]); },
             {-5, 5}),
      values("gelu_backward", two_inputs, [](const Tensors& x) { return gelu_backward(x[0], x[1]); },
             {-5, 5}),
      values("gelu_erf_backward", two_inputs, [](const Tensors& x) { return gelu_erf_backward(x[0], x[1]); },
             {-5, 5}),
// The steps of 1 make equals.
#define CHAPBOOK_CASE(name, operations, formula) \
  with_integers(values(#name, two_inputs, [](const Tensors& x) { return name(x[0], x[1]); }, {-2, 2, 1})),
      CHAPBOOK_COMPARISONS(CHAPBOOK_CASE)
#undef CHAPBOOK_CASE

      // Shapes.
      with_integers({"broadcast_to",
                     {{{3, 1}}, {{31, 1}}},
                     [](const Variables& x) {
                       return broadcast_to(x[0], {2, x[0].size(0), 5});
                     }}),
      with_integers({"reshape",
                     {{{3, 4}}, {{31, 6}}},
                     [](const Variables& x) {
                       return reshape(x[0], {2, -1});
                     }}),
      with_integers({"transpose",
                     {{{3, 4}}, {{31, 33}}, {{2, 3, 65}}},
                     [](const Variables& x) { return transpose(x[0], 0, -1); }}),
      with_integers(
          {"slice", {{{3, 4}}, {{31, 33}}}, [](const Variables& x) { return slice(x[0], -1, 1, 3); }}),
      with_integers({"concatenate rows",
                     {{{3, 4}, {2, 4}, {1, 4}}, {{31, 33}, {1, 33}, {0, 33}}},
                     [](const Variables& x) { return concatenate(x, 0); }}),
      with_integers({"concatenate columns",
                     {{{3, 4}, {3, 1}}, {{31, 33}, {31, 1023}}},
                     [](const Variables& x) { return concatenate(x, -1); }}),
      values("triangle", {{{3, 4}}, {{33, 31}}, {{1, 1}}},
             [](const Tensors& x) { return triangle(x[0].size(0), x[0].size(1), 1, x[0].backend()); }),
      values("triangle below", {{{3, 4}}, {{33, 31}}},
             [](const Tensors& x) { return triangle(x[0].size(0), x[0].size(1), -1, x[0].backend()); }),
  };

  // Casts. Numbers that every dtype can hold, and negative ones for those that have a sign.
  for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i32, DType::u16, DType::u8}) {
    const Domain domain = dtype == DType::u16 || dtype == DType::u8 ? Domain{0, 250} : Domain{-90, 90};
    cases.push_back(with_integers(values(
        "to " + std::string(name_of(dtype)), one_input, [dtype](const Tensors& x) { return x[0].to(dtype); },
        domain)));
  }

  add_reductions(cases, "sum", sum, true, 23333);
  add_reductions(cases, "mean", mean, false, 2333);
  add_reductions(cases, "var", var, false, 2333);
  add_reductions(cases, "max", max, true, 23333);
  add_reductions(cases, "min", min, true, 23333);

  const std::vector<std::vector<Shape>> q_k_v = {{{1, 2, 2, 3}, {1, 2, 4, 3}, {1, 2, 4, 3}},
                                                 {{2, 1, 1, 31}, {2, 1, 33, 31}, {2, 1, 33, 31}},
                                                 {{1, 2, 5, 1}, {1, 2, 5, 1}, {1, 2, 5, 1}},
                                                 {{1, 2, 67, 16}, {1, 2, 131, 16}, {1, 2, 131, 16}},
                                                 {{1, 1, 17, 32}, {1, 1, 40, 32}, {1, 1, 40, 32}},
                                                 {{1, 2, 66, 64}, {1, 2, 70, 64}, {1, 2, 70, 64}},
                                                 {{1, 1, 9, 128}, {1, 1, 33, 128}, {1, 1, 33, 128}},
                                                 {{1, 2, 66, 128}, {1, 2, 140, 128}, {1, 2, 140, 128}},
                                                 {{1, 1, 17, 256}, {1, 1, 40, 256}, {1, 1, 40, 256}}};
  // Two and three heads of queries for one of keys and values.
  const std::vector<std::vector<Shape>> shared_k_v = {{{2, 4, 2, 3}, {2, 2, 4, 3}, {2, 2, 4, 3}},
                                                      {{1, 3, 1, 31}, {1, 1, 33, 31}, {1, 1, 33, 31}},
                                                      {{1, 4, 67, 16}, {1, 2, 131, 16}, {1, 2, 131, 16}},
                                                      {{2, 3, 65, 8}, {2, 1, 65, 8}, {2, 1, 65, 8}},
                                                      {{1, 2, 66, 64}, {1, 1, 70, 64}, {1, 1, 70, 64}}};
  const std::vector<std::vector<Shape>> normalised = {
      {{3, 5}, {5}, {5}},          {{2, 31}, {31}, {31}}, {{5, 33}, {33}, {33}},  {{1, 1}, {1}, {1}},
      {{3, 1023}, {1023}, {1023}}, {{2, 3, 4}, {4}, {4}}, {{700, 33}, {33}, {33}}};
  const std::vector<OpCase> more = {
      values("argmax", rows, [](const Tensors& x) { return argmax(x[0]); }, {-9, 9, 1}),
      values("argmax of columns", {{{3, 4}}, {{33, 31}}}, [](const Tensors& x) { return argmax(x[0], 0); },
             {-9, 9, 1}),
      values("argmax over the middle", {{{2, 3, 4}}}, [](const Tensors& x) { return argmax(x[0], 1); },
             {-9, 9, 1}),
      values("argmax over the first of four", {{{2, 3, 4, 2}}},
             [](const Tensors& x) { return argmax(x[0], 0); }),
      values("sum_to", {{{2, 3, 4}}, {{3, 31, 33}}},
             [](const Tensors& x) {
               return sum_to(x[0], {x[0].size(1), 1});
             }),
      values("global_norm", {{{3, 5}, {2}}, {{1023}, {31, 33}}, {{3, 7001}, {1}}},
             [](const Tensors& x) { return global_norm(x); }),

      // Products: one, batches, batches of stretched operands, and one matrix for all.
      {"matmul",
       {{{3, 4}, {4, 2}},
        {{1, 1}, {1, 1}},
        {{31, 33}, {33, 31}},
        {{1, 1023}, {1023, 3}},
        {{2, 0}, {0, 3}},
        {{130, 67}, {67, 261}}},
       [](const Variables& x) { return matmul(x[0], x[1]); }},
      {"matmul of batches",
       {{{2, 3, 4}, {2, 4, 2}},
        {{2, 1, 3, 4}, {3, 4, 2}},
        {{5, 31, 33}, {5, 33, 17}},
        {{2, 3, 1, 7}, {1, 3, 7, 5}}},
       [](const Variables& x) { return matmul(x[0], x[1]); }},
      {"matmul of a batch and a matrix",
       {{{2, 3, 4}, {4, 2}}, {{3, 2, 31, 33}, {33, 5}}},
       [](const Variables& x) { return matmul(x[0], x[1]); }},
      {"matmul of a matrix and a batch",
       {{{3, 4}, {2, 4, 2}}},
       [](const Variables& x) { return matmul(x[0], x[1]); }},
      {"matmul of a transpose",
       {{{3, 4}, {2, 4}}, {{31, 33}, {17, 33}}},
       [](const Variables& x) { return matmul(x[0], transpose(x[1], 0, 1)); }},
      values("matmul of a packed matrix, bf16", packed_products, packed_product<Packing::bf16>,
             {-2, 2, 0.25}),
      values("matmul of a packed matrix, int8", packed_products, packed_product<Packing::int8>),

      // Rows.
      {"softmax", rows, [](const Variables& x) { return softmax(x[0]); }, {-5, 5}},
      {"softmax of columns", {{{4, 3}}, {{33, 31}}}, [](const Variables& x) { return softmax(x[0], 0); }},
      {"softmax over the middle", {{{2, 3, 4}}}, [](const Variables& x) { return softmax(x[0], 1); }},
      {"log_softmax", rows, [](const Variables& x) { return log_softmax(x[0]); }, {-5, 5}},
      {"log_softmax of columns",
       {{{4, 3}}, {{33, 31}}},
       [](const Variables& x) { return log_softmax(x[0], 0); }},
      {"layer_norm", normalised, [](const Variables& x) { return layer_norm(x[0], x[1], x[2], 1e-2); }},
      {"layer_norm without bias",
       {{{3, 5}, {5}}, {{2, 31}, {31}}, {{700, 33}, {33}}},
       [](const Variables& x) { return layer_norm(x[0], x[1], {}, 1e-2); }},
      {"rms_norm",
       {{{3, 5}, {5}}, {{2, 31}, {31}}, {{5, 33}, {33}}, {{2, 3, 4}, {4}}, {{700, 33}, {33}}},
       [](const Variables& x) { return rms_norm(x[0], x[1], 1e-2); }},
      values("layer_norm's mean and rstd", {{{3, 5}, {5}}, {{5, 1023}, {1023}}},
             [](const Tensors& x) {
               const LayerNormed saved = layer_norm(x[0], x[1], {}, 1e-2);
               return concatenate(Tensors{saved.mean, saved.rstd}, 0);
             }),
      {"gather_rows",
       {{{5, 3}}, {{1, 1}}, {{33, 31}}, {{7, 1023}}},
       [](const Variables& x) {
         return gather_rows(x[0], ids({2, 3}, x[0].size(0), x[0].value().backend()));
       }},
      values("scatter_add_rows", {{{2, 4, 3}}, {{33, 5, 31}}, {{1, 600, 33}}},
             [](const Tensors& x) {
               return scatter_add_rows(x[0], ids({x[0].size(0), x[0].size(1)}, 6, x[0].backend()), 6);
             }),
      {"cross_entropy", rows,
       [](const Variables& x) {
         const Shape shape = x[0].shape().without(-1);
         return cross_entropy(x[0], ids(shape, x[0].size(-1), x[0].value().backend()));
       }},
      {"linear", affine, [](const Variables& x) { return linear(x[0], x[1], x[2]); }},
      {"linear without bias", affine, [](const Variables& x) { return linear(x[0], x[1], {}); }},
      {"linear with residual", affine,
       [](const Variables& x) {
         return linear(x[0], x[1], x[2], broadcast_to(x[2], x[0].shape().with(-1, x[1].size(1))));
       }},
      {"mlp", two_layers, [](const Variables& x) { return mlp(x[0], x[1], x[2], x[3], x[4], x[0]); }},
      {"mlp without biases", two_layers, [](const Variables& x) { return mlp(x[0], x[1], {}, x[3], {}); }},
      {"linear_cross_entropy", head,
       [](const Variables& x) {
         return linear_cross_entropy(x[0], x[1],
                                     ids(x[0].shape().without(-1), x[1].size(0), x[0].value().backend()));
       }},
      {"linear_cross_entropy with holes, smoothed", head,
       [](const Variables& x) {
         return linear_cross_entropy(x[0], x[1],
                                     ids(x[0].shape().without(-1), x[1].size(0), x[0].value().backend(), 3),
                                     {.smoothing = 0.2});
       }},
      {"cross_entropy with holes, smoothed", rows,
       [](const Variables& x) {
         const Shape shape = x[0].shape().without(-1);
         return cross_entropy(x[0], ids(shape, x[0].size(-1), x[0].value().backend(), 3), {.smoothing = 0.2});
       }},

      {"rotate",
       {{{2, 3, 2, 4}}, {{1, 1, 1, 2}}, {{1, 2, 33, 62}}, {{2, 1, 17, 16}}},
       [](const Variables& x) {
         const Shape angles{x[0].size(2), x[0].size(3) / 2};
         std::vector<double> cos, sin;
         for (int64_t i = 0; i < angles.count(); ++i)
           cos.push_back(std::cos(0.7 * i)), sin.push_back(std::sin(0.7 * i));
         Backend& backend = x[0].value().backend();
         return rotate(x[0], Tensor::from(cos, angles, backend), Tensor::from(sin, angles, backend));
       }},

      // Attention of two heads; qkv (B, T, 3C).
      {"attention",
       {{{2, 3, 12}}, {{1, 1, 6}}, {{1, 33, 6 * 31}}, {{1, 131, 6 * 16}}, {{2, 65, 6 * 8}}},
       [](const Variables& x) { return attention(x[0], 2); }},
      {"attention of the last places", q_k_v, cached_attention, {-1, 1}},
      {"attention of shared keys",
       shared_k_v,
       [](const Variables& x) { return attention(x[0], x[1], x[2]); },
       {-1, 1}},
      // Scores of up to 67. exp turns what a score is off into a relative error: the rounding of one such
      // score to f32, 67 2^-24, is that of 67 numbers, and two tolerances.
      {"attention with large scores",
       {{{1, 2, 2, 3}, {1, 2, 4, 3}, {1, 2, 4, 3}},
        {{1, 2, 66, 64}, {1, 2, 140, 64}, {1, 2, 140, 64}},
        {{1, 2, 66, 256}, {1, 2, 70, 256}, {1, 2, 70, 256}}},
       cached_attention,
       {-2, 2},
       true,
       false,
       {},
       2},
      values("attention's log_sum", q_k_v,
             [](const Tensors& x) { return attention(x[0], x[1], x[2], 0.7).log_sum; }, {-1, 1}),

      values("uniform", {{{3, 5}}, {{1023}}, {{3, 7001}}},
             [](const Tensors& x) {
               Random random{11, 5};
               return uniform(x[0].shape(), random, x[0].dtype(), x[0].backend());
             }),
      values("normal", {{{3, 5}}, {{1023}}, {{3, 7001}}},
             [](const Tensors& x) {
               Random random{uint64_t{1} << 40, (uint64_t{1} << 32) - 2};
               return normal(x[0].shape(), random, x[0].dtype(), x[0].backend());
             }),
      values("adamw",
             {{{3, 2}, {3, 2}, {3, 2}, {3, 2}},
              {{1023}, {1023}, {1023}, {1023}},
              {{2, 9001}, {2, 9001}, {2, 9001}, {2, 9001}}},
             adamw),
  };
  cases.insert(cases.end(), more.begin(), more.end());

  std::map<std::string, OpCase*> by_name;
  for (OpCase& row : cases)
    check(by_name.emplace(row.name, &row).second, "op_cases: '{}' is there twice", row.name);
  for (const auto& [name, real] : real_sizes) by_name.at(name)->real = real;
  return cases;
}

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> cases = make();
  return cases;
}

}  // namespace chapbook
