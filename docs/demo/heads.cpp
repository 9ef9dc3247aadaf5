// What chapter 11 prints. One part for each word: problem, tiles, beginner, check, share.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "docs/demo/tiles.h"
#include "nn/attention.h"
#include "tensor/profile/profile_backend.h"

using namespace chapbook;

// ---- problem: what attention by its definition takes, and ours

static void problem() {
  fmt::print("places    numbers in q, k, v and y    in steps: MB at most    ours: MB at most\n");
  const int64_t heads = 4, D = 32;
  for (const int64_t T : {64, 256, 1024}) {
    double peaks[2];
    for (const bool ours : {false, true}) {
      ProfileBackend backend(::chapbook::backend("cpu"));
      Random random{1};
      const Variable qkv = Variable::parameter(normal({1, T, 3 * heads * D}, random, DType::f32, backend));
      backend.blocks().reset_peak();
      backward(ours ? attention(qkv, heads) : attention_in_steps(qkv, heads),
               normal({1, T, heads * D}, random, DType::f32, backend));
      peaks[ours] = static_cast<double>(backend.blocks().peak_bytes()) / 1e6;
    }
    fmt::print("{:>6}{:>24.1f} MB{:>23.1f}{:>22.1f}\n", T, static_cast<double>(4 * T * heads * D) * 4 / 1e6,
               peaks[0], peaks[1]);
  }
}

// ---- tiles: place 4 of chapter 10, in two tiles

static const Rows keys = {{0, 0}, {1, 0}, {0, 1}, {1, 1}}, values = {{1, 1}, {7, 0}, {8, 5}, {2, 6}};
static const Row query = {1, 2};

static void tiles() {
  const auto part = [](size_t begin, size_t end) {
    const auto from = static_cast<std::ptrdiff_t>(begin), to = static_cast<std::ptrdiff_t>(end);
    const Rows k(keys.begin() + from, keys.begin() + to), v(values.begin() + from, values.begin() + to);
    return attend_in_tiles(query, k, v, end - begin, 4);
  };
  const Found a = part(0, 2), b = part(2, 4), all = part(0, 4);
  const double share_a = std::exp(a.log_sum - all.log_sum), share_b = std::exp(b.log_sum - all.log_sum);
  fmt::print("              y    log of the sum    share\n");
  for (const auto& [name, found, share] :
       {std::tuple{"places 1, 2", a, share_a}, {"places 3, 4", b, share_b}, {"all four", all, 1.0}})
    fmt::print("{:<12}({:.3f}, {:.3f}){:>13.4f}{:>9.3f}\n", name, found.y[0], found.y[1], found.log_sum,
               share);
  fmt::print("{:.3f} y + {:.3f} y = ({:.3f}, {:.3f})\n", share_a, share_b,
             share_a * a.y[0] + share_b * b.y[0], share_a * a.y[1] + share_b * b.y[1]);
}

static Rows rows_of(const Tensor& x) {
  const std::vector<double> all = x.to_vector<double>();
  const int64_t n = x.size(-1);
  Rows rows;
  for (auto at = all.begin(); at != all.end(); at += n) rows.emplace_back(at, at + n);
  return rows;
}

// ---- beginner: tiles of any size against ours

static void run_beginner() {
  Random random{2};
  const int64_t S = 100, D = 8;
  const Shape shape = {1, 1, S, D};
  const auto drawn = [&] { return normal(shape, random, DType::f64, backend("reference")) * 3; };
  const Tensor q = drawn(), k = drawn(), v = drawn();
  const Rows wanted = rows_of(attention(q, k, v, 1 / std::sqrt(8.0)).y), qs = rows_of(q), ks = rows_of(k),
             vs = rows_of(v);
  for (const size_t tile : {1, 7, 32, 100}) {
    double apart = 0;
    for (size_t t = 0; t < qs.size(); ++t) {
      const Found found = attend_in_tiles(qs[t], ks, vs, t + 1, tile);
      for (size_t d = 0; d < found.y.size(); ++d)
        apart = std::max(apart, std::abs(found.y[d] - wanted[t][d]));
    }
    fmt::print("100 places in tiles of {:>3}: never further from ours than 1e-12: {}\n", tile,
               apart <= 1e-12);
  }
}

// ---- check: the way back in tiles against central differences, and that of the op with its heads

static std::string below(double error) {
  return fmt::format("below {:.0e}", std::pow(10, std::ceil(std::log10(std::max(error, 1e-12)))));
}

static void check_gradients() {
  Random random{3};
  const int64_t S = 7, D = 4;
  const auto drawn = [&] { return rows_of(normal({S, D}, random, DType::f64, backend("reference"))); };
  Rows q = drawn(), k = drawn(), v = drawn();
  const Rows dy = drawn();
  Rows dq(S, Row(D)), dk = dq, dv = dq;
  for (size_t t = 0; t < q.size(); ++t)
    attend_in_tiles_backward(q[t], k, v, t + 1, 3, attend_in_tiles(q[t], k, v, t + 1, 3), dy[t], dq[t], dk,
                             dv);
  const auto value = [&] {
    double sum = 0;
    for (size_t t = 0; t < q.size(); ++t) sum += dot(attend_in_tiles(q[t], k, v, t + 1, 3).y, dy[t]);
    return sum;
  };
  for (const auto& [name, x, dx] : {std::tuple{"dq", &q, &dq}, {"dk", &k, &dk}, {"dv", &v, &dv}}) {
    double apart = 0, size = 0;
    for (size_t i = 0; i < x->size(); ++i)
      for (size_t d = 0; d < static_cast<size_t>(D); ++d) {
        const double here = (*x)[i][d], h = 1e-5;
        (*x)[i][d] = here + h;
        const double above = value();
        (*x)[i][d] = here - h;
        const double slope = (above - value()) / (2 * h);
        (*x)[i][d] = here;
        apart += ((*dx)[i][d] - slope) * ((*dx)[i][d] - slope), size += slope * slope;
      }
    fmt::print("{} in tiles of 3         28 numbers   relative error {}\n", name,
               below(std::sqrt(apart / size)));
  }
  // Through a whole op with heads: cut, attended, joined.
  const int64_t T = 5, heads = 3, width = 12;
  const Tensor x = normal({2, T, 3 * width}, random, DType::f64, backend("reference")),
               dx = normal({2, T, width}, random, DType::f64, backend("reference"));
  const Variable qkv = Variable::parameter(x);
  backward(attention(qkv, heads), dx);
  const std::vector<double> got = qkv.gradient().to_vector<double>();
  auto* numbers = x.view().as<double>();
  double apart = 0, size = 0;
  const auto op = [&] {
    NoGrad no_grad;
    return sum(attention(Variable(x), heads).value() * dx).item();
  };
  for (size_t i = 0; i < got.size(); ++i) {
    const double here = numbers[i], h = 1e-5;
    numbers[i] = here + h;
    const double above = op();
    numbers[i] = here - h;
    const double slope = (above - op()) / (2 * h);
    numbers[i] = here;
    apart += (got[i] - slope) * (got[i] - slope), size += slope * slope;
  }
  fmt::print("the op, three heads     {} numbers   relative error {}\n", got.size(),
             below(std::sqrt(apart / size)));
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {
      {"problem", problem}, {"tiles", tiles}, {"beginner", run_beginner}, {"check", check_gradients}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_heads: say which part: {}\n", "problem tiles beginner check");
    return 2;
  }
  part->second();
}
