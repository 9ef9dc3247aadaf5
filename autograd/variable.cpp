#include "autograd/variable.h"

#include <algorithm>
#include <atomic>
#include <queue>

#include "autograd/watch.h"
#include "tensor/operands.h"
#include "tensor/ops.h"

namespace chapbook {

static thread_local bool recording = true;

bool is_recording() { return recording; }

NoGrad::NoGrad() : before_(recording) { recording = false; }
NoGrad::~NoGrad() { recording = before_; }

static thread_local const OnGradients::Grown* gradient_grown = nullptr;

OnGradients::OnGradients(Grown grown) : grown_(std::move(grown)), before_(gradient_grown) {
  gradient_grown = &grown_;
}
OnGradients::~OnGradients() { gradient_grown = before_; }

static std::atomic<uint64_t> next_number{0};

Node::Node(std::string_view name, const Shape& shape) : number(next_number++), name(name), shape(shape) {}

// Takes the graph below apart in a loop: freeing each input from its user's destructor would recurse as deep
// as the graph.
Node::~Node() {
  RecycledVector<std::shared_ptr<Node>> orphans;
  const auto take = [&](Edges& edges) {
    for (Edge& edge : edges)
      for (auto& input : edge.inputs)
        if (input) orphans.push_back(std::move(input));
    edges.clear();
  };
  take(edges);
  while (!orphans.empty()) {
    const std::shared_ptr<Node> node = std::move(orphans.back());
    orphans.pop_back();
    if (node.use_count() == 1) take(node->edges);
  }
}

Variable Variable::parameter(Tensor value) {
  auto node = make_recycled<Node>("parameter", value.shape());
  return {std::move(value), std::move(node)};
}

const Tensor& Variable::gradient() const {
  check(node_ && node_->edges.empty() && !node_->used, "gradient: only a parameter keeps its gradient");
  return node_->gradient_;
}

void Variable::set_gradient(Tensor gradient) const {
  if (!gradient && !node_) return;  // a constant has none to clear
  check(node_ && node_->edges.empty() && !node_->used, "gradient: only a parameter keeps its gradient");
  if (gradient) {
    check_same_kind("gradient", value_, gradient);
    check_same_shape("gradient", value_, gradient);
  }
  node_->gradient_ = std::move(gradient);
}

RecycledVector<std::shared_ptr<Node>> Edge::nodes_of(std::span<const Variable> inputs) {
  RecycledVector<std::shared_ptr<Node>> nodes;
  for (const Variable& input : inputs) nodes.push_back(input.node());
  return nodes;
}

Variable record(std::string_view name, Tensor value, Edges edges) {
  if (!recording) return value;
  std::erase_if(edges, [](const Edge& edge) {
    return std::all_of(edge.inputs.begin(), edge.inputs.end(),
                       [](const auto& input) { return input == nullptr; });
  });
  if (edges.empty()) return value;
  auto node = make_recycled<Node>(name, value.shape());
  node->edges = std::move(edges);
  if (watched()) current_watch->recorded(*node, value);
  return {std::move(value), std::move(node)};
}

void backward(const Variable& loss) {
  check(loss.value().count() == 1, "backward: starts from one number, not from shape {}", loss.shape());
  backward(loss, Tensor::full(loss.shape(), 1, loss.value().dtype(), loss.value().backend()));
}

// sum + x; where nobody else sees `sum` and it has the result's layout, in its own memory: no third tensor.
static Tensor added(Tensor sum, const Tensor& x) {
  if (sum.shared() || !sum.contiguous() || sum.dtype() != x.dtype() || &sum.backend() != &x.backend())
    return sum + x;
  sum.backend().binary(Binary::add, sum.view(), x.view(), sum.view());
  return sum;
}

// Of the parameters among the inputs. Only now does nobody else hold what has come.
static void tell(const Edges& edges) {
  for (const Edge& edge : edges)
    for (const auto& input : edge.inputs)
      if (input && input->edges.empty()) (*gradient_grown)(*input);
}

void backward(const Variable& y, const Tensor& dy) {
  check(y.wants_gradient(), "backward: nothing here wants a gradient");
  check(y.shape() == dy.shape(), "backward: a gradient of shape {} for a value of shape {}", dy.shape(),
        y.shape());
  check(y.value().dtype() == dy.dtype() && &y.value().backend() == &dy.backend(),
        "backward: a gradient in {} on '{}' for a value in {} on '{}'", name_of(dy.dtype()),
        dy.backend().name(), name_of(y.value().dtype()), y.value().backend().name());
  const auto older = [](const auto& a, const auto& b) { return a->number < b->number; };
  std::priority_queue<std::shared_ptr<Node>, RecycledVector<std::shared_ptr<Node>>, decltype(older)> ready(
      older);

  const auto add = [&](const std::shared_ptr<Node>& node, const Tensor& gradient) {
    check(!node->used, "backward: '{}' was walked before and its rules are gone; compute the value again",
          node->name);
    check(gradient.shape() == node->shape, "backward: gradient {} for the '{}' of shape {}", gradient.shape(),
          node->name, node->shape);
    const bool first = !node->gradient_;
    node->gradient_ = first ? gradient : added(std::move(node->gradient_), gradient);
    if (first && !node->edges.empty()) ready.push(node);
  };

  add(y.node(), dy);
  // The newest node first: all that uses its value is newer, so its gradient is complete.
  while (!ready.empty()) {
    const std::shared_ptr<Node> node = ready.top();
    ready.pop();
    node->used = true;
    const Tensor gradient = std::move(node->gradient_);
    const Edges edges = std::move(node->edges);
    node->gradient_ = {};
    node->edges.clear();
    for (const Edge& edge : edges) {
      const Edge::Gradients gradients = edge.rule(gradient);
      for (size_t i = 0; i < edge.inputs.size(); ++i)
        if (edge.inputs[i]) add(edge.inputs[i], gradients.at(i));
    }
    if (gradient_grown) tell(edges);
  }
}

Variable recompute(const RecycledFunction<Variable(const Variable&)>& f, const Variable& x) {
  Tensor y;
  {
    NoGrad no_grad;
    y = f(x).value();
  }
  // Parameters used inside f collect their gradients in the inner walk. The leaf stands for x there.
  const Variable used = x.wants_gradient() ? x : Variable::parameter(x.value());
  return record("recompute", y, {{used, [f, value = x.value()](const Tensor& dy) {
                                    const Variable leaf = Variable::parameter(value);
                                    backward(f(leaf), dy);
                                    return leaf.gradient()
                                               ? leaf.gradient()
                                               : Tensor::zeros(value.shape(), value.dtype(), value.backend());
                                  }}});
}

}  // namespace chapbook
