// Chapter 23: what a step of several workers costs on this machine, on links that are made slow, and, with
// the constants measured here, on paper for up to 64 machines.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "apps/run/family.h"
#include "apps/run/trainer.h"
#include "docs/demo/workers.h"
#include "docs/tool/results.h"
#include "team/link.h"
#include "team/processes.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/files.h"
#include "tests/support/thread_team.h"

using namespace chapbook;
using Clock = std::chrono::steady_clock;

// Numbers found by worker 0 of so many processes, which have the cores of this machine among them.
static Json in_processes(int size, const std::function<Json(Team&)>& work) {
  const std::string file =
      (std::filesystem::temp_directory_path() / fmt::format("workers-{}.json", ::getpid())).string();
  const int code = run_processes(size, [&](const Place& place) {
    ProcessTeam team(place);
    thread_pool().set_threads(take_cores(team, 2));
    const Json found = work(team);
    if (team.rank() == 0) write_file(file, found.dump());
    team.barrier();
    return 0;
  });
  check(code == 0, "a worker ended with {}", code);
  const Json found = parse_json(read_file(file));
  std::filesystem::remove(file);
  return found;
}

struct Timed {
  std::vector<double> steps;  // seconds
  Communication of_step;      // means
};

// So many steps after two that find their memory and learn the order of the gradients.
static Timed timed_steps(const Settings& settings, Team& team, int count, bool overlap = true) {
  const std::vector<uint16_t> tokens = random_tokens(settings);
  const auto model = make_model(settings);
  Random random{1};
  model->initialise(random);
  Trainer trainer(settings, *model, tokens, team);
  trainer.overlap(overlap);
  for (int i = 0; i < 2; ++i) trainer.step();
  const Communication had = trainer.communication();
  Timed timed;
  for (int i = 0; i < count; ++i) {
    team.barrier();
    const auto start = Clock::now();
    trainer.step();
    timed.steps.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  const Communication has = trainer.communication();
  timed.of_step = {(has.bytes_sent - had.bytes_sent) / count, (has.seconds - had.seconds) / count,
                   (has.waited - had.waited) / count};
  return timed;
}

static double median(std::vector<double> numbers) {
  std::ranges::sort(numbers);
  return numbers[numbers.size() / 2];
}

// ---- two workers of one thread against one of two threads

static void compare_on_two_cores(Results& results) {
  Settings settings = preset("small");
  settings.shards = 2;
  std::vector<double> one, two;
  Json last;
  for (int round = 0; round < 3; ++round)
    for (const int size : {1, 2}) {
      last = in_processes(size, [&](Team& team) {
        const Timed timed = timed_steps(settings, team, 2);
        return Json{{"steps", timed.steps},
                    {"sent", timed.of_step.bytes_sent},
                    {"exchanging", timed.of_step.seconds},
                    {"waited", timed.of_step.waited}};
      });
      for (const double seconds : last["steps"].get<std::vector<double>>())
        (size == 1 ? one : two).push_back(seconds);
    }
  const auto tokens = static_cast<double>(settings.batch * settings.context);
  results.values["two_cores"] = {{"one_worker", tokens / median(one)},
                                 {"two_workers", tokens / median(two)},
                                 {"ratio", median(one) / median(two)},
                                 {"seconds_of_one", one},
                                 {"seconds_of_two", two},
                                 {"exchanging", last["exchanging"]},
                                 {"waited", last["waited"]},
                                 {"sent_megabytes", last["sent"].get<double>() / 1e6}};
  fmt::print("small: {}\n", results.values["two_cores"].dump());
}

// ---- the link between processes of this machine

static void measure_links(Results& results) {
  const Json link = in_processes(2, [](Team& team) {
    const Link found = measure_link(team);
    return Json{{"gigabytes_per_second", found.bytes_per_second / 1e9},
                {"microseconds", found.latency * 1e6}};
  });
  results.values["shared_memory"] = link;
  fmt::print("link: {}\n", link.dump());
}

// ---- bytes, and the optimizer's state, by 1 to 8 workers

static void count_bytes(Results& results) {
  Settings settings = preset("tiny");
  settings.shards = 8;
  for (const int size : {1, 2, 4, 8}) {
    Json counted = in_processes(size, [&](Team& team) {
      const std::vector<uint16_t> tokens = random_tokens(settings);
      const auto model = make_model(settings);
      BlockCache& blocks = model->backend().blocks();
      const size_t before = blocks.live_bytes();
      Trainer trainer(settings, *model, tokens, team);
      const double held = static_cast<double>(blocks.live_bytes() - before);
      trainer.step();
      const int64_t had = team.bytes_sent();
      trainer.step();
      return Json{
          {"parameters", count_parameters(*model)}, {"sent", team.bytes_sent() - had}, {"held", held}};
    });
    counted["formula"] = all_reduce_bytes(counted["parameters"].get<int64_t>(), size);
    results.values["counted"][std::to_string(size)] = counted;
    fmt::print("{} workers: {}\n", size, counted.dump());
  }
}

// ---- links that are made slow, with and without overlap, and what the formula says

static void slow_links(Results& results) {
  Settings settings = preset("tiny");
  settings.shards = 2;
  Plot plot{"A step of `tiny` by two workers of one thread, on a link that is made slow",
            "link, Gbit/s",
            "seconds a step",
            true,
            true,
            {}};
  Line with{"overlapped", {}, {}}, without{"sums at the end", {}, {}}, formula{"formula, overlapped", {}, {}};
  for (const double gigabits : {0.1, 0.3, 1.0, 3.0, 10.0}) {
    Json found;
    for (const bool overlap : {true, false})
      found[overlap ? "overlapped" : "at_the_end"] = in_processes(2, [&](Team& team) {
        Slowed slowed(team, 50e-6, gigabits * 1e9 / 8);
        const Timed timed = timed_steps(settings, slowed, 7, overlap);
        return Json{{"step", median(timed.steps)},
                    {"waited", timed.of_step.waited},
                    {"exchanging", timed.of_step.seconds}};
      });
    const Json without_link = in_processes(2, [&](Team& team) {
      return Json{{"step", median(timed_steps(settings, team, 7).steps)},
                  {"parameters", model_costs(settings).parameters}};
    });
    const double alone = without_link["step"];
    const int64_t parameters = without_link["parameters"];
    const StepSeconds said = step_seconds(alone, alone * 2 / 3, {50e-6, gigabits * 1e9 / 8}, parameters,
                                          std::max<int64_t>(1, parameters / Slices::usual_bucket), 2);
    found["without_link"] = alone, found["formula"] = said.all();
    found["formula_at_the_end"] = said.all() + said.hidden;
    const std::string key = fmt::format("{:g}", gigabits * 1000);  // Mbit/s
    results.values["slow"][key] = found;
    with.x.push_back(gigabits), with.y.push_back(found["overlapped"]["step"]);
    without.x.push_back(gigabits), without.y.push_back(found["at_the_end"]["step"]);
    formula.x.push_back(gigabits), formula.y.push_back(said.all());
    fmt::print("{} Gbit/s: {}\n", gigabits, found.dump());
  }
  plot.lines = {without, with, formula};
  results.figure("workers-links", plot);
}

// ---- the cheaper sum

static void compare_sums(Results& results) {
  Settings settings = preset("tiny");
  settings.shards = 8, settings.batch = 16, settings.rate = 1e-3, settings.warmup = 5;
  std::vector<uint16_t> tokens;  // with something to learn: each follows from the one before
  Random random{3};
  for (int i = 0; i < 20000; ++i)
    tokens.push_back(static_cast<uint16_t>(((i ? tokens.back() : 0) + 1 + random.below(3)) % 500));
  struct Run {
    std::vector<float> weights;
    double loss, seconds, peak;
  };
  const auto run = [&](const std::string& sum, int workers) {
    settings.sum = sum;
    const Json found = in_processes(workers, [&](Team& team) {
      const auto model = make_model(settings);
      Random first{1};
      model->initialise(first);
      Trainer trainer(settings, *model, tokens, team);
      trainer.step();
      model->backend().blocks().reset_peak();
      double loss = 0;
      const auto start = Clock::now();
      for (int i = 0; i < 50; ++i) loss = trainer.step().loss;
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count() / 50;
      std::vector<float> weights;
      for (const Parameter& parameter : parameters(*model))
        for (const float x : parameter.variable.value().to_vector<float>()) weights.push_back(x);
      return Json{{"weights", weights},
                  {"loss", loss},
                  {"seconds", seconds},
                  {"peak", static_cast<double>(model->backend().blocks().peak_bytes())}};
    });
    return Run{found["weights"].get<std::vector<float>>(), found["loss"], found["seconds"], found["peak"]};
  };
  const Run tree = run("tree", 1);
  const auto compare = [&](const std::string& name, const Run& other) {
    double apart = 0, size = 0;
    size_t bits = 0;
    for (size_t i = 0; i < tree.weights.size(); ++i) {
      apart += std::pow(static_cast<double>(other.weights[i]) - tree.weights[i], 2);
      size += std::pow(static_cast<double>(tree.weights[i]), 2);
      bits += other.weights[i] != tree.weights[i];
    }
    const Json found = {{"relative_distance", std::sqrt(apart / size)},
                        {"other_bits", static_cast<double>(bits) / static_cast<double>(tree.weights.size())},
                        {"loss", other.loss},
                        {"loss_apart", std::abs(other.loss - tree.loss)},
                        {"seconds", other.seconds},
                        {"peak_megabytes", other.peak / 1e6}};
    results.values["sums"][name] = found;
    fmt::print("{}: {}\n", name, found.dump());
  };
  compare("tree_1", tree);
  compare("tree_2", run("tree", 2));
  compare("any_1", run("any", 1));
  compare("any_2", run("any", 2));
}

// ---- on paper

struct Machine {
  const char* name;
  const char* key;
  double tokens_per_second;
  double latency;
};

static void on_paper(Results& results, double small_speed) {
  // What is not measured here, and from where it is.
  const Json bench = read_json("bench/results/train.zen4.json");
  double speed_124m = 0;
  for (const Json& row : bench.at("rows"))
    if (row.at("model") == "124M") speed_124m = row.at("tokens_per_second").at("chapbook").at("median");
  check(speed_124m > 0, "train.zen4.json has no row 124M");
  constexpr double gpu = 200e12;  // FLOP/s: assumed for one GPU in bf16, half of what the largest sustain
  struct Model {
    const char* name;
    Settings settings;
    double cpu_speed;
  };
  Settings large = preset("small");
  large.layers = 12, large.heads = 12, large.width = 768, large.context = 1024;
  large.batch = 8, large.accumulation = 64, large.shards = 64;  // 524,288 tokens, as llm.c takes
  Settings small = preset("small");
  small.batch = 16, small.accumulation = 4, small.shards = 64;
  results.configuration["gpu_assumed_flops"] = gpu;
  results.configuration["latency"] = {{"1", 50e-6}, {"10", 50e-6}, {"100", 5e-6}};
  for (const Model& model : {Model{"small", small, small_speed}, Model{"124M", large, speed_124m}}) {
    const ModelCosts costs = model_costs(model.settings);
    const auto tokens =
        static_cast<double>(model.settings.batch * model.settings.context * model.settings.accumulation);
    const ShardsOfStep shard = shards_of(model.settings);
    for (const auto& [device, key, speed] :
         {std::tuple{"2 cores", "cpu", model.cpu_speed}, {"one GPU", "gpu", gpu / costs.flops_per_token}}) {
      Plot plot{fmt::format("{} on machines of {}: speed over one machine's", model.name, device),
                "machines",
                "times as fast",
                true,
                true,
                {}};
      for (const double gigabits : {1.0, 10.0, 100.0}) {
        Line line{fmt::format("{:g} Gbit/s", gigabits), {}, {}};
        const std::string link = fmt::format("{:g}", gigabits);
        int pays = 1;  // up to here, twice the machines are at least 1.5 times as fast
        double before = 1;
        for (int size = 1; size <= 64; size *= 2) {
          const double alone = tokens / speed,
                       batch = static_cast<double>(shard.rows * model.settings.context) / speed;
          const StepSeconds step = step_seconds(
              alone / size, batch * 2 / 3, {gigabits < 100 ? 50e-6 : 5e-6, gigabits * 1e9 / 8},
              costs.parameters, std::max<int64_t>(1, costs.parameters / Slices::usual_bucket), size);
          const double times = size == 1 ? 1 : alone / step.all();
          results.values["paper"][model.name][key][link][std::to_string(size)] = times;
          if (size > 1 && times >= 1.5 * before && pays == size / 2) pays = size;
          before = times;
          line.x.push_back(size), line.y.push_back(times);
        }
        results.values["paper"][model.name][key][link]["pays_to"] = pays;
        fmt::print("{} {} {} Gbit/s: pays to {}, 64: {:.1f}\n", model.name, device, gigabits, pays,
                   line.y.back());
        plot.lines.push_back(line);
      }
      results.figure(fmt::format("workers-{}-{}", model.name == std::string("small") ? "small" : "124m", key),
                     plot);
    }
    results.values["paper"][model.name]["cpu_tokens_per_second"] = model.cpu_speed;
    results.values["paper"][model.name]["gpu_tokens_per_second"] = std::round(gpu / costs.flops_per_token);
    results.values["paper"][model.name]["parameters"] = costs.parameters;
    results.values["paper"][model.name]["tokens"] = tokens;
  }
}

// With names of parts, only these are measured again, and what the others found is kept. What is measured
// starts processes, so this one computes nothing before the end.
int main(int argc, char** argv) {
  Results results("workers",
                  {"team/sum.cpp", "team/link.cpp", "apps/run/gradient_sum.cpp", "team/processes.cpp"});
  results.configuration = {
      {"two_cores", "preset small, 2 shards, medians of 6 steps in 3 rounds that take turns"},
      {"slow", "preset tiny, 2 shards, medians of 7 steps"},
      {"sums", "preset tiny, 8 shards, 50 steps"}};
  const std::vector<std::string> wanted(argv + 1, argv + argc);
  const std::string file = "docs/results/workers.json";
  if (!wanted.empty() && std::filesystem::exists(file)) {
    const Json before = read_json(file);
    results.values = before.at("values");
    for (const auto& [name, figure] : before.at("figures").items())
      results.figure(name, plot_from_json(figure));
  }
  const std::pair<const char*, void (*)(Results&)> parts[] = {{"link", measure_links},
                                                              {"two_cores", compare_on_two_cores},
                                                              {"bytes", count_bytes},
                                                              {"slow", slow_links},
                                                              {"sums", compare_sums}};
  for (const auto& [name, measure] : parts)
    if (wanted.empty() || std::ranges::find(wanted, name) != wanted.end()) measure(results);
  on_paper(results, results.values["two_cores"]["one_worker"]);
  results.write();
}
