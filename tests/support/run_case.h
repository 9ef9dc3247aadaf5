// What the tests of ops share: inputs in every layout with a sentinel around them, one run of a row of
// op_cases.h with its gradients, and how far two results may be apart.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "cases/op_cases.h"

namespace chapbook {

using Numbers64 = std::vector<double>;

// How the numbers of a tensor lie in memory. mixed: the inputs take turns with the four before. repeated:
// the inputs are contiguous, and the gradient that arrives is one number with strides 0, as the rule of sum
// makes it.
enum class Layout { contiguous, transposed, sliced, scattered, mixed, repeated };
inline constexpr Layout all_layouts[] = {Layout::contiguous, Layout::transposed, Layout::sliced,
                                         Layout::scattered,  Layout::mixed,      Layout::repeated};
std::string name_of(Layout layout);

// A tensor inside a larger one that is filled with a sentinel (NaN where the dtype has one): a stray read
// poisons the result, and a stray write is found by `intact`.
class Placed {
 public:
  Placed(const Tensor& numbers, Layout layout);
  const Tensor& tensor() const { return tensor_; }
  bool intact() const;  // nothing has changed since it was made, neither the numbers nor what is around them
  bool intact_around() const;

 private:
  std::vector<std::byte> bytes() const;

  Tensor whole_, tensor_, outside_;
  std::vector<std::byte> before_;
};

// The numbers of input `which` of a row: the same on every machine and in every run.
Numbers64 numbers_for(const Domain& domain, const Shape& shape, int which);
Tensor tensor_of(const Numbers64& numbers, const Shape& shape, DType dtype, Backend& backend);

// What arrives as the gradient of a value: numbers that every dtype holds exactly.
inline constexpr Domain dy_domain{-1, 1, 1.0 / 128};

// The value of a row, and the gradient of every input given `dy` (numbers for the value's shape, see
// numbers_for).
struct Computed {
  Shape shape;
  DType dtype;
  Numbers64 y;
  std::vector<Numbers64> gradients;
};
Computed run(const OpCase& row, const std::vector<Tensor>& inputs, Layout layout = Layout::contiguous);

// |got - wanted| / |wanted| in Euclidean norm; |got| where all wanted are 0; NaN when the counts differ. Or,
// if that is more, an eighth of the largest error of one number, measured by that number and the root of the
// mean square: in a norm one wrong number of thousands would not show. Where the wanted numbers may be what
// is left when larger ones cancel, the error is measured by `at_least`.
double relative_error(std::span<const double> got, std::span<const double> wanted, double at_least = 0);
double norm(std::span<const double> x);

// The relative error allowed to a row computed in a dtype. A result is rounded once to half of `epsilon`, and
// a rule takes a handful of such steps, whose errors partly cancel; sums are kept in more digits or in many
// lanes.
//   f64: 2^-53 each, times up to a thousand terms.      f32: 2^-24, likewise, and functions within 2 units of
//   the last place. f16: 2^-11 and bf16: 2^-8 for each step that is stored.      Integers are exact.
double tolerance(DType dtype);

// The backends to test. Those that the environment variable REQUIRE_BACKENDS (names with commas) asks for
// must be there; ONLY_BACKENDS are tested alone.
std::vector<Backend*> tested_backends();

// The rows of op_cases() to test: all, or with the environment variable ONLY_OPS (with commas) those whose
// name begins as one of these does; at least one must.
std::vector<OpCase> tested_cases();

// How often each backend was compared, and for which kernels it has no code of its own: the line at the end.
class Tally {
 public:
  void count(const Backend& backend, const std::string& row);
  std::string to_string() const;  // "cpu: 4,000 comparisons of 110 rows; ..."

 private:
  struct Entry {
    int64_t comparisons = 0, rows = 0;
    std::string last;
    std::vector<std::string_view> fallbacks = {};
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace chapbook
