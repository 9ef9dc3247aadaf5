// A step of a run done again has the bits it had; a step that breaks says where, and can be seen again;
// outliers are passed over where that is asked for.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "apps/run/origin.h"
#include "apps/run/run.h"
#include "apps/run/run_record.h"
#include "data/sha256.h"
#include "tensor/files.h"
#include "tensor/ops.h"
#include "tensor/safetensors.h"
#include "tests/apps/program.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

namespace {

volatile std::sig_atomic_t never = 0;
void no_one(std::string_view) {}

RunOptions small_run(const std::string& directory) {
  RunOptions options{.directory = directory, .stories = 200};
  Settings& s = options.settings;
  s.layers = 2, s.heads = 2, s.width = 16, s.context = 16, s.vocabulary = 300, s.batch = 4, s.steps = 24;
  s.accumulation = 2, s.dropout = 0.1, s.warmup = 2, s.eval_every = 12, s.eval_batches = 2, s.save_every = 8;
  s.keep = 2, s.sample_every = 0;
  return options;
}

// What replay's SHA-256 should be, from the file of a checkpoint.
std::string hash_of(const std::string& directory) {
  Sha256 hash;
  for (const auto& [name, tensor] : load_tensors(directory + "/model.safetensors").tensors) {
    const std::vector<float> numbers = tensor.to_vector<float>();
    hash.add({reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float)});
  }
  return hash.hex();
}

}  // namespace

TEST_CASE(
    "replay: any step has the loss of the log and the weights of the checkpoint, from whatever it begins") {
  const TemporaryDirectory directory;
  const std::string run = directory / "run";
  Run::start(small_run(run), no_one)->train(never);
  const std::string log = read_file(run + "/metrics.csv"), last = read_file(run + "/last/trainer.json");
  const Metrics metrics = read_metrics(run + "/metrics.csv");
  const std::pair<int64_t, int64_t> from[] = {{1, 0}, {7, 0}, {16, 0}, {17, 16}, {24, 16}};
  for (const auto& [step, checkpoint] : from) {
    CAPTURE(step);
    const Replayed replayed = Run::replay(run, step);
    CHECK(replayed.from == checkpoint);
    REQUIRE(replayed.logged_loss);
    CHECK(replayed.step.loss == *replayed.logged_loss);
    CHECK(replayed.origin.empty());
    double squares = 0;
    for (const auto& [name, norm] : replayed.norms) squares += norm * norm;
    CHECK(std::abs(std::sqrt(squares) - replayed.step.gradient_norm) <= 1e-6 * replayed.step.gradient_norm);
    if (step == 16) CHECK(replayed.sha256 == hash_of(run + "/step-000000016"));
    if (step == 24) CHECK(replayed.sha256 == hash_of(run + "/last"));
  }
  CHECK(read_file(run + "/metrics.csv") == log);
  CHECK(read_file(run + "/last/trainer.json") == last);
  CHECK_THROWS_WITH_AS(Run::replay(run, 25), "step 25 is not one of the run's 24", Error);
  CHECK_THROWS_AS(Run::replay(directory / "none", 1), Error);
  const Outcome outcome = run_program("replay " + run + " --step 17");
  CHECK(outcome.code == 0);
  CHECK(outcome.output.find("says the same, bit for bit") != std::string::npos);
  CHECK(outcome.output.find("transformer.h.1.mlp.c_fc.weight") != std::string::npos);
}

TEST_CASE("a checkpoint whose replacing was cut off is found where it is whole") {
  const TemporaryDirectory directory;
  const std::string run = directory / "run";
  Run::start(small_run(run), no_one)->train(never);
  const Replayed before = Run::replay(run, 24);
  const std::string text = read_run(run).train_text;
  // Killed while the old `last` was taken away, and so was the oldest step.
  fs::copy(run + "/last", run + "/last.next", fs::copy_options::recursive);
  fs::remove(run + "/last/model.safetensors");
  fs::rename(run + "/step-000000016", run + "/step-000000016.new");
  fs::remove(run + "/step-000000016.new/model.safetensors");
  CHECK(Run::replay(run, 24).sha256 == before.sha256);
  fs::remove(run + "/last/trainer.json");
  CHECK(read_run(run).train_text == text);
}

