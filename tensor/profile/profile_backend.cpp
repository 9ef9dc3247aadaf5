#include "tensor/profile/profile_backend.h"

#include <algorithm>
#include <array>
#include <utility>

namespace chapbook {
namespace {

double numbers(const View& x) { return static_cast<double>(x.count()); }

// Of the numbers behind the views that are there; those that a stride of 0 repeats count once.
double bytes(std::initializer_list<View> views) {
  double sum = 0;
  for (const View& view : views) {
    if (!view) continue;
    double once = static_cast<double>(size_of(view.dtype));
    for (int axis = 0; axis < view.shape.rank; ++axis)
      if (view.strides[axis] != 0) once *= static_cast<double>(view.shape[axis]);
    sum += once;
  }
  return sum;
}

// Operations of one formula of tensor/elementwise.h.
int operations(Unary op) {
  switch (op) {
    case Unary::rsqrt:
      return 2;
    case Unary::sigmoid:
      return 4;
    case Unary::silu:
    case Unary::gelu_erf:
      return 5;
    case Unary::gelu:
      return 11;
    default:
      return 1;
  }
}

int operations(Binary op) {
  switch (op) {
    case Binary::silu_backward:
      return 9;
    case Binary::gelu_erf_backward:
      return 11;
    case Binary::gelu_backward:
      return 21;
    default:
      return 1;
  }
}

// The places all queries of all heads see together.
double visible(const View& q, const View& k) {
  const double T = static_cast<double>(q.shape[2]), S = static_cast<double>(k.shape[2]);
  return static_cast<double>(q.shape[0] * q.shape[1]) * (T * (S - T) + T * (T + 1) / 2);
}

std::string matmul_name(const Epilogue& epilogue) {
  std::string name = "matmul";
  if (epilogue.bias) name += "+bias";
  if (epilogue.activation == Activation::gelu) name += "+gelu";
  if (epilogue.activation == Activation::gelu_backward) name += "+gelu_backward";
  if (epilogue.residual) name += "+residual";
  if (epilogue.b_sums) name += "+sums";
  return name;
}

Cost matmul_cost(const View& a, const View& b, const View& y, const Epilogue& epilogue) {
  const bool before_is_read = epilogue.activation == Activation::gelu_backward;
  double each = 2 * static_cast<double>(a.shape[-1]);  // operations for one number of y
  each += epilogue.bias ? 1 : 0;
  each += epilogue.activation == Activation::gelu ? operations(Unary::gelu) : 0;
  each += before_is_read ? operations(Binary::gelu_backward) : 0;
  each += epilogue.residual ? 1 : 0;
  return {each * numbers(y) + (epilogue.b_sums ? numbers(b) : 0),
          bytes({a, b, epilogue.bias, epilogue.residual, before_is_read ? epilogue.before : View{}}),
          bytes({y, epilogue.b_sums, before_is_read ? View{} : epilogue.before})};
}

}  // namespace

double ProfileBackend::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

ProfileBackend::Calls ProfileBackend::take_calls() {
  Calls calls = std::exchange(taken_, {});
  taken_.calls.reserve(calls.calls.size());  // steps are alike: the next one need not ask for memory
  return calls;
}

template <class F>
void ProfileBackend::record(std::string op, std::initializer_list<Shape> shapes, const Cost& cost, F&& call) {
  wrapped_.synchronize();
  const double start = now();
  call();
  wrapped_.synchronize();
  const double end = now();
  std::string text;
  for (const Shape& shape : shapes) {
    if (!text.empty()) text += ' ';
    text += shape.to_string();
  }
  taken_.calls.push_back(
      {std::move(op), std::move(text), current_phase, start, end, cost, blocks().live_bytes()});
  taken_.recording += now() - end;
}

void ProfileBackend::upload(const void* host, void* here, size_t bytes) {
  const double count = static_cast<double>(bytes);
  record("upload", {Shape{static_cast<int64_t>(bytes)}}, {0, count, count},
         [&] { wrapped_.upload(host, here, bytes); });
}

void ProfileBackend::download(const void* here, void* host, size_t bytes) {
  const double count = static_cast<double>(bytes);
  record("download", {Shape{static_cast<int64_t>(bytes)}}, {0, count, count},
         [&] { wrapped_.download(here, host, bytes); });
}

void ProfileBackend::fill(View y, double value) {
  record("fill", {y.shape}, {0, 0, bytes({y})}, [&] { wrapped_.fill(y, value); });
}

void ProfileBackend::copy(View x, View y) {
  std::string op = "copy";
  if (x.dtype != y.dtype) op += fmt::format(" {} to {}", name_of(x.dtype), name_of(y.dtype));
  record(std::move(op), {y.shape}, {0, bytes({x}), bytes({y})}, [&] { wrapped_.copy(x, y); });
}

void ProfileBackend::unary(Unary op, View x, View y) {
  record("unary " + std::string(name_of(op)), {y.shape},
         {operations(op) * numbers(y), bytes({x}), bytes({y})}, [&] { wrapped_.unary(op, x, y); });
}

void ProfileBackend::binary(Binary op, View a, View b, View y) {
  record("binary " + std::string(name_of(op)), {y.shape},
         {operations(op) * numbers(y), bytes({a, b}), bytes({y})}, [&] { wrapped_.binary(op, a, b, y); });
}

void ProfileBackend::where(View condition, View a, View b, View y) {
  record("where", {y.shape}, {0, bytes({condition, a, b}), bytes({y})},
         [&] { wrapped_.where(condition, a, b, y); });
}

void ProfileBackend::random(Distribution distribution, uint64_t seed, uint64_t counter, View y) {
  record(distribution == Distribution::normal ? "random normal" : "random uniform", {y.shape},
         {0, 0, bytes({y})}, [&] { wrapped_.random(distribution, seed, counter, y); });
}

void ProfileBackend::triangle(View y, int64_t diagonal) {
  record("triangle", {y.shape}, {0, 0, bytes({y})}, [&] { wrapped_.triangle(y, diagonal); });
}

void ProfileBackend::reduce(Reduce op, View x, View y) {
  static constexpr std::array names = {"reduce sum", "reduce max", "reduce min"};
  record(names.at(static_cast<size_t>(op)), {x.shape, y.shape}, {numbers(x), bytes({x}), bytes({y})},
         [&] { wrapped_.reduce(op, x, y); });
}

void ProfileBackend::argmax(View x, View y) {
  record("argmax", {x.shape}, {numbers(x), bytes({x}), bytes({y})}, [&] { wrapped_.argmax(x, y); });
}

void ProfileBackend::square_sum(std::span<const View> xs, View y) {
  Cost cost{0, 0, bytes({y})};
  int64_t count = 0;
  for (const View& x : xs) {
    count += x.count();
    cost.read += bytes({x});
  }
  cost.flops = 2 * static_cast<double>(count);
  record("square_sum", {Shape{count}}, cost, [&] { wrapped_.square_sum(xs, y); });
}

void ProfileBackend::matmul(View a, View b, View y, const Epilogue& epilogue) {
  record(matmul_name(epilogue), {a.shape, b.shape}, matmul_cost(a, b, y, epilogue),
         [&] { wrapped_.matmul(a, b, y, epilogue); });
}

void ProfileBackend::softmax(View x, View y) {
  record("softmax", {x.shape}, {5 * numbers(x), bytes({x}), bytes({y})}, [&] { wrapped_.softmax(x, y); });
}

void ProfileBackend::softmax_backward(View y, View dy, View dx) {
  record("softmax_backward", {y.shape}, {4 * numbers(y), bytes({y, dy}), bytes({dx})},
         [&] { wrapped_.softmax_backward(y, dy, dx); });
}

void ProfileBackend::log_softmax(View x, View y) {
  record("log_softmax", {x.shape}, {5 * numbers(x), bytes({x}), bytes({y})},
         [&] { wrapped_.log_softmax(x, y); });
}

void ProfileBackend::log_softmax_backward(View y, View dy, View dx) {
  record("log_softmax_backward", {y.shape}, {4 * numbers(y), bytes({y, dy}), bytes({dx})},
         [&] { wrapped_.log_softmax_backward(y, dy, dx); });
}

void ProfileBackend::layer_norm(View x, View weight, View bias, double epsilon, View y, View mean,
                                View rstd) {
  record("layer_norm", {x.shape},
         {(bias ? 7 : 6) * numbers(x), bytes({x, weight, bias}), bytes({y, mean, rstd})},
         [&] { wrapped_.layer_norm(x, weight, bias, epsilon, y, mean, rstd); });
}

void ProfileBackend::layer_norm_backward(View x, View weight, View mean, View rstd, View dy, View dx,
                                         View dweight, View dbias) {
  record("layer_norm_backward", {x.shape},
         {(dbias ? 13 : 12) * numbers(x), bytes({x, weight, mean, rstd, dy}), bytes({dx, dweight, dbias})},
         [&] { wrapped_.layer_norm_backward(x, weight, mean, rstd, dy, dx, dweight, dbias); });
}

void ProfileBackend::check_ids(const char* op, View ids, int64_t limit, std::optional<int32_t> also) {
  record("check_ids", {ids.shape}, {numbers(ids), bytes({ids}), 0},
         [&] { wrapped_.check_ids(op, ids, limit, also); });
}

void ProfileBackend::gather_rows(View table, View ids, View rows) {
  record("gather_rows", {table.shape, ids.shape}, {0, bytes({rows, ids}), bytes({rows})},
         [&] { wrapped_.gather_rows(table, ids, rows); });
}

void ProfileBackend::scatter_add_rows(View rows, View ids, View table) {
  const double touched = std::min(bytes({rows}), bytes({table}));
  record("scatter_add_rows", {table.shape, ids.shape}, {numbers(rows), bytes({rows, ids}) + touched, touched},
         [&] { wrapped_.scatter_add_rows(rows, ids, table); });
}

void ProfileBackend::cross_entropy(View logits, View targets, CrossEntropy options, View loss, View log_sum) {
  record(
      "cross_entropy", {logits.shape},
      {(options.smoothing > 0 ? 5 : 4) * numbers(logits), bytes({logits, targets}), bytes({loss, log_sum})},
      [&] { wrapped_.cross_entropy(logits, targets, options, loss, log_sum); });
}

void ProfileBackend::cross_entropy_backward(View logits, View targets, CrossEntropy options, View log_sum,
                                            View dloss, View dlogits) {
  record("cross_entropy_backward", {logits.shape},
         {4 * numbers(logits), bytes({logits, targets, log_sum, dloss}), bytes({dlogits})},
         [&] { wrapped_.cross_entropy_backward(logits, targets, options, log_sum, dloss, dlogits); });
}

// Two products forward, five backward, and the softmax of every visible score. Shapes: q's, and the places of
// k.
void ProfileBackend::attention(View q, View k, View v, double scale, View y, View log_sum) {
  record("attention", {q.shape, Shape{k.shape[2]}},
         {(4 * static_cast<double>(q.shape[3]) + 5) * visible(q, k), bytes({q, k, v}), bytes({y, log_sum})},
         [&] { wrapped_.attention(q, k, v, scale, y, log_sum); });
}

void ProfileBackend::attention_backward(View q, View k, View v, double scale, View y, View log_sum, View dy,
                                        View dq, View dk, View dv) {
  record("attention_backward", {q.shape, Shape{k.shape[2]}},
         {(10 * static_cast<double>(q.shape[3]) + 6) * visible(q, k), bytes({q, k, v, y, log_sum, dy}),
          bytes({dq, dk, dv})},
         [&] { wrapped_.attention_backward(q, k, v, scale, y, log_sum, dy, dq, dk, dv); });
}

void ProfileBackend::adamw(const AdamWStep& step, std::span<const AdamWPart> parts) {
  Cost cost;
  int64_t count = 0;
  for (const AdamWPart& part : parts) {
    count += part.weight.count();
    cost.read += bytes({part.weight, part.gradient, part.m, part.v});
    cost.written += bytes({part.weight, part.m, part.v});
  }
  cost.flops = 16 * static_cast<double>(count);
  record("adamw", {Shape{count}}, cost, [&] { wrapped_.adamw(step, parts); });
}

}  // namespace chapbook
