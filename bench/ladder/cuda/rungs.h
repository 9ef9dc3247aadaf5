// The ladders of CUDA kernels: the same function several times, each with one idea more than the one before.
// f32 (or operands of bf16 and results of f32), rows without gaps. They are tested on the simt machine and
// timed on a GPU; what Chapbook uses is in tensor/cuda.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "tensor/backend.h"

namespace chapbook::ladder {

struct CudaRung {
  const char* name;
  const char* change;  // what it does that the rung before does not
  void (*run)(Backend& backend, std::span<const View> xs, const View& y);
  double rounding = 0;          // relative, of the operands; 0: they are taken as they are
  DType operands = DType::f32;  // how they come
  double error = 2e-6;          // of y, relative: sums of f32, or of what is rounded on the way
};

struct CudaLadder {
  std::string op;
  std::vector<CudaRung> rungs;
};

extern const CudaLadder elementwise_ladder;  // gelu of x (n): y (n)
extern const CudaLadder reduction_ladder;    // the sum of x (n): y (1)
extern const CudaLadder matmul_ladder;       // a (m, k), b (k, n): y (m, n)
extern const CudaLadder softmax_ladder;      // of the rows of x (rows, n): y (rows, n)
extern const CudaLadder layer_norm_ladder;   // x (rows, n), weight (n), bias (n): y (rows, n)
extern const CudaLadder attention_ladder;    // q, k, v (heads, T, 64), causal: y (heads, T, 64)

std::span<const CudaLadder* const> cuda_ladders();

}  // namespace chapbook::ladder
