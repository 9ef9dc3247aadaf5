#include "bench/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <map>

#include "apps/report/progress.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/loop.h"

namespace chapbook {
namespace {

// A row on one backend, with one kind of products.
struct Job {
  Row row;
  Backend* backend;
  std::string label, products;
};

Cost count(const Row& row) {
  ProfileBackend backend(default_backend());
  Cost total;
  const std::function<void()> call = row.prepare(backend);
  backend.take_calls();
  call();
  for (const auto& each : backend.take_calls().calls) {
    total.flops += each.cost.flops;
    total.read += each.cost.read;
    total.written += each.cost.written;
  }
  return total;
}

double floor_of(const Row& row, const Limits& limits) {
  return row.floor ? row.floor(limits) : limits.seconds(row.cost.flops, row.cost.bytes());
}

std::vector<Job> jobs_of(const std::vector<Row>& rows, const Limits& limits, bool quick) {
  constexpr double slow_work = 3e7;      // operations and bytes of a call that the reference need not do
  constexpr double quick_seconds = 0.3;  // more than this at the very least is not quick
  std::vector<Job> jobs;
  for (Row row : rows) {
    if (row.units == 0) {
      if (row.cost.bytes() == 0) row.cost = count(row);
      row.units = (row.unit == "GFLOP/s" ? row.cost.flops : row.cost.bytes()) / 1e9;
    }
    if (quick && floor_of(row, limits) > quick_seconds) continue;
    for (const std::string_view name :
         row.section == "data" ? std::vector<std::string_view>{"cpu"} : backend_names()) {
      if (name == "simt") continue;  // how long it takes says nothing of a GPU
      if (name == "reference" && row.cost.flops + row.cost.bytes() > slow_work) continue;
      jobs.push_back({row, &backend(name), std::string(name), "own"});
      if (name == "cpu" && row.products && cpu::has_openblas())
        jobs.push_back({row, &backend(name), "cpu openblas", "openblas"});
    }
  }
  return jobs;
}

// Keeps what Google Benchmark reports: the statistics over the repeats.
class Collector : public benchmark::BenchmarkReporter {
 public:
  struct Seconds {
    double median = 0, min = 0, max = 0;
  };

  bool ReportContext(const Context&) override { return true; }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.error_occurred && error.empty()) error = run.error_message;
      if (run.run_type != Run::RT_Aggregate) continue;
      const double time = run.GetAdjustedRealTime() / benchmark::GetTimeUnitMultiplier(run.time_unit);
      Seconds& seconds = by_job[std::stoul(run.run_name.function_name)];
      if (run.aggregate_name == "median") seconds.median = time;
      if (run.aggregate_name == "min") seconds.min = time;
      if (run.aggregate_name == "max") seconds.max = time;
    }
  }

  std::map<size_t, Seconds> by_job;
  std::string error;
};

double round_off(double x) { return std::stod(fmt::format("{:.4g}", x)); }

Measurement result(const Job& job, const Collector::Seconds& seconds, const Limits& limits, int repeats) {
  const Row& row = job.row;
  const double floor = floor_of(row, limits);
  Measurement m{.section = row.section,
                .name = row.name,
                .backend = job.label,
                .shape = row.shape,
                .unit = row.unit,
                .median = round_off(row.units / seconds.median),
                .min = round_off(row.units / seconds.max),
                .max = round_off(row.units / seconds.min),
                .repeats = repeats,
                .flops = row.cost.flops,
                .bytes = row.cost.bytes(),
                .share = {}};
  if (floor > 0) m.share = round_off(floor / seconds.median);
  return m;
}

}  // namespace

