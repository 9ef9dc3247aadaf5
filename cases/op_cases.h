// One row per op: what tests/tensor/test_ops.cpp (values) and tests/autograd/test_gradients.cpp (gradients)
// check on every backend, dtype and layout. An op that is not here is not tested; a new elementwise op is one
// line.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "autograd/ops.h"

namespace chapbook {

using Variables = std::vector<Variable>;

// Where input numbers come from: evenly spread over [low, high); multiples of `step` when that is not 0.
struct Domain {
  double low = -2, high = 2, step = 0;
};

struct OpCase {
  std::string name;
  std::vector<std::vector<Shape>>
      shapes;  // of the inputs; several sets, the first small enough for differences
  std::function<Variable(const Variables& x)> f;
  Domain domain = {};
  bool gradient = true;                       // has a rule
  bool integers = false;                      // has a meaning for i32 too
  std::vector<std::vector<Shape>> real = {};  // what bench/ measures; the largest last, as in training
  double sensitivity = 1;  // how many tolerances (run_case.h) a result may be off, if more than one
};

// Every row, in the order of autograd/ops.h and tensor/ops.h.
const std::vector<OpCase>& op_cases();

}  // namespace chapbook
