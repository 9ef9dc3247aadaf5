// KernelCall: one call of a kernel of tensor/kernels.inc as a thing that can be looked at and made elsewhere.
// It exists only where a backend has no code of its own for the kernel: what happens to it then is the one
// virtual function Backend::without_kernel. Computing what is missing and profiling are both that.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/recycle.h"
#include "tensor/view.h"

namespace chapbook {

class Backend;

// What a call costs. FLOPs are counted from shapes, by the formulas of tensor/reference: each addition,
// multiplication, comparison or function (exp, sqrt) of a number is one, whatever the kernel does instead.
// Bytes are those of the operands, each once: what a kernel must move if its caches held nothing before and
// everything during the call.
struct Cost {
  double flops = 0, read = 0, written = 0;  // bytes
  double bytes() const { return read + written; }
};

// What the list of kernels says of a call. It must say the first two.
struct Work {
  Work(double flops, std::vector<Shape> shapes, std::string variant = "", double read = -1,
       double written = -1)
      : flops(flops), shapes(std::move(shapes)), variant(std::move(variant)), read(read), written(written) {}

  double flops;
  std::vector<Shape> shapes;  // that decide it
  std::string variant;        // what it is called beside the kernel's name: " gelu", "+bias"
  double read, written;       // bytes, where they are not those of all operands
};

struct Operand {
  View* view;  // whoever changes it changes the call
  bool read, written;
};

struct KernelCall {
  std::string_view kernel;
  Work work;
  RecycledVector<Operand> operands = {};  // all views that are there

  KernelCall(std::string_view kernel, Work work) : kernel(kernel), work(std::move(work)) {}
  virtual ~KernelCall() = default;
  virtual void on(Backend& backend) = 0;  // makes the call there

  std::string name() const { return std::string(kernel) + work.variant; }
  std::string shapes() const;  // "(2048, 128) (128, 512)"
  Cost cost() const;
};

double bytes(const View& x);  // numbers that a stride of 0 repeats count once

}  // namespace chapbook
