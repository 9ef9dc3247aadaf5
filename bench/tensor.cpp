// Ops at real sizes: those of a GPT's training step as it calls them, then every row of
// cases/op_cases.h that has a real size. N = 2048 rows are 8 sequences of 256 tokens.
#include "bench/row.h"
#include "cases/op_cases.h"
#include "tensor/ops.h"

namespace chapbook {
namespace {

using Call = std::function<void()>;
using Shapes = std::vector<Shape>;
using Tensors = std::vector<Tensor>;

const std::string few_rows = "matmul of few rows";  // only our own kind does those

// How fast bf16 is multiplied is no limit that is measured.
double no_floor(const Limits&) { return 0; }

// A row for each set of shapes; `f` gets tensors of them.
template <class F>
void add(std::vector<Row>& rows, DType dtype, const std::string& name, const std::vector<Shapes>& sizes,
         F f) {
  const bool floats = dtype == DType::f32;
  for (const Shapes& shapes : sizes) {
    const auto prepare = [=](Backend& backend) -> Call {
      Tensors x;
      for (const Shape& shape : shapes) x.push_back(random_tensor(shape, backend).to(dtype));
      return f(x);
    };
    rows.push_back({.section = "ops",
                    .name = floats ? name : fmt::format("{}, {}", name, name_of(dtype)),
                    .shape = text_of(shapes),
                    .prepare = prepare,
                    .unit = unit_of(name),
                    .products = floats && multiplies(name) && name != few_rows,
                    .floor = floats || unit_of(name) != "GFLOP/s" ? nullptr : no_floor});
  }
}

Tensor ids(int64_t count, int64_t limit, Backend& backend) {
  std::vector<int32_t> numbers(count);
  Random random{1};
  for (int32_t& id : numbers) id = static_cast<int32_t>(random.below(limit));
  return Tensor::from(numbers, {count}, backend);
}

// The MLP's first product and its gradients, for three widths; the head; and products of few rows, as
// decoding has them.
void add_products(std::vector<Row>& rows, DType dtype) {
  const int64_t N = 2048;
  for (const int64_t C : {128, 384, 768}) {
    add(rows, dtype, "matmul forward", {{{N, C}, {C, 4 * C}}},
        [](const Tensors& x) { return [=] { matmul(x[0], x[1]); }; });
    add(rows, dtype, "matmul dX", {{{N, 4 * C}, {C, 4 * C}}},
        [](const Tensors& x) { return [=] { matmul(x[0], x[1].transpose(0, 1)); }; });
    add(rows, dtype, "matmul dW", {{{N, C}, {N, 4 * C}}},
        [](const Tensors& x) { return [=] { matmul(x[0].transpose(0, 1), x[1]); }; });
  }
  for (const int64_t n : {16, 64, 256, 1024})
    add(rows, dtype, "matmul of squares", {{{n, n}, {n, n}}},
        [](const Tensors& x) { return [=] { matmul(x[0], x[1]); }; });
  add(rows, dtype, "matmul of the head", {{{N, 384}, {4096, 384}}, {{512, 384}, {50257, 384}}},
      [](const Tensors& x) { return [=] { matmul(x[0], x[1].transpose(0, 1)); }; });
  add(rows, dtype, few_rows, {{{1, 768}, {768, 3072}}, {{4, 768}, {768, 3072}}, {{16, 768}, {768, 3072}}},
      [](const Tensors& x) { return [=] { matmul(x[0], x[1]); }; });
}

void add_attention(std::vector<Row>& rows, DType dtype) {
  for (const Shape shape : {Shape{4, 6, 16, 64}, {8, 6, 256, 64}, {2, 6, 1024, 64}}) {  // (B, H, T, D)
    add(rows, dtype, "attention", {{shape, shape, shape}},
        [](const Tensors& x) { return [=] { attention(x[0], x[1], x[2], 0.125); }; });
    add(rows, dtype, "attention backward", {{shape, shape, shape, shape}}, [](const Tensors& x) {
      const Attended saved = attention(x[0], x[1], x[2], 0.125);
      return [=] {
        Tensor dq = Tensor::like(x[0]), dk = Tensor::like(x[1]), dv = Tensor::like(x[2]);
        attention_backward(x[0], x[1], x[2], 0.125, saved, x[3], dq, dk, dv);
      };
    });
  }
}

void add_row_ops(std::vector<Row>& rows, DType dtype) {
  const int64_t N = 2048;
  add(rows, dtype, "layer_norm backward", {{{64, 64}, {64}}, {{N, 384}, {384}}, {{N, 768}, {768}}},
      [](const Tensors& x) {
        const LayerNormed saved = layer_norm(x[0], x[1], {}, 1e-5);
        return [=] { layer_norm_backward(x[0], x[1], saved, x[0]); };
      });
  add(rows, dtype, "cross_entropy", {{{64, 64}}, {{N, 4096}}, {{512, 50257}}}, [](const Tensors& x) {
    const Tensor targets = ids(x[0].size(0), x[0].size(1), x[0].backend());
    return [=] { cross_entropy(x[0], targets); };
  });
  add(rows, dtype, "cross_entropy backward", {{{64, 64}}, {{N, 4096}}, {{512, 50257}}}, [](const Tensors& x) {
    const Tensor targets = ids(x[0].size(0), x[0].size(1), x[0].backend());
    const Entropy saved = cross_entropy(x[0], targets);
    const Tensor dloss = Tensor::full({}, 1, DType::f32, x[0].backend());
    return [=] { cross_entropy_backward(x[0], targets, {}, saved.log_sum, dloss); };
  });
  add(rows, dtype, "gather_rows", {{{4096, 384}}, {{50257, 384}}}, [=](const Tensors& x) {
    const Tensor which = ids(N, x[0].size(0), x[0].backend());
    return [=] { gather_rows(x[0], which); };
  });
  add(rows, dtype, "scatter_add_rows", {{{N, 384}}}, [=](const Tensors& x) {
    const Tensor which = ids(N, 4096, x[0].backend());
    return [=] { scatter_add_rows(x[0], which, 4096); };
  });
}

void add_optimizer(std::vector<Row>& rows) {
  for (const int64_t count : {10'000, 1'000'000, 10'000'000}) {
    add(rows, DType::f32, "adamw", {{{count}, {count}, {count}, {count}}}, [](const Tensors& x) {
      const Tensor v = abs(x[3]);
      return [=] {
        const AdamWPart parts[] = {{x[0].view(), x[1].view(), x[2].view(), v.view(), 0.1}};
        x[0].backend().adamw({.rate = 1e-9, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .step = 100},
                             parts);
      };
    });
    add(rows, DType::f32, "global_norm", {{{count}}},
        [](const Tensors& x) { return [=] { global_norm(x); }; });
  }
}

}  // namespace

std::vector<Row> tensor_rows() {
  std::vector<Row> rows;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    add_products(rows, dtype);
    add_attention(rows, dtype);
    add_row_ops(rows, dtype);
  }
  add_optimizer(rows);
  for (const OpCase& op : op_cases()) {
    const auto prepare = [&op](const Tensors& x) {
      Variables inputs;
      for (const Tensor& each : x)
        inputs.push_back(each * ((op.domain.high - op.domain.low) / 2) +
                         (op.domain.high + op.domain.low) / 2);
      return [&op, inputs] { op.f(inputs); };
    };
    add(rows, DType::f32, op.name, op.real, prepare);
    if (!op.real.empty()) add(rows, DType::bf16, op.name, {op.real.back()}, prepare);
  }
  return rows;
}

}  // namespace chapbook
