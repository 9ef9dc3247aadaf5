// Times the rungs of the CUDA ladders and the kernels that Chapbook uses, in turns, on the GPU.
//   ladder_cuda [--out FILE] [--rounds N]
#include <fmt/core.h>

#include <dlfcn.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>

#include "apps/report/machine.h"
#include "bench/ladder/cuda/rungs.h"
#include "tensor/backend_module.h"
#include "tensor/ops.h"

namespace chapbook::ladder {
namespace {

// One ladder at one size.
struct Course {
  std::string op;             // of a ladder
  std::vector<Shape> shapes;  // of the operands
  Shape shape;                // of the result
  const char* unit;           // "GB/s" of the operands and the result, each once; or "TFLOP/s"
  double work;                // bytes or operations of one call
  std::function<void(std::span<const Tensor> xs)> in_use;
};

double bytes(const std::vector<Shape>& shapes, const Shape& shape) {
  double sum = static_cast<double>(shape.count());
  for (const Shape& each : shapes) sum += static_cast<double>(each.count());
  return 4 * sum;
}

std::vector<Course> courses() {
  std::vector<Course> all;
  const int64_t n = int64_t{1} << 26, rows = 8192;
  const auto memory = [&](const char* op, std::vector<Shape> shapes, const Shape& shape, auto in_use) {
    all.push_back({op, shapes, shape, "GB/s", bytes(shapes, shape), in_use});
  };
  memory("elementwise: gelu", {{n}}, {n}, [](auto xs) { gelu(xs[0]); });
  memory("reduction: sum", {{n}}, {1}, [](auto xs) { sum(xs[0]); });
  memory("softmax", {{rows, 4096}}, {rows, 4096}, [](auto xs) { softmax(xs[0]); });
  memory("layer norm", {{rows, 768}, {768}, {768}}, {rows, 768},
         [](auto xs) { layer_norm(xs[0], xs[1], xs[2], 1e-5); });
  for (const int64_t size : {1024, 4096})
    all.push_back({"matmul",
                   {{size, size}, {size, size}},
                   {size, size},
                   "TFLOP/s",
                   2e0 * static_cast<double>(size * size * size),
                   [](auto xs) { matmul(xs[0], xs[1]); }});
  const int64_t heads = 96, T = 1024, D = 64;  // 8 stories of 12 heads
  const Shape each{heads, T, D};
  all.push_back({"attention",
                 {each, each, each},
                 each,
                 "TFLOP/s",
                 4e0 * static_cast<double>(heads * D * T * (T + 1) / 2),
                 [=](auto xs) {
                   const auto as_heads = [&](const Tensor& x) { return x.reshape({8, 12, T, D}); };
                   attention(as_heads(xs[0]), as_heads(xs[1]), as_heads(xs[2]), 0.125);
                 }});
  return all;
}

// Seconds of one call: as many as fill a hundredth of a second, after one that counts for nothing.
double seconds(Backend& backend, const std::function<void()>& call) {
  const auto time = [&](int calls) {
    backend.synchronize();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call();
    backend.synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / calls;
  };
  return time(std::clamp(static_cast<int>(1e-2 / time(1)), 1, 1000));
}

// The ladder as the module has it, compiled for the GPU.
const CudaLadder& ladder_of(const std::string& op) {
  std::span<const CudaLadder* const> ladders;
  const auto ask =
      reinterpret_cast<void (*)(decltype(ladders)*)>(dlsym(cuda_module().library, "chapbook_cuda_ladders"));
  check(ask, "ladder_cuda: the cuda module was built without the ladders: -DCHAPBOOK_BENCH=ON");
  ask(&ladders);
  for (const CudaLadder* ladder : ladders)
    if (ladder->op == op) return *ladder;
  fail("ladder_cuda: no ladder is called '{}'", op);
}

nlohmann::ordered_json run(Backend& backend, const Course& course, int rounds) {
  Random random{1};
  std::vector<Tensor> xs, halves;  // in f32 and in bf16
  std::vector<View> views, half_views;
  for (const Shape& shape : course.shapes) {
    xs.push_back(normal(shape, random, DType::f32, backend));
    views.push_back(xs.back().view());
    halves.push_back(xs.back().to(DType::bf16));
    half_views.push_back(halves.back().view());
  }
  const Tensor y = Tensor::empty(course.shape, DType::f32, backend);
  std::vector<std::pair<CudaRung, std::function<void()>>> all;
  for (const CudaRung& rung : ladder_of(course.op).rungs)
    all.push_back(
        {rung, [&, rung] { rung.run(backend, rung.operands == DType::f32 ? views : half_views, y.view()); }});
  all.push_back({{"in use", "what Chapbook computes with", nullptr}, [&] { course.in_use(xs); }});
  if (ladder_of(course.op).rungs.back().operands == DType::bf16)
    all.push_back({{"in use, bf16", "the same on half numbers", nullptr}, [&] { course.in_use(halves); }});
  std::vector<std::vector<double>> rates(all.size());
  for (int round = 0; round < rounds; ++round)
    for (size_t i = 0; i < all.size(); ++i) rates[i].push_back(course.work / seconds(backend, all[i].second));

  const double unit = course.unit[0] == 'G' ? 1e9 : 1e12;
  fmt::print("\n{} of {}, {}\n", course.op, course.shapes[0], course.unit);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  double before = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    std::sort(rates[i].begin(), rates[i].end());
    const double median = rates[i][rates[i].size() / 2] / unit;
    fmt::print("{:<18} {:>9.2f} {:>8}  {}\n", all[i].first.name, median,
               before > 0 ? fmt::format("{:.1f} x", median / before) : "", all[i].first.change);
    rows.push_back({{"name", all[i].first.name},
                    {"median", median},
                    {"min", rates[i].front() / unit},
                    {"max", rates[i].back() / unit}});
    before = median;
  }
  return {{"op", course.op}, {"shape", course.shapes[0].to_string()}, {"unit", course.unit}, {"rows", rows}};
}

int run_all(int argc, char** argv) {
  CLI::App program("CUDA kernels, rung by rung");
  std::string out;
  int rounds = 5;
  program.add_option("--rounds", rounds, "how often each is timed, in turns, for medians")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  program.add_option("--out", out, "a results file to write, as JSON");
  CLI11_PARSE(program, argc, argv);

  Backend& backend = chapbook::backend("cuda");
  set_default_backend(backend);
  fmt::print("{}\n", backend.description());
  nlohmann::ordered_json results = {{"what", "CUDA kernels of f32, rung by rung"},
                                    {"command", "ladder_cuda"},
                                    {"rounds", rounds},
                                    {"device", backend.description()},
                                    {"machine", machine_json()},
                                    {"ladders", nlohmann::ordered_json::array()}};
  for (const Course& course : courses()) {
    results["ladders"].push_back(run(backend, course, rounds));
    backend.blocks().trim();
  }
  if (!out.empty()) {
    std::ofstream file(out);
    file << results.dump(1) << '\n';
    check(file.good(), "{}: cannot be written", out);
  }
  return 0;
}

}  // namespace
}  // namespace chapbook::ladder

int main(int argc, char** argv) try {
  return chapbook::ladder::run_all(argc, argv);
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 2;
}
