// What chapter 1 prints. One part for each word: counting, order, bytes, table, truncate, steps, kahan, nan,
// errors, scaling, scaler.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "docs/demo/sums.h"
#include "optim/scaler.h"
#include "tensor/ops.h"
#include "tensor/random.h"

using namespace chapbook;

// A number of a 16-bit type after an addition: computed in f32, and rounded.
template <class T>
static T added(T a, T b) {
  return T(static_cast<float>(a) + static_cast<float>(b));
}
static float added(float a, float b) { return a + b; }

// ---- counting: 1 + 1 + 1 + ...

template <class T>
static double count_to(int64_t steps) {
  T sum = T(0.0f);
  for (int64_t i = 0; i < steps; ++i) sum = added(sum, T(1.0f));
  return static_cast<float>(sum);
}

static void counting() {
  fmt::print("ones added       bf16      f16        f32\n");
  for (const int64_t steps : {200, 2000, 20000, 20000000})
    fmt::print("{:>10}{:>11}{:>9}{:>11}\n", steps, count_to<bf16>(steps), count_to<f16>(steps),
               count_to<float>(steps));
}

// ---- order: the same numbers, added from the other end

static void order() {
  float down = 0, up = 0;
  double exact = 0;
  const int n = 10000000;
  for (int i = 1; i <= n; ++i) down += 1.0f / static_cast<float>(i);
  for (int i = n; i >= 1; --i) up += 1.0f / static_cast<float>(i);
  for (int i = n; i >= 1; --i) exact += 1.0 / i;
  fmt::print(
      "1 + 1/2 + 1/3 + ... + 1/10000000\nlargest first, f32   {:.4f}\nsmallest first, f32  {:.4f}\nin f64    "
      "           {:.4f}\n",
      down, up, exact);
}

// ---- bytes: the same four bytes, read in several ways

static void bytes() {
  for (const float x : {1.0f, -2.5f, 0.1f}) {
    uint8_t raw[4];
    std::memcpy(raw, &x, 4);
    const auto bits = std::bit_cast<uint32_t>(x);
    fmt::print("{:<5} sign {}  exponent {:3} - 127 = {:>2}  fraction {:023b}\n", x, bits >> 31,
               bits >> 23 & 255, static_cast<int>(bits >> 23 & 255) - 127, bits & 0x7fffff);
    fmt::print("      in memory {:02x} {:02x} {:02x} {:02x}, as an i32 {}\n", raw[0], raw[1], raw[2], raw[3],
               std::bit_cast<int32_t>(x));
  }
}

// ---- table: what each type can hold

static void table() {
  struct Kind {
    const char* name;
    int exponent, fraction;
  };
  fmt::print("type  exponent  fraction   largest  smallest normal  smallest    half a step at 1\n");
  for (const auto& [name, exponent, fraction] :
       {Kind{"f16", 5, 10}, {"bf16", 8, 7}, {"f32", 8, 23}, {"f64", 11, 52}}) {
    const int bias = (1 << (exponent - 1)) - 1;
    fmt::print("{:<8}{:>2} bits   {:>2} bits{:>10.1e}{:>17.1e}{:>10.1e}{:>20.1e}\n", name, exponent, fraction,
               std::ldexp(2 - std::ldexp(1.0, -fraction), bias), std::ldexp(1.0, 1 - bias),
               std::ldexp(1.0, 1 - bias - fraction), std::ldexp(1.0, -fraction - 1));
  }
}

// ---- truncate: bf16 as one would write it first

// region: truncate
struct Cut {
  uint16_t bits;
  explicit Cut(float x) : bits(std::bit_cast<uint32_t>(x) >> 16) {}
  explicit operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
};
// endregion

template <class T>
static void print_rounding(const char* name) {
  Random random{1};
  const int n = 100000;
  double error = 0, largest = 0, sum = 0, wanted = 0;
  for (int i = 0; i < n; ++i) {
    const auto x = static_cast<float>(1 + random.uniform());
    const double apart = static_cast<double>(static_cast<float>(T(x))) - x;
    error += apart / n;
    largest = std::max(largest, std::abs(apart));
    sum += static_cast<double>(static_cast<float>(T(x)));
    wanted += x;
  }
  const float nan = std::bit_cast<float>(0x7f800001u);
  fmt::print("{:<10}{:>14.5f}{:>16.5f}{:>20.1f}{:>16}\n", name, error + 0.0 == 0 ? 0 : error, largest,
             sum - wanted, std::isnan(static_cast<float>(T(nan))) ? "NaN" : "infinity");
}

static void cutting() {
  fmt::print("            mean error   largest error   error of the sum   a certain NaN\n");
  print_rounding<Cut>("cut off");
  print_rounding<bf16>("ours");
}

// ---- steps: additions around 256 in bf16

