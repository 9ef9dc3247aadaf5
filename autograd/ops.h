// Ops on Variables: the value of each is one or two Tensor ops (tensor/ops.h, where shapes and errors are
// described), and beside it stands the rule for its gradient.
#pragma once
#include "autograd/variable.h"
#include "tensor/ops.h"

namespace chapbook {

Variable operator-(const Variable& x);
Variable operator+(const Variable& a, const Variable& b);
Variable operator-(const Variable& a, const Variable& b);
Variable operator*(const Variable& a, const Variable& b);
Variable operator/(const Variable& a, const Variable& b);
Variable operator+(const Variable& a, double b);
Variable operator-(const Variable& a, double b);
Variable operator*(const Variable& a, double b);
Variable operator/(const Variable& a, double b);
Variable pow(const Variable& a, const Variable& b);
Variable maximum(const Variable& a, const Variable& b);  // of equals, the gradient goes to a
Variable minimum(const Variable& a, const Variable& b);
Variable where(const Tensor& condition, const Variable& a, const Variable& b);

Variable abs(const Variable& x);
Variable exp(const Variable& x);
Variable log(const Variable& x);
Variable sqrt(const Variable& x);
Variable rsqrt(const Variable& x);
Variable tanh(const Variable& x);
Variable sigmoid(const Variable& x);
Variable relu(const Variable& x);
Variable silu(const Variable& x);
Variable gelu(const Variable& x);
Variable gelu_erf(const Variable& x);

Variable broadcast_to(const Variable& x, const Shape& shape);
Variable reshape(const Variable& x, const Shape& shape);
Variable transpose(const Variable& x, int axis, int other);
Variable slice(const Variable& x, int axis, int64_t from, int64_t to);
Variable concatenate(const std::vector<Variable>& xs, int axis);
Variable to(const Variable& x, DType dtype);

Variable sum(const Variable& x, const std::vector<int>& axes = {}, bool keep = false);
Variable mean(const Variable& x, const std::vector<int>& axes = {}, bool keep = false);
Variable var(const Variable& x, const std::vector<int>& axes = {}, bool keep = false);
Variable max(const Variable& x, const std::vector<int>& axes = {},
             bool keep = false);  // equals share the gradient
Variable min(const Variable& x, const std::vector<int>& axes = {}, bool keep = false);

Variable matmul(const Variable& a, const Variable& b);
// Fused, so that no pass over memory is for a bias, a GELU or a residual alone: each is tested against its
// composition of the ops above. Biases and the residual may be nothing.
//
// Weights and biases may be f32 where x is of a half type: they are rounded for the product, and their
// gradients are computed in f32. That is how a model trains in mixed precision. All are of one dtype.
//
// x (..., in), weight (in, out), bias (out), residual (..., out): x W + b + residual.
Variable linear(const Variable& x, const Variable& weight, const Variable& bias,
                const Variable& residual = {});
// gelu(x W1 + b1) W2 + b2 + residual.
Variable mlp(const Variable& x, const Variable& w1, const Variable& b1, const Variable& w2,
             const Variable& b2, const Variable& residual = {});
// cross_entropy(x W^T, targets) for x (..., C) and weight (V, C), without holding all logits.
Variable linear_cross_entropy(const Variable& x, const Variable& weight, const Tensor& targets,
                              CrossEntropy options = {});

Variable softmax(const Variable& x, int axis = -1);
Variable log_softmax(const Variable& x, int axis = -1);
Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double epsilon);
// x / sqrt(mean of x^2 over the last axis + epsilon) * weight (Zhang & Sennrich 2019). Where x is of a half
// type, weight may be f32.
Variable rms_norm(const Variable& x, const Variable& weight, double epsilon);
Variable gather_rows(const Variable& table, const Tensor& ids);
Variable cross_entropy(const Variable& logits, const Tensor& targets, CrossEntropy options = {});

// silu(gate) * x of one shape, of which only the two operands are kept.
Variable gated_silu(const Variable& gate, const Variable& x);
// Numbers i and i + D / 2 of a row of x (..., D) are a point in the plane, which is turned by the angle of
// this cosine and sine; cos and sin stretch to (..., D / 2).
Variable rotate(const Variable& x, const Tensor& cos, const Tensor& sin);

// Causal self-attention: qkv (B, T, 3C) holds queries, keys and values side by side, each of `heads` heads;
// gives (B, T, C).
Variable attention(const Variable& qkv, int64_t heads);
// The same of queries (B, H, T, D), which are the last T of S places, and keys and values (B, K, S, D); H is
// a multiple of K, and H / K neighbouring queries share a head of keys and values. Gives (B, T, H D).
Variable attention(const Variable& q, const Variable& k, const Variable& v);

// Each number is 0 with probability p, else divided by 1 - p (Srivastava et al. 2014).
Variable dropout(const Variable& x, double p, Random& random);

}  // namespace chapbook
