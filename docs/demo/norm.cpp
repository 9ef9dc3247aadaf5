// What chapter 9 prints. One part for each word: problem, example, nudges, check, variance, wrong_rules,
// cost.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "docs/demo/norm_stack.h"

using namespace chapbook;

using Row = std::vector<double>;

static double norm_of(const Row& x) {
  double squares = 0;
  for (const double each : x) squares += each * each;
  return std::sqrt(squares);
}

static Row difference(Row a, const Row& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return a;
}

// An error as the power of ten above it, at least 1e-12: the same on every machine.
static std::string below(double error) {
  return fmt::format("below {:.0e}", std::pow(10, std::ceil(std::log10(std::max(error, 1e-12)))));
}

// ---- problem: what 24 blocks do to the numbers that go through them

static std::string short_number(double x) {
  return std::isfinite(x) ? fmt::format("{:.1e}", x) : std::isnan(x) ? "nan" : "inf";
}

static void through_24_blocks(Norm norm) {
  const GPTConfig config{.layers = 24, .heads = 4, .width = 64, .context = 32, .vocabulary = 256};
  fmt::print(
      "deviation    stream after block                gradient in block    loss\n"
      "                  1        8       16       24          1       24\n");
  for (const double deviation : {0.02, 0.06, 0.2, 0.6}) {
    NormedGPT model(config, norm);
    model.initialise(deviation, false, 1);
    Random random{2};
    std::vector<int32_t> ids(4 * config.context + 1);
    for (int32_t& id : ids) id = static_cast<int32_t>(random.below(config.vocabulary));
    const Tensor all = Tensor::from(ids, {4 * config.context + 1});
    const Tensor tokens = all.slice(0, 0, all.count() - 1).reshape({4, config.context});
    const Tensor targets = all.slice(0, 1, all.count()).reshape({4, config.context});

    fmt::print("{:>9}  ", deviation);
    Variable x = model.embed(tokens);
    for (int block = 1; block <= config.layers; ++block) {
      x = model.h[block - 1](x);
      if (block == 1 || block % 8 == 0) fmt::print("{:>8} ", short_number(size_of_numbers(x.value())));
    }
    const Variable loss = model.loss(tokens, targets);
    backward(loss);
    for (const int block : {1, 24})
      fmt::print(" {:>8}", short_number(size_of_numbers(model.h[block - 1].mlp.c_fc.weight.gradient())));
    const double nats = loss.value().item();
    fmt::print("{:>8}\n", std::isfinite(nats) ? fmt::format("{:.2f}", nats) : "nan");
  }
}

static void problem() {
  fmt::print("without norms\n");
  through_24_blocks(Norm::none);
  fmt::print("\nwith a norm before each branch\n");
  through_24_blocks(Norm::before);
}

// ---- example: one row of four numbers, and a nudge

static void print_row(const char* name, const Tensor& x) {
  fmt::print("{:>9} ", name);
  for (const double each : x.to_vector<double>())
    fmt::print("{:>8.4f}", std::abs(each) < 5e-5 ? 0 : each);  // no -0.0000
  fmt::print("\n");
}

static Tensor row_of(const Row& x) {
  return Tensor::from(x, {1, static_cast<int64_t>(x.size())}, backend("reference"));
}

static void example() {
  const Tensor weight = Tensor::full({4}, 1, DType::f64, backend("reference"));
  const Tensor x = row_of({1, 7, 7, 9});
  const LayerNormed saved = layer_norm(x, weight, {}, 1e-5);
  print_row("x", x);
  print_row("mean", saved.mean);
  print_row("rstd", saved.rstd);
  print_row("u", saved.y);
  print_row("LN(10 x)", layer_norm(x * 10, weight, {}, 1e-5).y);
  print_row("LN(x + 5)", layer_norm(x + 5, weight, {}, 1e-5).y);
}