static void steps() {
  for (const float start : {254.0f, 255.0f, 256.0f, 257.0f, 258.0f, 260.0f}) {
    const bf16 held{start};
    fmt::print("{} is held as {}; that + 1 becomes {}\n", start, static_cast<float>(held),
               static_cast<float>(added(held, bf16(1.0f))));
  }
}

// ---- kahan: a sum of four numbers, step by step

static void kahan() {
  float sum = 0, lost = 0, plain = 0;
  for (const float each : {16777216.0f, 1.0f, 1.0f, 1.0f}) {
    const float more = each + lost, next = sum + more;
    lost = more - (next - sum);
    sum = next;
    plain += each;
    fmt::print("+ {:<9} plain {}   compensated {}, lost {}\n", each, plain, sum, lost);
  }
}

// ---- nan: what comparisons say

static void nans() {
  const volatile double nan = std::nan("");
  const double x = nan, one = 1;
  fmt::print("nan < 1 {}, nan > 1 {}, nan == nan {}, nan != nan {}\n", x<one, x> one, x == x, x != x);
  fmt::print("std::max(nan, 1.0) is {}, std::max(1.0, nan) is {}\n", std::max(x, one), std::max(one, x));
  fmt::print("error <= 0.01 is {}: the test fails\n", x <= 0.01);
  fmt::print("!(error > 0.01) is {}: the test passes\n", !(x > 0.01));
  const Tensor row = Tensor::from(std::vector<double>{1, x, 3}, {3});
  fmt::print("the largest of (1, nan, 3), ours: {}\n", max(row).item());
}

// ---- errors: how the library says no

static void errors() {
  const std::function<void()> mistakes[] = {[] { dtype_named("f8"); },
                                            [] {
                                              Tensor::zeros({2, 3}).reshape({4, 2});
                                            }};
  for (const auto& wrong : mistakes) {
    try {
      wrong();
    } catch (const Error& error) {
      fmt::print("chapbook: {}\n", error.what());
    }
  }
}

// ---- scaling: gradients of logits in f16

static void scaling() {
  // 16 places of a batch of 1,024, each with 50,257 random scores: the gradient of a score is its
  // probability, less 1 for the token that came, over the number of places.
  const int64_t places = 16, tokens = 50257;
  Random random{1};
  const Tensor scores = normal({places, tokens}, random);
  std::vector<float> gradients = (softmax(scores) / 1024.0).to_vector<float>();
  for (int64_t i = 0; i < places; ++i) gradients[i * tokens + 7 * i] -= 1.0f / 1024;
  fmt::print("scale     0 in f16   error in f16   in bf16   infinite in f16   sum of a place in f16\n");
  for (const float scale : {1.0f, 256.0f, 65536.0f, 268435456.0f}) {
    double zeros = 0, infinite = 0, apart_f16 = 0, apart_bf16 = 0, squares = 0, place = 0;
    for (size_t i = 0; i < gradients.size(); ++i) {
      const float g = gradients[i];
      const double exact = double{g} * scale, half = static_cast<float>(f16(g * scale)),
                   brain = static_cast<float>(bf16(g * scale));
      zeros += half == 0 && g != 0;
      infinite += std::isinf(half);
      if (static_cast<int64_t>(i) < tokens) place += half / scale;
      if (g < 0) continue;  // the errors are of all tokens but the one that came
      apart_f16 += (half - exact) * (half - exact);
      apart_bf16 += (brain - exact) * (brain - exact);
      squares += exact * exact;
    }
    fmt::print("2^{:<7}{:>8.0f}%{:>15.0e}{:>10.0e}{:>18}{:>17} / 1024\n", std::log2(scale),
               100 * zeros / static_cast<double>(gradients.size()), std::sqrt(apart_f16 / squares),
               std::sqrt(apart_bf16 / squares), infinite,
               std::isfinite(place) ? fmt::format("{:.2f}", std::abs(place * 1024) < 0.005 ? 0 : place * 1024)
                                    : "infinite");
  }
}

// ---- scaler: the scale finds its place

static void scaler() {
  LossScaler scaler;
  const double largest = 3.0;  // of the gradients; f16 ends at 65,504
  for (int64_t step = 1; step <= 6002; ++step) {
    const double before = scaler.scale;
    scaler.update(scaler.scale * largest <= 65504);
    if (scaler.scale != before || step == 6002)
      fmt::print("step {:>5}: scale {:>6} -> {}\n", step, before, scaler.scale);
  }
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {
      {"counting", counting}, {"order", order},     {"bytes", bytes},  {"table", table},
      {"truncate", cutting},  {"steps", steps},     {"kahan", kahan},  {"nan", nans},
      {"errors", errors},     {"scaling", scaling}, {"scaler", scaler}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_floats: say which part: {}\n",
               "counting order bytes table truncate steps kahan nan errors scaling scaler");
    return 2;
  }
  part->second();
}
