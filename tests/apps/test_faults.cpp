// A training run whose writes, syncs and renames fail, or at which it is killed: whichever of them it is, the
// checkpoint before it or after it is whole, and going on from there ends with the bits of a run without a
// fault. Every 13th is tried; with CHAPBOOK_ALL_FAULTS set, every one, which takes minutes.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "apps/run/checkpoint.h"
#include "apps/run/corpus.h"
#include "apps/run/metrics.h"
#include "apps/run/model_directory.h"
#include "apps/run/run.h"
#include "tensor/files.h"
#include "tests/apps/program.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

namespace {

const auto quiet = [](std::string_view) {};
volatile std::sig_atomic_t never = 0;

const int64_t stride = std::getenv("CHAPBOOK_ALL_FAULTS") ? 1 : 13;

const char* const settings =
    R"({"layers": 1, "heads": 1, "width": 8, "context": 8, "vocabulary": 300, "batch": 2,
  "steps": 4, "warmup": 1, "dropout": 0.1, "precision": "f32", "eval_every": 2, "eval_batches": 1, "save_every": 2, "sample_every": 2})";

// Token files, and a run of them without a fault.
struct Whole {
  TemporaryDirectory directory;
  RunOptions options;
  os::Faults calls;

  Whole() {
    prepare({.train = built_in_source(100, 1),
             .valid_share = 0.1,
             .vocabulary = 300,
             .directory = directory / "tokens"});
    write_file(directory / "settings.json", settings);
    read_settings_file(options.settings, directory / "settings.json");
    options.data = directory / "tokens";
    options.directory = directory / "whole";
    os::faults() = {};
    to_the_end(options);
    calls = os::faults();
    os::faults() = {};
  }

  static void to_the_end(const RunOptions& options) {
    const bool saved = fs::exists(whole_directory(options.directory + "/last"));
    const auto run = saved ? Run::resume(options.directory, quiet) : Run::start(options, quiet);
    run->train(never);
    run->finish();
  }

  // How many steps the checkpoint holds; 0: there is none. Of two faults the later leaves as many, or more:
  // what was saved is not lost. (Every 13th fault may miss the few at which it would be; test_files tries all
  // on a small directory, each time.)
  static int64_t saved_steps(const RunOptions& options) {
    return fs::exists(whole_directory(options.directory + "/last")) ? load_last(options.directory).step : 0;
  }

  // After a fault: goes on, or begins anew where there is no checkpoint, and compares.
  void check_rest(const RunOptions& broken) const {
    for (const char* name : {"/last", "/best"})
      if (const std::string left = whole_directory(broken.directory + name); fs::exists(left))
        CHECK_NOTHROW(load_model(left));
    REQUIRE_NOTHROW(to_the_end(broken));
    for (const char* file : {"/last/model.safetensors", "/last/optimizer.safetensors",
                             "/best/model.safetensors", "/samples.jsonl"})
      CHECK_MESSAGE(read_file(broken.directory + file) == read_file(options.directory + file), file);
    const Metrics x = read_metrics(broken.directory + "/metrics.csv"),
                  y = read_metrics(options.directory + "/metrics.csv");
    for (const char* column : {"step", "loss", "train_loss", "valid_loss", "rate", "gradient_norm"}) {
      REQUIRE(x[column].size() == y[column].size());
      for (size_t i = 0; i < x[column].size(); ++i)  // NaN: left empty
        CHECK(
            (x[column][i] == y[column][i] || (x[column][i] != x[column][i] && y[column][i] != y[column][i])));
    }
    for (const char* name : {"/last.new", "/last.next", "/best.new", "/best.next", "/last.trial"})
      CHECK_FALSE(fs::exists(broken.directory + name));
  }
};

}  // namespace

TEST_CASE("a run whose n-th write, sync or rename fails") {
  const Whole whole;
  MESSAGE(whole.calls.writes << " writes, " << whole.calls.syncs << " syncs, " << whole.calls.renames
                             << " renames in a run; every " << stride << ". of them fails in turn");
  if (try_replacing(whole.directory / "it"))
    CHECK(whole.calls.syncs == 134);  // of three checkpoints, the best and the log before each among them
  int64_t faults = 0;
  for (const int refusal : {0, EINVAL})
    for (int64_t n = 1 + (refusal ? stride / 2 : 0), saved = 0; n <= whole.calls.calls();
         n += stride, ++faults) {
      CAPTURE(n);
      RunOptions broken = whole.options;
      broken.directory = whole.directory / "broken";
      os::faults() = {.fail_at = n, .refuse_exchange = refusal};
      CHECK_THROWS_AS(Whole::to_the_end(broken), Error);
      os::faults() = {.refuse_exchange = refusal};
      CHECK(Whole::saved_steps(broken) >= saved);
      saved = Whole::saved_steps(broken);
      whole.check_rest(broken);
      fs::remove_all(broken.directory);
      os::faults() = {};
    }
  MESSAGE(faults << " faults");
}

TEST_CASE("a run that is killed at its n-th write, sync or rename") {
  const Whole whole;
  int64_t faults = 0;
  for (const char* also : {"", ",exchange:EXDEV"})
    for (int64_t n = 1 + (*also ? stride / 2 : 0), saved = 0;; n += stride, ++faults) {
      CAPTURE(n);
      RunOptions broken = whole.options;
      broken.directory = whole.directory / "broken";
      const Outcome outcome =
          run_program("train --threads 1 --data " + broken.data + " --config " +
                          (whole.directory / "settings.json") + " --run " + broken.directory,
                      "CHAPBOOK_FAULT=kill:" + std::to_string(n) + also);
      CHECK(Whole::saved_steps(broken) >= saved);
      saved = Whole::saved_steps(broken);
      whole.check_rest(broken);
      fs::remove_all(broken.directory);
      if (outcome.code == 0) break;
      CHECK_MESSAGE((outcome.code == 137 || outcome.code == -1), outcome.output);
    }
  CHECK(faults >= 2 * whole.calls.calls() / stride - 2);
  MESSAGE(faults << " kills");
}

TEST_CASE("faults are asked for by a variable") {
  const TemporaryDirectory directory;
  std::string text;
  for (int i = 0; i < 40; ++i) text += "There were " + std::to_string(i) + " cats.\n<|endoftext|>\n";
  write_file(directory / "text", text);
  const auto prepare = [&](const std::string& fault) {
    return run_program(
        "prepare " + (directory / "text") + " --vocabulary 257 --out " + (directory / "tokens"),
        "CHAPBOOK_FAULT=" + fault);
  };
  const Outcome failed = prepare("fail:2");
  CHECK(failed.code == 2);
  CHECK_MESSAGE(failed.output.find("Input/output error") != std::string::npos, failed.output);
  CHECK_FALSE(fs::exists(directory / "tokens"));
  CHECK(prepare("fail").output.find("CHAPBOOK_FAULT cannot be \"fail\"") != std::string::npos);
  const Outcome counted = prepare("count");
  CHECK(counted.code == 0);
  CHECK_MESSAGE(counted.output.find("files: ") != std::string::npos, counted.output);
}