static void nudges() {
  const Tensor weight = Tensor::full({4}, 1, DType::f64, backend("reference"));
  const Tensor x = row_of({1, 7, 7, 9});
  const LayerNormed saved = layer_norm(x, weight, {}, 1e-5);
  for (const Row& dy : {Row{1, 0, 0, 0}, Row{0, 1, 0, 0}, Row{1, 1, 1, 1}, saved.y.to_vector<double>()}) {
    const Tensor dx = layer_norm_backward(x, weight, saved, row_of(dy)).dx;
    print_row("dy", row_of(dy));
    print_row("dx", dx);
    fmt::print("          |sum of dx| {}, |dx . u| {}\n\n", below(std::abs(sum(dx).item())),
               below(std::abs(sum(dx * saved.y).item())));
  }
}

// ---- check: the derivation against central differences, in f64

static void gradient_check() {
  const int64_t N = 5, C = 8;
  Random random{3};
  Backend& device = backend("reference");
  std::map<std::string, Tensor> at = {{"x", normal({N, C}, random, DType::f64, device) * 2 + 1},
                                      {"weight", normal({C}, random, DType::f64, device) * 0.3 + 1},
                                      {"bias", normal({C}, random, DType::f64, device)}};
  const Tensor dy = normal({N, C}, random, DType::f64, device);
  const double epsilon = 0.1;  // large, so that a formula that forgets it is found out
  const auto value = [&] {
    return sum(layer_norm(at["x"], at["weight"], at["bias"], epsilon).y * dy).item();
  };
  const auto gradients =
      layer_norm_backward(at["x"], at["weight"], layer_norm(at["x"], at["weight"], at["bias"], epsilon), dy);
  for (const auto& [name, formula] :
       {std::pair{"x", gradients.dx}, {"weight", gradients.dweight}, {"bias", gradients.dbias}}) {
    Row slopes;
    const double h = 1e-5;
    double* numbers = at[name].view().as<double>();
    for (int64_t i = 0; i < at[name].count(); ++i) {
      const double here = numbers[i];
      numbers[i] = here + h;
      const double above = value();
      numbers[i] = here - h;
      slopes.push_back((above - value()) / (2 * h));
      numbers[i] = here;
    }
    const double error = norm_of(difference(formula.to_vector<double>(), slopes)) / norm_of(slopes);
    fmt::print("d{:<7} {:>3} numbers   relative error {}\n", name, slopes.size(), below(error));
  }
}

// ---- variance: one pass and two, in f32

// Keeps a product out of the sum it goes to: the same digits with and without fused instructions.
[[gnu::noinline]] static float rounded(float x) { return x; }

static void variance() {
  fmt::print("   mean   one pass, f32   two passes, f32   one pass, f64\n");
  for (const float level : {0.0f, 100.0f, 10000.0f}) {
    const int64_t n = 1024;
    float sum = 0, squares = 0, centred = 0;
    double sum64 = 0, squares64 = 0;
    Random random{4};
    std::vector<float> x = normal({n}, random).to_vector<float>();
    for (float& each : x) each += level;
    for (const float each : x) {
      sum += each;
      squares += rounded(each * each);
      sum64 += each;
      squares64 += double{each} * each;
    }
    const float mean = sum / n;
    for (const float each : x) centred += rounded((each - mean) * (each - mean));
    const double mean64 = sum64 / n;
    fmt::print("{:>7}{:>16.4f}{:>18.4f}{:>16.4f}\n", level, squares / n - rounded(mean * mean), centred / n,
               squares64 / n - mean64 * mean64);
  }
}

// ---- wrong_rules: six wrong backward passes, and two ways to look for them

