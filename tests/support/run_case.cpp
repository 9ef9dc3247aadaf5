#include "tests/support/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <sstream>

namespace chapbook {

std::string name_of(Layout layout) {
  static const char* names[] = {"contiguous", "transposed", "sliced", "scattered", "mixed", "repeated"};
  return names[static_cast<int>(layout)];
}

static constexpr double sentinel_integer = 77;

// What encloses a view of `shape`: one more on both sides of every axis when sliced; the last two axes
// swapped when transposed; every number in the middle of three when scattered.
static Shape enclosing(const Shape& shape, Layout layout) {
  Shape larger = shape;
  if (layout == Layout::sliced)
    for (int axis = 0; axis < shape.rank; ++axis) larger[axis] += 2;
  if (layout == Layout::transposed && shape.rank >= 2) std::swap(larger[-1], larger[-2]);
  if (layout == Layout::scattered) larger.size[larger.rank++] = 3;
  return larger;
}

static Tensor view_into(const Tensor& whole, const Shape& shape, Layout layout) {
  Tensor x = whole;
  if (layout == Layout::sliced)
    for (int axis = 0; axis < shape.rank; ++axis) x = x.slice(axis, 1, 1 + shape[axis]);
  if (layout == Layout::transposed && shape.rank >= 2) x = x.transpose(-1, -2);
  if (layout == Layout::scattered) x = x.select(-1, 1);
  return x;
}

Placed::Placed(const Tensor& numbers, Layout layout) {
  const double sentinel =
      is_float(numbers.dtype()) ? std::numeric_limits<double>::quiet_NaN() : sentinel_integer;
  const Shape shape = enclosing(numbers.shape(), layout);
  whole_ = Tensor::full(shape, sentinel, numbers.dtype(), numbers.backend());
  tensor_ = view_into(whole_, numbers.shape(), layout);
  numbers.backend().copy(numbers.view(), tensor_.view());
  // Which places of `whole_` are not the tensor's.
  outside_ = Tensor::full(shape, 1, DType::u8, backend("reference"));
  outside_.backend().fill(view_into(outside_, numbers.shape(), layout).view(), 0);
  before_ = bytes();
}

std::vector<std::byte> Placed::bytes() const {
  std::vector<std::byte> bytes(whole_.count() * size_of(whole_.dtype()));
  if (!bytes.empty()) whole_.backend().download(whole_.view().data, bytes.data(), bytes.size());
  return bytes;
}

bool Placed::intact() const { return bytes() == before_; }

bool Placed::intact_around() const {
  const std::vector<std::byte> now = bytes();
  const std::vector<uint8_t> outside = outside_.to_vector<uint8_t>();
  const size_t width = size_of(whole_.dtype());
  for (size_t i = 0; i < now.size(); ++i)
    if (outside[i / width] && now[i] != before_[i]) return false;
  return true;
}

Numbers64 numbers_for(const Domain& domain, const Shape& shape, int which) {
  Numbers64 numbers(shape.count());
  for (size_t i = 0; i < numbers.size(); ++i) {
    const double u = uniform_at(2026, static_cast<uint64_t>(which) << 32, static_cast<int64_t>(i)) + 0x1p-25;
    const double x = domain.low + (domain.high - domain.low) * u;
    numbers[i] = domain.step > 0 ? std::round(x / domain.step) * domain.step : x;
  }
  return numbers;
}

Tensor tensor_of(const Numbers64& numbers, const Shape& shape, DType dtype, Backend& to) {
  return Tensor::from(numbers, shape, backend("reference")).to(dtype).to(to);
}

static Layout layout_of(Layout layout, int input) {
  if (layout == Layout::mixed) return all_layouts[input % 4];
  return layout == Layout::repeated ? Layout::contiguous : layout;
}

Computed run(const OpCase& row, const std::vector<Tensor>& inputs, Layout layout) {
  std::vector<Placed> placed;
  Variables x;
  for (const Tensor& input : inputs) {
    placed.emplace_back(input, layout_of(layout, static_cast<int>(placed.size())));
    const Tensor& tensor = placed.back().tensor();
    x.push_back(row.gradient ? Variable::parameter(tensor) : Variable(tensor));
  }
  const Variable y = row.f(x);
  Computed outcome{y.shape(), y.value().dtype(), y.value().to_vector<double>(), {}};
  if (row.gradient) {
    const Tensor& like = y.value();
    if (layout == Layout::repeated) {
      backward(y, Tensor::full({}, 0.75, like.dtype(), like.backend()).broadcast_to(y.shape()));
    } else {
      const Tensor dy =
          tensor_of(numbers_for(dy_domain, y.shape(), 9), y.shape(), like.dtype(), like.backend());
      placed.emplace_back(dy, layout_of(layout, 1));
      backward(y, placed.back().tensor());
    }
    for (const Variable& each : x) {
      const Tensor& gradient = each.gradient();
      check(!gradient || gradient.dtype() == each.value().dtype(), "{}: the gradient is {}", row.name,
            gradient ? name_of(gradient.dtype()) : "");
      outcome.gradients.push_back(gradient ? gradient.to_vector<double>() : Numbers64(each.value().count()));
    }
  }
  for (const Placed& each : placed)
    check(each.intact(), "{}: an input or what lies around it was written to", row.name);
  return outcome;
}

double norm(std::span<const double> x) {
  double squares = 0;
  for (double each : x) squares += each * each;
  return std::sqrt(squares);
}

double relative_error(std::span<const double> got, std::span<const double> wanted, double at_least) {
  if (got.size() != wanted.size()) return std::numeric_limits<double>::quiet_NaN();
  Numbers64 difference(got.begin(), got.end());
  for (size_t i = 0; i < difference.size(); ++i) difference[i] -= wanted[i];
  const double scale = std::max(norm(wanted), at_least);
  if (scale == 0) return norm(difference);
  const double usual = scale / std::sqrt(static_cast<double>(wanted.size()));
  double error = norm(difference) / scale;
  for (size_t i = 0; i < difference.size(); ++i) {
    const double one = std::abs(difference[i]) / (std::abs(wanted[i]) + usual) / 8;
    if (one > error) error = one;  // a NaN of the norm stays
  }
  return error;
}

double tolerance(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 1e-13;
    case DType::f32:
      return 2e-6;
    case DType::f16:
      return 0x1p-9;
    case DType::bf16:
      return 0x1p-6;
    default:
      return 0;
  }
}

