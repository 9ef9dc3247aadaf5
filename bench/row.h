// A row: something to measure, and the work that is in it. Each file bench/FOLDER.cpp gives the rows of one
// folder; bench/measure.cpp times them with Google Benchmark.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "apps/report/bench_results.h"
#include "apps/report/limits.h"
#include "tensor/ops.h"
#include "tensor/profile/profile_backend.h"

namespace chapbook {

struct Row {
  std::string section, name, shape;
  // Makes what a call needs, and gives the call.
  std::function<std::function<void()>(Backend&)> prepare;
  std::string unit;       // GFLOP/s, GB/s, tokens/s or MB/s
  double units = 0;       // of the unit, in one call; 0: as `cost` says
  Cost cost = {};         // of one call; nothing: counted by running it once under a ProfileBackend
  bool products = false;  // OpenBLAS can compute its products, so both kinds are measured
  // The least seconds of a call that a machine of these limits allows; without it, the roofline's.
  std::function<double(const Limits&)> floor = {};
};

std::vector<Row> tensor_rows();    // section ops: one op, forward or backward
std::vector<Row> autograd_rows();  // section gradients: forward and backward of an op through the graph
std::vector<Row> nn_rows();        // sections train and decode: steps of whole models
std::vector<Row> data_rows();      // section data: text to tokens to batches

// Spread evenly over [low, high).
inline Tensor random_tensor(const Shape& shape, Backend& backend, double low = -1, double high = 1) {
  Random random{1};
  return uniform(shape, random, DType::f32, backend) * (high - low) + low;
}

// What an op of op_cases.h is measured in: those of matrices multiply, the others move numbers.
inline bool multiplies(const std::string& op) {
  return op.starts_with("matmul") || op.starts_with("linear") || op == "mlp";
}
inline std::string unit_of(const std::string& op) {
  return multiplies(op) || op.starts_with("attention") ? "GFLOP/s" : "GB/s";
}

// "(2048, 384) 2 x (384)"
inline std::string text_of(const std::vector<Shape>& shapes) {
  std::string text;
  for (size_t i = 0, alike = 1; i < shapes.size(); i += alike, alike = 1) {
    while (i + alike < shapes.size() && shapes[i + alike] == shapes[i]) ++alike;
    text += fmt::format("{}{}{}", i ? " " : "", alike > 1 ? fmt::format("{} x ", alike) : "", shapes[i]);
  }
  return text;
}

}  // namespace chapbook