static void wrong_rules() {
  const int64_t N = 32, C = 64;
  Random random{5};
  Backend& device = backend("reference");
  const Tensor x = normal({N, C}, random, DType::f64, device) * 3;
  const Tensor weight = normal({C}, random, DType::f64, device) * 0.3 + 1;
  const Tensor dy = normal({N, C}, random, DType::f64, device) / 2048.0;  // of a mean over 2,048 tokens
  const LayerNormed saved = layer_norm(x, weight, {}, 1e-5);
  const Row right = layer_norm_backward(x, weight, saved, dy).dx.to_vector<double>();
  const Tensor rstd = saved.rstd.reshape({N, 1}), u = (x - saved.mean.reshape({N, 1})) * rstd,
               du = dy * weight;
  const auto average = [](const Tensor& t) { return mean(t, {1}, true); };
  fmt::print("                                     largest difference   relative error\n");
  const auto row = [&](const char* name, const Tensor& dx) {
    const Row apart = difference(dx.to_vector<double>(), right);
    double largest = 0;
    for (const double each : apart) largest = std::max(largest, std::abs(each));
    fmt::print("{:<40}{:>15.0e}{:>17.2f}\n", name, largest, norm_of(apart) / norm_of(right));
  };
  row("dx = 0", dy * 0);
  row("dx = rstd du", rstd * du);
  row("dx = rstd (du - mean(du))", rstd * (du - average(du)));
  row("dx = rstd (du - u mean(du u))", rstd * (du - u * average(du * u)));
  row("dx = du - mean(du) - u mean(du u)", du - average(du) - u * average(du * u));
  row("the weight forgotten: du = dy", rstd * (dy - average(dy) - u * average(dy * u)));
}

// ---- cost: from the results in bench/

static void cost() {
  const auto profile = nlohmann::json::parse(std::ifstream("bench/results/profile_tiny.json"));
  const auto& limits = profile.at("limits");
  const double flops = limits.at("flops_per_second"), bytes = limits.at("update_bytes_per_second");
  fmt::print("{}, {} threads: {:.0f} GFLOP/s, {:.0f} GB/s; they meet at {:.1f} FLOP a byte\n\n",
             profile.at("machine").at("processor").get<std::string>(), limits.at("threads").get<int>(),
             flops / 1e9, bytes / 1e9, flops / bytes);
  fmt::print(
      "in a training step              calls    MB  MFLOP  FLOP/byte    ms  of the step  of the roof\n");
  for (const auto& op : profile.at("ops")) {
    const std::string name = op.at("op");
    if (!name.starts_with("layer_norm")) continue;
    const double moved = op.at("bytes_read").get<double>() + op.at("bytes_written").get<double>(),
                 work = op.at("flops");
    fmt::print("{:<20}{:>11}{:>6}{:>6.0f}{:>7.0f}{:>11.1f}{:>6.2f}{:>12.1f}%{:>12.0f}%\n", name,
               op.at("shapes").get<std::string>(), op.at("calls").get<int>(), moved / 1e6, work / 1e6,
               work / moved, op.at("seconds").get<double>() * 1e3, 100 * op.at("share_of_step").get<double>(),
               100 * op.at("share_of_roof").get<double>());
  }
  fmt::print("\nalone, again and again                           backend    GB/s   of the roof\n");
  std::ifstream rows("bench/results/bench_cpu.jsonl");
  for (std::string line; std::getline(rows, line);) {
    const auto result = nlohmann::json::parse(line);
    if (result.value("section", "") != "ops" || !result.value("name", "").starts_with("layer_norm")) continue;
    fmt::print("{:<20} {:<26}{:>9}{:>8.1f}{:>13.0f}%\n", result.at("name").get<std::string>(),
               result.at("shape").get<std::string>(), result.at("backend").get<std::string>(),
               result.at("median").get<double>(), 100 * result.at("share").get<double>());
  }
}

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> parts = {
      {"problem", problem},   {"example", example},         {"nudges", nudges}, {"check", gradient_check},
      {"variance", variance}, {"wrong_rules", wrong_rules}, {"cost", cost}};
  const auto part = parts.find(argc == 2 ? argv[1] : "");
  if (part == parts.end()) {
    fmt::print(stderr, "demo_norm: say which part: {}\n",
               "problem example nudges check variance wrong_rules cost");
    return 2;
  }
  part->second();
}