// The names with commas of an environment variable.
static std::vector<std::string> asked(const char* variable) {
  std::istringstream text(std::getenv(variable) ? std::getenv(variable) : "");
  std::vector<std::string> names;
  for (std::string name; std::getline(text, name, ',');) names.push_back(name);
  return names;
}

// Those of backends, which must be there.
static std::vector<std::string> backends_asked(const char* variable) {
  const auto there = backend_names();
  const std::vector<std::string> names = asked(variable);
  for (const std::string& name : names)
    check(std::find(there.begin(), there.end(), name) != there.end(), "{} asks for '{}', which is not there",
          variable, name);
  return names;
}

std::vector<Backend*> tested_backends() {
  backends_asked("REQUIRE_BACKENDS");
  std::vector<Backend*> backends;
  for (const std::string& name : backends_asked("ONLY_BACKENDS")) backends.push_back(&backend(name));
  if (backends.empty())
    for (std::string_view name : backend_names()) backends.push_back(&backend(name));
  return backends;
}

std::vector<OpCase> tested_cases() {
  const std::vector<std::string> names = asked("ONLY_OPS");
  if (names.empty()) return op_cases();
  std::vector<OpCase> rows;
  for (const OpCase& row : op_cases())
    if (std::any_of(names.begin(), names.end(), [&](const auto& name) { return row.name.starts_with(name); }))
      rows.push_back(row);
  check(!rows.empty(), "ONLY_OPS asks for '{}', and no row's name begins so", fmt::join(names, ","));
  return rows;
}

void Tally::count(const Backend& backend, const std::string& row) {
  Entry& entry = entries_[std::string(backend.name())];
  entry.fallbacks = backend.fallbacks();
  ++entry.comparisons;
  if (entry.last != row) ++entry.rows;
  entry.last = row;
}

std::string Tally::to_string() const {
  std::string text;
  for (const auto& [name, entry] : entries_) {
    text += fmt::format("{}{}: {} rows in {} comparisons", text.empty() ? "" : "; ", name, entry.rows,
                        entry.comparisons);
    if (!entry.fallbacks.empty())
      text += fmt::format(" (by the reference: {})", fmt::join(entry.fallbacks, ", "));
  }
  return text;
}

}  // namespace chapbook
