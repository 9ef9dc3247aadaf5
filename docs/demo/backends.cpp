// What chapter 6 prints. One part for each word: threads, same, avalanche, circle, calls, agree, names.
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <string>

#include "autograd/ops.h"
#include "tensor/kernel_call.h"
#include "tensor/reference/reference_backend.h"

using namespace chapbook;

static void print_numbers(const std::string& name, const std::vector<double>& x) {
  fmt::print("{:<28}", name);
  for (const double each : x) fmt::print("{:>6.2f}", each);
  fmt::print("\n");
}

// ---- threads: a generator for each thread

// region: generator
// n random numbers, made in `pieces`, as each of so many threads would make its own.
static std::vector<double> draw_at_first(int n, int pieces, unsigned seed) {
  std::vector<double> y;
  for (int piece = 0; piece < pieces; ++piece) {
    std::mt19937 generator(seed + static_cast<unsigned>(piece));
    for (int i = 0; i < n / pieces; ++i) y.push_back(generator() / 4294967296.0);
  }
  return y;
}
// endregion

// region: replayed
static std::vector<double> draw_replayed(int n, int pieces, unsigned seed) {
  std::vector<double> y;
  for (int piece = 0; piece < pieces; ++piece)
    for (int i = 0; i < n / pieces; ++i) y.push_back(uniform_at(seed, 0, piece * (n / pieces) + i));
  return y;
}
// endregion

static void threads() {
  for (const int pieces : {1, 2, 4})
    print_numbers(fmt::format("a generator each, {} thread{}", pieces, pieces == 1 ? "" : "s"),
                  draw_at_first(8, pieces, 1));
  for (const int pieces : {1, 2, 4})
    print_numbers(fmt::format("by number, {} thread{}", pieces, pieces == 1 ? "" : "s"),
                  draw_replayed(8, pieces, 1));
}

// ---- same: one draw on every backend there is

static void same() {
  std::vector<float> first[2];
  for (const std::string_view name : {"reference", "cpu", "simt"}) {
    for (const Distribution distribution : {Distribution::uniform, Distribution::normal}) {
      const Tensor y = Tensor::empty({4096}, DType::f32, backend(name));
      backend(name).random(distribution, 42, 7, y.view());
      const std::vector<float> numbers = y.to_vector<float>();
      std::vector<float>& wanted = first[distribution == Distribution::normal];
      if (wanted.empty()) wanted = numbers;
      fmt::print("{:<10} {:<8} {:>8.5f} {:>8.5f} {:>8.5f} ...   4,096 numbers, {} the reference's\n", name,
                 distribution == Distribution::normal ? "normal" : "uniform", numbers[0], numbers[1],
                 numbers[2], numbers == wanted ? "the bits of" : "not");
    }
  }
}

// ---- avalanche: how many bits of the result change with one bit of the counter

using Words = std::array<uint32_t, 4>;

static Words rounds_of_philox(int rounds, Words counter) {
  uint32_t key[2] = {1, 0};
  for (int round = 0; round < rounds; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter[0], b = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9u, key[1] += 0xBB67AE85u;
  }
  return counter;
}

static void avalanche() {
  fmt::print("rounds    bits of 128 that change\n          mean   fewest   most   counters 0 and 1\n");
  for (const int rounds : {1, 2, 3, 4, 5, 6, 10}) {
    int fewest = 128, most = 0, sum = 0, count = 0;
    for (uint32_t counter = 0; counter < 1000; ++counter)
      for (int bit = 0; bit < 32; ++bit) {
        const Words a = rounds_of_philox(rounds, {counter, 0, 0, 0}),
                    b = rounds_of_philox(rounds, {counter ^ (1u << bit), 0, 0, 0});
        int changed = 0;
        for (int i = 0; i < 4; ++i) changed += std::popcount(a[i] ^ b[i]);
        fewest = std::min(fewest, changed), most = std::max(most, changed), sum += changed, ++count;
      }
    int one = 0;
    for (int i = 0; i < 4; ++i)
      one += std::popcount(rounds_of_philox(rounds, {0, 0, 0, 0})[i] ^
                           rounds_of_philox(rounds, {1, 0, 0, 0})[i]);
    fmt::print("{:>6}{:>8.1f}{:>9}{:>7}{:>19}\n", rounds, static_cast<double>(sum) / count, fewest, most,
               one);
  }
  const auto words = philox(1, 0);
  const Words ten = rounds_of_philox(10, {0, 0, 0, 0});
  fmt::print("ten rounds are ours: {}\n", ten == words ? "true" : "false");
}

// ---- circle: two uniform numbers to two normal ones

