// bench compare: what ./chapbook bench measured, side by side. The measuring itself is a program of its own
// in bench/, as only it needs Google Benchmark; the launcher builds and runs it.
#include <fmt/core.h>

#include <filesystem>

#include "apps/command.h"
#include "apps/report/bench_charts.h"
#include "apps/report/bench_results.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace {

struct Options {
  std::vector<std::string> files, profiles;
  std::string filter, charts;
};

void compare_files(const Options& options) {
  std::vector<BenchFile> files;
  for (const std::string& path : options.files) files.push_back(read_bench_file(path));
  std::vector<StepTimes> steps;
  for (const std::string& path : options.profiles) steps.push_back(read_profile(path));
  const Comparison comparison = compare(files, options.filter);
  check(!comparison.rows.empty(), "--filter: \"{}\" finds no measurement", options.filter);

  for (size_t i = 0; i < files.size(); ++i) {
    const auto& machine = files[i].machine;
    fmt::print("{}{}: {}, commit {}, {}\n", files.size() > 1 ? fmt::format("[{}] ", i + 1) : "",
               files[i].path, machine.at("processor").get<std::string>(),
               machine.at("commit").get<std::string>(), machine.at("date").get<std::string>());
  }
  fmt::print("Each: median of the repeats, half their spread, share of the machine's limit{}\n\n{}",
             comparison.columns.size() > 1 ? ", ratio to the first column" : "", table(comparison));

  const std::filesystem::path first(options.files[0]);
  const std::filesystem::path directory =
      options.charts.empty() ? first.parent_path() : std::filesystem::path(options.charts);
  if (!directory.empty()) make_directory(directory.string());
  fmt::print("\n");
  const auto write = [&](const char* question, const std::string& svg, const char* missing) {
    const std::string path = (directory / fmt::format("{}.{}.svg", first.stem().string(), question)).string();
    if (!svg.empty()) write_file(path, svg);
    fmt::print("{:<9} {}\n", question, svg.empty() ? missing : path);
  };
  write("sizes", sizes_svg(comparison), "not drawn: no op was measured by two backends at two sizes");
  write("roofline", roofline_svg(comparison, files[0]),
        "not drawn: the first file has no limits, or there are no ops");
  write("step", steps_svg(steps), "not drawn: --profile FILE gives it a profile.json of ./chapbook profile");
}

}  // namespace

void add_bench(CLI::App& program) {
  CLI::App& bench =
      *program.add_subcommand("bench", "how fast this machine is, and what was measured elsewhere");
  bench.require_subcommand(1);
  bench.footer("./chapbook bench without a command measures; ./chapbook bench --help says what.");
  auto options = std::make_shared<Options>();
  CLI::App& command = *bench.add_subcommand("compare", "results side by side: a table, and pictures as SVG");
  command.add_option("FILE", options->files, "what ./chapbook bench wrote; several make several columns")
      ->required();
  command
      .add_option("--filter", options->filter, "only what this regular expression finds in \"section name\"")
      ->type_name("REGEX");
  command
      .add_option("--profile", options->profiles,
                  "profile.json of ./chapbook profile: where a step's time goes")
      ->type_name("FILE");
  command
      .add_option("--charts", options->charts,
                  "directory for the pictures; that of the first file unless told")
      ->type_name("DIR");
  command.callback([options] { compare_files(*options); });
}

}  // namespace chapbook
