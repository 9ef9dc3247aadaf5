// ./chapbook bench: measures this machine's limits, then what Chapbook makes of them, and writes JSON lines
// (see apps/report/bench_results.h) as each section ends. `./chapbook bench compare` shows them.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <regex>

#include "bench/measure.h"
#include "tensor/check.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/files.h"

namespace chapbook {
namespace {

struct Section {
  std::string name;
  std::vector<Row> (*rows)();  // of this section and perhaps of others
};
const Section sections[] = {{"ops", tensor_rows},
                            {"gradients", autograd_rows},
                            {"train", nn_rows},
                            {"decode", nn_rows},
                            {"data", data_rows}};

std::string words(int argc, char** argv) {
  std::string command = "./chapbook bench";
  for (int i = 1; i < argc; ++i) command += fmt::format(" {}", argv[i]);
  return command;
}

int run(int argc, char** argv) {
  CLI::App app(
      "Measures this machine's limits, then how much of them Chapbook uses, on every backend there is.",
      "./chapbook bench");
  std::vector<std::string> wanted;
  std::string filter, out;
  MeasureOptions options;
  int threads = 0;
  app.add_option("SECTION", wanted, "ops, gradients, train, decode, data; all unless told, after the limits")
      ->check(CLI::IsMember({"ops", "gradients", "train", "decode", "data"}));
  app.add_flag("--quick", options.quick, "in a minute: short repeats, and nothing that takes long");
  app.add_option("--filter", filter, "only rows whose \"section name\" this regular expression finds")
      ->type_name("REGEX");
  app.add_option("--repeats", options.repeats, "of each measurement, of which the median counts")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  app.add_option("--threads", threads, "of the cpu backend; as many as cores unless told")
      ->check(CLI::Range(1, 1024));
  app.add_option("--out", out, "the results; bench/results/bench.jsonl unless told, or quick.jsonl")
      ->type_name("FILE");
  app.footer("`./chapbook bench compare FILE...` shows results side by side, and draws them.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    check(error.get_exit_code() == 0, "{}", error.what());
    fmt::print("{}", app.help());
    return 0;
  }
  std::regex pattern;
  try {
    pattern = filter;
  } catch (const std::regex_error&) {
    fail("--filter: \"{}\" is not a regular expression", filter);
  }
  if (threads) thread_pool().set_threads(threads);
  if (options.quick) options.repeats = std::min(options.repeats, 3);
  if (out.empty())
    out = fmt::format("{}/bench/results/{}.jsonl", CHAPBOOK_SOURCE_DIR, options.quick ? "quick" : "bench");

  std::vector<std::vector<Row>> chosen;  // by section
  for (const Section& section : sections) {
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), section.name) == wanted.end()) continue;
    chosen.push_back(section.rows());
    std::erase_if(chosen.back(), [&](const Row& row) {
      return row.section != section.name || !std::regex_search(row.section + " " + row.name, pattern);
    });
    if (chosen.back().empty()) chosen.pop_back();
  }
  check(!chosen.empty(), "--filter: \"{}\" finds nothing to measure", filter);

  std::string lines = machine_line(words(argc, argv)).dump() + "\n";
  const auto write = [&](const std::vector<Measurement>& results) {
    for (const Measurement& result : results) lines += to_json(result).dump() + "\n";
    write_file(out, lines);
  };
  Limits limits;
  write(measure_machine(options, limits));
  for (const std::vector<Row>& rows : chosen) write(measure(rows, limits, options));
  fmt::print("{}\n", out);
  return 0;
}

}  // namespace
}  // namespace chapbook

int main(int argc, char** argv) try {
  std::string flags[] = {argv[0], "--benchmark_enable_random_interleaving=true"};
  char* pointers[] = {flags[0].data(), flags[1].data()};
  int count = 2;
  benchmark::Initialize(&count, pointers);
  return chapbook::run(argc, argv);
} catch (const std::exception& error) {
  fmt::print(stderr, "chapbook: {}\n", error.what());
  return 2;
}