static void circle() {
  fmt::print("   u1     u2     radius   angle        x        y\n");
  for (const auto& [u1, u2] : {std::pair{0.5, 0.0}, {0.5, 0.125}, {0.9, 0.25}, {0.0, 0.7}}) {
    const double radius = std::sqrt(2 * -std::log(1 - u1)) + 0.0, angle = 2 * 3.14159265358979 * u2;
    const auto shown = [](double x) { return std::abs(x) < 5e-5 ? 0 : x; };
    fmt::print("{:>5.3f}  {:>5.3f}  {:>9.4f}{:>8.4f}{:>9.4f}{:>9.4f}\n", u1, u2, radius, angle,
               shown(radius * std::cos(angle)), shown(radius * std::sin(angle)));
  }
  double mean = 0, square = 0, within = 0;
  const int n = 1'000'000;
  for (int i = 0; i < n; ++i) {
    const double z = normal_at(1, 0, i);
    mean += z / n, square += z * z / n, within += (std::abs(z) <= 1) / static_cast<double>(n);
  }
  fmt::print("a million of ours: mean {:.2f}, mean square {:.2f}, within 1: {:.3f}\n",
             std::abs(mean) < 0.005 ? 0 : mean, square, within);
}

// ---- calls: a backend without a kernel sees every call as a thing

// region: watching
struct Watching final : HostBackend {
  ~Watching() override { blocks().trim(); }
  std::string_view name() const override { return "watching"; }
  void without_kernel(KernelCall& call) override {
    const Cost cost = call.cost();
    fmt::print("{:<24}{:<20}{:>8} FLOP{:>7} bytes read{:>6} written\n", call.name(), call.shapes(),
               cost.flops, cost.read, cost.written);
    call.on(reference_backend());
  }
};
// endregion

static void calls() {
  Watching watching;
  const Tensor x = Tensor::full({8, 16}, 1, DType::f32, watching),
               b = Tensor::full({4}, 1, DType::f32, watching),
               w = Tensor::full({16, 4}, 1, DType::f32, watching);
  fmt::print("-- softmax(x w + b)\n");
  softmax(matmul(x, w) + b);
  fmt::print("-- the same with the bias in the product\n");
  softmax(matmul(x, w, {.bias = b.view()}));
}

// ---- agree: three backends, one meaning

static std::string below(double error) {
  return error == 0 ? "0" : fmt::format("below {:.0e}", std::pow(10, std::ceil(std::log10(error))));
}

static void agree() {
  Random random{1};
  Backend& reference = backend("reference");
  const Tensor x = normal({64, 96}, random, DType::f64, reference),
               w = normal({96, 32}, random, DType::f64, reference);
  const std::pair<const char*, std::function<Tensor(const Tensor&, const Tensor&)>> ops[] = {
      {"x + 1", [](const Tensor& a, const Tensor&) { return a + 1; }},
      {"gelu(x)", [](const Tensor& a, const Tensor&) { return gelu(a); }},
      {"x w", [](const Tensor& a, const Tensor& b) { return matmul(a, b); }},
      {"softmax(x)", [](const Tensor& a, const Tensor&) { return softmax(a); }},
      {"sum of x", [](const Tensor& a, const Tensor&) { return sum(a); }}};
  fmt::print("in f32, from the reference in f64    reference           cpu          simt\n");
  for (const auto& [name, op] : ops) {
    const Tensor wanted = op(x, w);
    fmt::print("{:<32}", name);
    for (const char* where : {"reference", "cpu", "simt"}) {
      const Tensor got = op(x.to(DType::f32).to(backend(where)), w.to(DType::f32).to(backend(where)));
      const Tensor apart = got.to(reference).to(DType::f64) - wanted;
      fmt::print("{:>14}", below(std::sqrt(sum(apart * apart).item() / sum(wanted * wanted).item())));
    }
    fmt::print("\n");
  }
}

// ---- names: what there is, and what is said of the rest

static void names() {
  for (const char* name : {"cpu", "simt", "gpu"}) {
    try {
      fmt::print("backend(\"{}\"): {}\n", name, backend(name).name());
    } catch (const Error& error) {
      const std::string text = error.what();
      fmt::print("backend(\"{}\"): {}\n", name, text.substr(0, text.find(';')));
    }
  }
  try {
    Tensor::full({2}, 1, DType::f32, backend("cpu")) + Tensor::full({2}, 1, DType::f32, backend("reference"));
  } catch (const Error& error) {
    fmt::print("cpu + reference: {}\n", error.what());
  }
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {
      {"threads", threads}, {"same", same},   {"avalanche", avalanche}, {"circle", circle},
      {"calls", calls},     {"agree", agree}, {"names", names}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_backends: say which part: threads same avalanche circle calls agree names\n");
    return 2;
  }
  part->second();
}
