// `./chapbook replay`: a step of a run, done again.
#include <fmt/core.h>

#include "apps/command.h"
#include "apps/run/run.h"

namespace chapbook {
namespace {

void replay(const std::string& run, int64_t step) {
  const Replayed replayed = Run::replay(run, step);
  fmt::print("{}\n", replayed.from == 0 ? "from the beginning" : fmt::format("from step {}", replayed.from));
  fmt::print("loss           {}\n", replayed.step.loss);
  if (replayed.logged_loss)
    fmt::print("log            {}\n", *replayed.logged_loss == replayed.step.loss
                                          ? "says the same, bit for bit"
                                          : fmt::format("says {}: it was made by another program or machine",
                                                        *replayed.logged_loss));
  fmt::print("rate           {}\ngradient norm  {}\n", replayed.step.rate, replayed.step.gradient_norm);
  if (replayed.step.skipped > 0)
    fmt::print("skipped        {} times, gradients of up to {}\n", replayed.step.skipped,
               replayed.step.outlier);
  for (const auto& [name, norm] : replayed.norms) fmt::print("  {:<52} {:.9g}\n", name, norm);
  if (!replayed.origin.empty()) fmt::print("not finite     begins in {}\n", replayed.origin);
  fmt::print("weights after  SHA-256 {}\n", replayed.sha256);
}

}  // namespace

void add_replay(CLI::App& program) {
  struct Options {
    std::string run;
    int64_t step = 1;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command =
      *program.add_subcommand("replay", "a step of a run done again, bit for bit, to look at it");
  command
      .add_option("RUN", options->run, "a run; from its last checkpoint before the step, see --set keep=N")
      ->required();
  command.add_option("--step", options->step, "which")->required()->check(whole_number(1));
  command.footer("Example: ./chapbook replay runs/tiny --step 1200");
  command.callback([options] { replay(options->run, options->step); });
}

}  // namespace chapbook
