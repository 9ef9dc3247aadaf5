// Every kernel as a backend has it that has no code of its own for it, and the words in which
// tensor/kernels.inc counts work.
#include <algorithm>
#include <array>
#include <tuple>

#include "tensor/backend.h"
#include "tensor/kernel_call.h"

namespace chapbook {

double bytes(const View& x) {
  return static_cast<double>(x.once().count()) * static_cast<double>(size_of(x.dtype));
}

std::string KernelCall::shapes() const {
  std::string text;
  for (const Shape& shape : work.shapes) text += shape.to_string() + ' ';
  if (!text.empty()) text.pop_back();
  return text;
}

Cost KernelCall::cost() const {
  Cost cost{work.flops};
  for (const auto& [view, read, written] : operands) {
    if (read) cost.read += bytes(*view);
    if (written) cost.written += bytes(*view);
  }
  if (work.read >= 0) cost.read = work.read;
  if (work.written >= 0) cost.written = work.written;
  return cost;
}

namespace {

// ---- The words of the list

double numbers(const View& x) { return static_cast<double>(x.count()); }
double size(const View& x, int axis) { return static_cast<double>(x.shape[axis]); }

Shape count(std::span<const In> xs) {
  int64_t sum = 0;
  for (const View& x : xs) sum += x.count();
  return Shape{sum};
}
Shape count(std::span<const AdamWPart> parts) {
  int64_t sum = 0;
  for (const AdamWPart& part : parts) sum += part.weight.count();
  return Shape{sum};
}
template <class T>
double numbers(std::span<const T> xs) {
  return static_cast<double>(count(xs).count());
}

std::string variant(std::string_view name) { return fmt::format(" {}", name); }

std::string conversion(const View& x, const View& y) {
  return x.dtype == y.dtype ? "" : fmt::format(" {} to {}", name_of(x.dtype), name_of(y.dtype));
}

std::string_view name_of(Distribution distribution) {
  return distribution == Distribution::normal ? "normal" : "uniform";
}

std::string_view name_of(Reduce op) {
  static constexpr std::array<std::string_view, 3> names = {"sum", "max", "min"};
  return names.at(static_cast<size_t>(op));
}

std::string fused(const Epilogue& epilogue) {
  std::string names;
  if (epilogue.bias) names += "+bias";
  if (epilogue.activation == Activation::gelu) names += "+gelu";
  if (epilogue.activation == Activation::gelu_backward) names += "+gelu_backward";
  if (epilogue.residual) names += "+residual";
  if (epilogue.b_sums) names += "+sums";
  return names;
}

double operations(const Epilogue& epilogue, const View& b, const View& y) {
  double each = 0;  // for one number of y
  if (epilogue.bias) each += 1;
  if (epilogue.activation == Activation::gelu) each += operations(Unary::gelu);
  if (epilogue.activation == Activation::gelu_backward) each += operations(Binary::gelu_backward);
  if (epilogue.residual) each += 1;
  return each * numbers(y) + (epilogue.b_sums ? numbers(b) : 0);
}

// The places all queries of all heads see together.
double seen_places(const View& q, const View& k) {
  const double T = size(q, 2), S = size(k, 2);
  return size(q, 0) * size(q, 1) * (T * (S - T) + T * (T + 1) / 2);
}

// ---- A call that keeps its arguments, lists included

template <class T>
struct Kept {
  using type = T;
};
template <class T>
struct Kept<std::span<const T>> {
  using type = RecycledVector<T>;
};
template <class T>
typename Kept<T>::type keep(const T& argument) {
  return argument;
}
template <class T>
RecycledVector<T> keep(std::span<const T> list) {
  return {list.begin(), list.end()};
}
template <class... T>
auto kept(const T&... arguments) {
  return std::tuple<typename Kept<T>::type...>(keep(arguments)...);
}

// What an argument holds that is read or written: it says so itself, unless it is a plain value.
template <class T>
void operands_of(T& argument, auto&& visit) {
  constexpr bool plain = std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_same_v<T, const char*> ||
                         std::is_same_v<T, std::optional<int32_t>>;
  if constexpr (!plain) argument.operands(visit);
}
template <class T>
void operands_of(RecycledVector<T>& list, auto&& visit) {
  for (T& each : list) operands_of(each, visit);
}

template <class Call, class Arguments>
struct CallOf final : KernelCall {
  CallOf(std::string_view kernel, Work work, Call call, Arguments arguments)
      : KernelCall(kernel, std::move(work)), call_(call), arguments_(std::move(arguments)) {
    const auto add = [&](View& view, bool read, bool written) {
      if (view) operands.push_back({&view, read, written});
    };
    std::apply([&](auto&... each) { (operands_of(each, add), ...); }, arguments_);
  }
  void on(Backend& backend) override {
    std::apply([&](auto&... each) { call_(backend, each...); }, arguments_);
  }

 private:
  Call call_;
  Arguments arguments_;
};

}  // namespace

#define KERNEL(name, parameters, arguments, ...)                                            \
  void Backend::name parameters {                                                           \
    const auto call = [](Backend& backend, const auto&... each) { backend.name(each...); }; \
    CallOf missing(#name, Work{__VA_ARGS__}, call, kept arguments);                         \
    without_kernel(missing);                                                                \
  }
#include "tensor/kernels.inc"
#undef KERNEL

}  // namespace chapbook