TEST_CASE("a number that is not finite is traced to its op and its layer, forwards and backwards") {
  const Variable a = Variable::parameter(Tensor::full({2, 2}, 1)),
                 b = Variable::parameter(Tensor::full({2, 2}, -1));
  struct Two : Module {
    Variable a, b;
    void parts(PartVisitor& visit) override { visit("first", a), visit("second", b); }
  } model;
  model.a = a, model.b = b;
  const auto origin_of = [&](const std::function<Variable()>& compute) {
    Origin origin(model);
    const Variable y = compute();
    if (origin.text().empty()) backward(sum(y));
    return origin.text();
  };
  CHECK(origin_of([&] { return exp(a * b); }) == "");
  CHECK(origin_of([&] { return exp(a * 1.0) + log(b); }) == "op 'log' of second");
  CHECK(origin_of([&] { return exp(exp(exp(a * 9.0))); }) == "op 'exp' after first");
  CHECK(origin_of([&] { return sqrt(a + b); }).ends_with(", on the way back"));
}

TEST_CASE("a run that breaks names the op and the layer, and the step can be seen again") {
  const TemporaryDirectory directory;
  const std::string run = directory / "run";
  RunOptions options = small_run(run);
  options.settings.steps = 16, options.settings.keep = 0;
  Run::start(options, no_one)->train(never);
  // Break a weight of the checkpoint; its log then no longer fits, so the steps go on from 16 to 20.
  const std::string weights = run + "/last/model.safetensors";
  NamedTensors tensors = load_tensors(weights).tensors;
  for (auto& [name, tensor] : tensors)
    if (name == "transformer.h.1.mlp.c_fc.weight")
      tensor = where(equal(tensor, tensor), tensor * std::numeric_limits<double>::infinity(), tensor);
  save_tensors(weights, tensors, {{"format", "pt"}});
  std::string settings = read_file(run + "/last/trainer.json");
  settings.replace(settings.find("\"steps\": 16"), 11, "\"steps\": 20");
  write_file(run + "/last/trainer.json", settings);
  std::string message;
  try {
    Run::resume(run, no_one)->train(never);
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK_MESSAGE(message.find("step 17: the loss is") != std::string::npos, message);
  CHECK_MESSAGE(
      message.find("It begins in op 'linear' of transformer.h.1.mlp.c_fc.weight.") != std::string::npos,
      message);
  CHECK(fs::exists(run + "/broken/optimizer.safetensors"));
  const Replayed replayed = Run::replay(run, 17);
  CHECK(std::isnan(replayed.step.loss));
  CHECK(replayed.origin.find("transformer.h.1.mlp.c_fc.weight") != std::string::npos);
}

TEST_CASE("outliers are passed over where that is asked for, and a resumed run does the same") {
  const TemporaryDirectory directory;
  const auto of = [&](const std::string& name, double above) {
    RunOptions options = small_run(directory / name);
    options.settings.skip_above = above, options.settings.steps = 24;
    return options;
  };
  std::vector<std::string> skips;
  const auto watch = [&](std::string_view line) {
    if (line.find("skipped") != line.npos) skips.emplace_back(line);
  };
  Run::start(of("calm", 1000), watch)->train(never);
  CHECK(skips.empty());
  Run::start(of("strict", 0.9), watch)->train(never);
  REQUIRE_FALSE(skips.empty());
  CHECK(skips[0].find(" tokens: gradients of up to ") != std::string::npos);
  CHECK(read_file(directory / "calm/last/model.safetensors") !=
        read_file(directory / "strict/last/model.safetensors"));

  volatile std::sig_atomic_t soon = 0;
  Run::start(of("parts", 0.9), [&](std::string_view line) {
    if (line.starts_with("step     12  train")) soon = 1;
  })->train(soon);
  const auto resumed = Run::resume(directory / "parts", no_one);
  CHECK(resumed->trainer().steps() == 12);
  resumed->train(never);
  for (const char* file : {"/last/model.safetensors", "/last/optimizer.safetensors"})
    CHECK(read_file((directory / "strict") + file) == read_file((directory / "parts") + file));
}
