// Rows of cases/op_cases.h with a rule for their gradient, at their largest real size: forward
// through the graph, and backward.
#include "bench/row.h"
#include "cases/op_cases.h"

namespace chapbook {

std::vector<Row> autograd_rows() {
  std::vector<Row> rows;
  for (const OpCase& op : op_cases()) {
    if (!op.gradient || op.real.empty()) continue;
    const auto prepare = [&op](Backend& backend) -> std::function<void()> {
      Variables x;
      for (const Shape& shape : op.real.back())
        x.push_back(Variable::parameter(random_tensor(shape, backend, op.domain.low, op.domain.high)));
      const Shape shape = op.f(x).shape();
      const Tensor dy = Tensor::full(shape, 1, DType::f32, backend);
      return [&op, x, dy]() mutable {
        backward(op.f(x), dy);
        for (Variable& each : x) each.clear_gradient();
      };
    };
    rows.push_back({.section = "gradients",
                    .name = op.name,
                    .shape = text_of(op.real.back()),
                    .prepare = prepare,
                    .unit = unit_of(op.name),
                    .products = multiplies(op.name)});
  }
  return rows;
}

}  // namespace chapbook