std::vector<Measurement> measure(const std::vector<Row>& rows, const Limits& limits,
                                 const MeasureOptions& options) {
  const double shortest = options.quick ? 0.005 : 0.05;  // seconds of a repeat, at least
  const std::vector<Job> jobs = jobs_of(rows, limits, options.quick);
  const double total = static_cast<double>(jobs.size()) * options.repeats;
  Progress progress("bench " + rows.at(0).section, total);
  std::vector<int> done(jobs.size());
  double all_done = 0;
  benchmark::ClearRegisteredBenchmarks();
  for (size_t i = 0; i < jobs.size(); ++i) {
    const auto run = [&, i](benchmark::State& state) {
      const Job& job = jobs[i];
      try {
        cpu::set_gemm(job.products);
        const std::function<void()> call = job.row.prepare(*job.backend);
        call();  // fetches memory
        const auto start = std::chrono::steady_clock::now();
        for (auto _ : state) {
          call();
          job.backend->synchronize();
        }
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        // Shorter runs are Google Benchmark's search for the number of calls.
        if (time.count() > 0.8 * shortest && done[i] < options.repeats) ++done[i], ++all_done;
        progress.update(all_done, job.row.name);
      } catch (const std::exception& error) {
        state.SkipWithError(error.what());
      }
      job.backend->blocks().trim();
    };
    benchmark::RegisterBenchmark(std::to_string(i).c_str(), run)
        ->UseRealTime()
        ->MinTime(shortest)
        ->Repetitions(options.repeats)
        ->ComputeStatistics("min", [](const auto& v) { return *std::min_element(v.begin(), v.end()); })
        ->ComputeStatistics("max", [](const auto& v) { return *std::max_element(v.begin(), v.end()); });
  }
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  check(collector.error.empty(), "bench: {}", collector.error);
  progress.update(total);
  std::vector<Measurement> results;
  for (const auto& [i, seconds] : collector.by_job)
    results.push_back(result(jobs[i], seconds, limits, options.repeats));
  return results;
}

namespace {

std::atomic<float> kept_result;  // so that the loop cannot be left out

// Each thread reads 256 KiB of its own, again and again.
double measure_l2() {
  constexpr int64_t count = 64 << 10, rounds = 200;
  const int threads = thread_pool().threads();
  const std::vector<float> numbers(count * threads, 1.0f);
  double best = 1e30;
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(threads, 1, [&](int64_t thread, int64_t) {
      const float* x = numbers.data() + thread * count;
      for (int64_t round = 0; round < rounds; ++round)
        kept_result = cpu::sum_of(count, [&](int64_t i) { return x[i]; });
    });
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return 4.0 * count * rounds * threads / best;
}

}  // namespace

std::vector<Measurement> measure_machine(const MeasureOptions& options, Limits& limits) {
  const int threads = thread_pool().threads();
  const int repeats = options.quick ? 1 : options.repeats;
  std::vector<int> counts{1};
  if (threads > 1) counts.push_back(threads);
  Progress progress("bench limits", static_cast<double>(repeats * counts.size()));
  std::map<std::pair<int, std::string>, std::vector<double>> found;  // Giga a second
  const char* names[] = {"multiply and add", "memory read", "memory triad", "memory update", "L2 read"};
  for (int repeat = 0, done = 0; repeat < repeats; ++repeat)
    for (const int count : counts) {
      thread_pool().set_threads(count);
      const Limits now = measure_limits();
      const double values[] = {now.flops, now.read, now.triad, now.update, measure_l2()};
      for (size_t i = 0; i < std::size(names); ++i) found[{count, names[i]}].push_back(values[i] / 1e9);
      progress.update(++done);
    }
  thread_pool().set_threads(threads);
  std::vector<Measurement> results;
  for (const char* name : names)
    for (const int count : counts) {
      std::vector<double>& values = found[{count, name}];
      std::sort(values.begin(), values.end());
      results.push_back({.section = "limits",
                         .name = name,
                         .backend = "cpu",
                         .shape = count == 1 ? "1 thread" : fmt::format("{} threads", count),
                         .unit = name == names[0] ? "GFLOP/s" : "GB/s",
                         .median = round_off(values[values.size() / 2]),
                         .min = round_off(values.front()),
                         .max = round_off(values.back()),
                         .repeats = repeats,
                         .share = {}});
    }
  const auto of_all = [&](const char* name) {
    return 1e9 * found[{threads, name}][static_cast<size_t>(repeats) / 2];
  };
  limits = {.threads = threads,
            .flops = of_all("multiply and add"),
            .read = of_all("memory read"),
            .triad = of_all("memory triad"),
            .update = of_all("memory update")};
  return results;
}

}  // namespace chapbook
