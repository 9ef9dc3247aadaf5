// Variable: a Tensor that remembers where it came from. Every op on Variables records a Node with the rule
// that turns the gradient of its result into the gradients of its inputs; backward() walks the nodes from the
// newest to the oldest.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

#include "tensor/tensor.h"

namespace chapbook {

struct Node;

class Variable {
 public:
  Variable() = default;                                 // nothing: `if (variable)` is false
  Variable(Tensor value) : value_(std::move(value)) {}  // a constant: wants no gradient
  Variable(Tensor value, std::shared_ptr<Node> node) : value_(std::move(value)), node_(std::move(node)) {}
  static Variable parameter(Tensor value);  // a leaf that collects its gradient

  explicit operator bool() const { return static_cast<bool>(value_); }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  int64_t size(int axis) const { return value_.size(axis); }
  const std::shared_ptr<Node>& node() const { return node_; }
  bool wants_gradient() const { return node_ != nullptr; }

  // Of a parameter: what backward has added up since it was cleared; empty before.
  const Tensor& gradient() const;
  void set_gradient(Tensor gradient) const;
  void clear_gradient() const { set_gradient({}); }

 private:
  Tensor value_;
  std::shared_ptr<Node> node_;
};

// One rule, and the inputs whose gradients it makes. A rule captures exactly the Tensors it needs, never a
// Variable: the op's result would make a cycle, which is never freed, and an input would hold its graph
// longer than needed. For inputs that share work it gives an array (or vector) of Tensors, one for each.
struct Edge {
  using Gradients = RecycledVector<Tensor>;
  RecycledVector<std::shared_ptr<Node>> inputs;
  RecycledFunction<Gradients(const Tensor& dy)> rule;

  template <class Rule>
  Edge(const Variable& input, Rule rule) : Edge(std::span(&input, 1), std::move(rule)) {}
  template <class Rule>
  Edge(std::span<const Variable> inputs, Rule rule)
      : inputs(nodes_of(inputs)), rule([rule = std::move(rule)](const Tensor& dy) {
          const auto gradients = rule(dy);
          if constexpr (std::is_convertible_v<decltype(gradients), Tensor>)
            return Gradients(1, gradients);
          else
            return Gradients(gradients.begin(), gradients.end());
        }) {}

 private:
  static RecycledVector<std::shared_ptr<Node>> nodes_of(std::span<const Variable> inputs);
};
using Edges = RecycledVector<Edge>;

// One recorded op; without edges, a leaf.
struct Node {
  uint64_t number;        // in order of creation: every input's number is lower
  std::string_view name;  // of the op
  Shape shape;            // of the value, and so of its gradient
  Edges edges;
  bool used = false;  // backward has been here, and the rules are gone

  Node(std::string_view name, const Shape& shape);
  ~Node();

 private:
  friend class Variable;
  friend void backward(const Variable& y, const Tensor& dy);
  Tensor gradient_;  // what has arrived so far
};

// The result of an op: `value` with edges to those inputs that want a gradient, or a constant when none does.
Variable record(std::string_view name, Tensor value, Edges edges);

// Adds d loss / d parameter to the gradient of every parameter that `loss`, a single number, depends on. A
// graph can be walked once: its rules and gradients are freed on the way.
void backward(const Variable& loss);
void backward(const Variable& y, const Tensor& dy);  // from any value, given its gradient

// While one lives, `grown` is called in this thread whenever backward() has added to the gradient of a
// parameter; that of the last addition may be taken away at once, before the walk has ended.
class OnGradients {
 public:
  using Grown = std::function<void(const Node& parameter)>;
  explicit OnGradients(Grown grown);
  ~OnGradients();
  OnGradients(const OnGradients&) = delete;

 private:
  Grown grown_;
  const Grown* before_;
};

// Whether ops are recorded in this thread: always, but while a NoGrad lives.
bool is_recording();

// While one lives, nothing is recorded in this thread.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;

 private:
  bool before_;
};

// f(x) without keeping what happens inside: backward runs f again (activation checkpointing, Chen et al.
// 2016). `f` must compute the same thing again; a dropout inside it must draw from a place it resets itself.
Variable recompute(const RecycledFunction<Variable(const Variable&)>& f, const Variable& x);

}  // namespace chapbook
