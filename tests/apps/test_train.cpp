// Training as a whole: resuming equals not stopping, the number of threads changes nothing, and what cannot
// work says so in one line and leaves nothing behind.
#include <doctest/doctest.h>
#include <httplib.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "apps/run/metrics.h"
#include "data/utf8.h"
#include "tensor/files.h"
#include "tensor/ops.h"
#include "tensor/safetensors.h"
#include "tests/apps/program.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

// A model that trains in milliseconds a step, with everything on that has a state: dropout, accumulation,
// evaluations.
static const std::string small =
    "train --stories 400 --set layers=2 --set heads=2 --set width=32 --set context=16 --set vocabulary=300 "
    "--set batch=4 "
    "--set accumulation=2 --set dropout=0.1 --set warmup=10 --set eval_every=20 --set eval_batches=2 --set "
    "save_every=15 "
    "--set sample_every=0 ";

static void same_numbers(const std::string& a, const std::string& b) {
  for (const char* file :
       {"/last/model.safetensors", "/last/optimizer.safetensors", "/best/model.safetensors"})
    CHECK_MESSAGE(read_file(a + file) == read_file(b + file), file);
  const Metrics x = read_metrics(a + "/metrics.csv"), y = read_metrics(b + "/metrics.csv");
  for (const char* column : {"step", "tokens", "loss", "train_loss", "valid_loss", "rate", "gradient_norm"}) {
    REQUIRE(x[column].size() == y[column].size());
    for (size_t i = 0; i < x[column].size(); ++i) {
      const bool both_empty = x[column][i] != x[column][i] && y[column][i] != y[column][i];
      CHECK_MESSAGE((both_empty || x[column][i] == y[column][i]), column << " in line " << i);
    }
  }
}

// Starts a run, waits for its first checkpoint, and sends the signal. Returns the status of waitpid.
static int start_and_signal(const std::string& arguments, const std::string& run, int signal) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/sh", "sh", "-c", ("exec " CHAPBOOK_PROGRAM " " + arguments + " >/dev/null 2>&1").c_str(),
            nullptr);
    ::_exit(127);
  }
  for (int i = 0; i < 60000 && !fs::exists(run + "/last/trainer.json"); ++i) ::usleep(1000);
  ::kill(child, signal);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST_CASE("a run that is killed and resumed equals one that was not, bit for bit") {
  for (const std::string precision : {"f32", "f16"}) {
    const TemporaryDirectory directory;
    const std::string whole = directory / "whole", broken = directory / "broken";
    const std::string steps = "--set steps=150 --precision " + precision + " ";
    const Outcome outcome = run_program(small + steps + "--run " + whole);
    REQUIRE_MESSAGE(outcome.code == 0, outcome.output);
    CHECK(outcome.output.find("\nprecision  " + precision) != std::string::npos);

    const int status = start_and_signal(small + steps + "--run " + broken, broken, SIGKILL);
    REQUIRE_MESSAGE(WIFSIGNALED(status), "the run ended before it could be killed");
    const Outcome resumed = run_program("train --resume " + broken);
    REQUIRE_MESSAGE(resumed.code == 0, resumed.output);
    same_numbers(whole, broken);
  }
}

TEST_CASE("Ctrl-C ends the step, saves, and the run can go on, from another directory too") {
  const TemporaryDirectory directory;
  const std::string whole = directory / "whole", stopped = directory / "stopped", steps = "--set steps=150 ";
  REQUIRE(run_program(small + steps + "--run " + whole).code == 0);
  const int status = start_and_signal(small + steps + "--run " + stopped, stopped, SIGINT);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 130);
  const Outcome resumed = run_program("train --resume stopped", "cd " + directory.path + " &&");
  REQUIRE_MESSAGE(resumed.code == 0, resumed.output);
  same_numbers(whole, stopped);
}

TEST_CASE("one thread and three give the same bits") {
  const TemporaryDirectory directory;
  const std::string one = directory / "one", three = directory / "three", steps = "--set steps=40 ";
  REQUIRE(run_program(small + steps + "--threads 1 --run " + one).code == 0);
  REQUIRE(run_program(small + steps + "--threads 3 --run " + three).code == 0);
  same_numbers(one, three);
}

TEST_CASE("a run whose page is looked at all the time has the bits of one without") {
  const TemporaryDirectory directory;
  const std::string plain = directory / "plain", shown = directory / "shown", said = directory / "said";
  const std::string steps = "--set steps=300 ";
  REQUIRE(run_program(small + steps + "--run " + plain).code == 0);
  Outcome outcome;
  std::thread trains([&] {
    outcome = run_program(small + steps + "--dashboard --port 0 --run " + shown, "exec 2>&1 >" + said + ";");
  });
  // The first line says where.
  std::string line;
  for (int i = 0; i < 600 && line.find('\n') == line.npos; ++i) {
    ::usleep(100000);
    if (fs::exists(said)) line = read_file(said);
  }
  const std::string before = "dashboard  http://localhost:";
  CHECK(line.starts_with(before));
  int seen = 0;
  if (line.starts_with(before)) {
    httplib::Client client("127.0.0.1", std::stoi(line.substr(before.size())));
    while (const auto result = client.Get("/run"))
      if (result->status == 200) seen += nlohmann::json::parse(result->body).value("step", 0) > 0;
  }
  trains.join();
  REQUIRE_MESSAGE(outcome.code == 0, outcome.output);
  CHECK(seen > 0);
  same_numbers(plain, shown);
  // What is wrong with a page is known before there is a run.
  const Outcome nowhere = run_program(small + "--dashboard --host 192.0.2.1 --run " + (directory / "none"));
  CHECK(nowhere.code == 2);
  CHECK(nowhere.output ==
        "chapbook: cannot listen on 192.0.2.1 port 8080: Cannot assign requested address\n");
  CHECK(!fs::exists(directory / "none"));
  const Outcome no_page = run_program(small + "--port 1 --run " + (directory / "none"));
  CHECK(no_page.code == 2);
  CHECK(no_page.output.find("--port requires --dashboard") != std::string::npos);
}

TEST_CASE("samples and the last checkpoints' models are kept, and a resumed run has each once") {
  const TemporaryDirectory directory;
  const std::string run = directory / "run", log = run + "/samples.jsonl";
  REQUIRE(run_program(small + "--set steps=40 --set save_every=10 --set sample_every=10 --set keep=2 --run " +
                      run)
              .code == 0);
  CHECK(!fs::exists(run + "/step-000000020"));
  CHECK(fs::exists(run + "/step-000000030/model.safetensors"));
  CHECK(fs::exists(run + "/step-000000040/model.safetensors"));
  const std::string samples = read_file(log);
  CHECK(std::count(samples.begin(), samples.end(), '\n') == 3);
  CHECK(samples.find("{\"step\":30,\"text\":\"") != std::string::npos);
  CHECK(fs::exists(run + "/report.html"));
  write_file(log, samples + "{\"step\":50,\"text\":\"of a later step\"}\n{\"st");
  REQUIRE(run_program("train --resume " + run).code == 0);
  CHECK(read_file(log) == samples);
}

TEST_CASE("a run ends with its results, its curve and a story") {
  const TemporaryDirectory directory;
  const std::string run = directory / "run";
  const Outcome outcome = run_program(small + "--set steps=60 --set early_stop=0 --run " + run);
  REQUIRE_MESSAGE(outcome.code == 0, outcome.output);
  for (const char* said : {"built-in stories (told by a small grammar; not TinyStories)", "first loss",
                           "bits per byte", "of tensors at most", "A story"})
    CHECK_MESSAGE(outcome.output.find(said) != std::string::npos, said);
  for (const char* file :
       {"results.json", "loss.svg", "metrics.jsonl", "metrics.csv", "settings.json", "best/config.json",
        "best/tokenizer.json", "best/generation_config.json", "last/trainer.json"})
    CHECK_MESSAGE(fs::exists(run + "/" + file), file);

  const std::vector<double> peaks = read_metrics(run + "/metrics.csv")["peak_bytes"];
  const auto results = nlohmann::json::parse(read_file(run + "/results.json"));
  CHECK(peaks[0] > 4.0 * results.at("parameters").get<double>());
  CHECK(results.at("peak_bytes") >= peaks[0]);

  const std::string text = directory / "text.txt";
  std::ofstream(text)
      << "Once upon a time there was a cat.\n<|endoftext|>\nThe cat was happy.\n<|endoftext|>\n";
  const Outcome evaluated = run_program("evaluate " + run + " --data " + text);
  CHECK_MESSAGE(evaluated.code == 0, evaluated.output);
  for (const char* said : {"perplexity", "bits per byte", "top-1 accuracy", "top-5 accuracy"})
    CHECK_MESSAGE(evaluated.output.find(said) != std::string::npos, said);
  const std::string generate = "generate " + run + " --prompt 'Once upon' --tokens 20 --seed 3";
  const Outcome story = run_program(generate);
  CHECK(story.code == 0);
  CHECK(story.output.starts_with("Once upon"));
  CHECK(run_program(generate).output == story.output);
  const Outcome long_prompt =
      run_program("generate " + run + " --tokens 2 --prompt '" + std::string(300, 'x') + "'");
  CHECK(long_prompt.output.find("chapbook: the prompt has ") != std::string::npos);
  CHECK(long_prompt.output.find(" tokens; the model sees the last 15\n") != std::string::npos);
  // A prompt and a text that end inside a character.
  const Outcome cut = run_program(
      "generate " + run + " --past-end --temperature 50 --tokens 200 --prompt \"$(printf 'caf\\303')\"");
  CHECK(cut.output.starts_with("caf"));
  CHECK(well_formed(cut.output) == cut.output);
  const Outcome xrayed =
      run_program("xray " + run + " --text 'Once upon a time' --off 0.1 --out " + run + "/xray.html");
  CHECK(xrayed.code == 0);
  CHECK(xrayed.output.find("nats per token") != std::string::npos);
  CHECK(read_file(run + "/xray.html").find("\"off\":[\"0.1\"]") != std::string::npos);
  const Outcome parts = run_program("xray " + run + " --text 'Once upon a time' --table");
  CHECK(parts.code == 0);
  CHECK(parts.output.find("\n0.attention ") != std::string::npos);
  // A file is read as evaluate reads it, for the page and for the table, through a pipe too.
  const std::string story_file = directory / "story.txt", lines = directory / "story.jsonl";
  std::ofstream(story_file) << "  The cat was happy.\n<|endoftext|>\n";
  std::ofstream(lines) << R"({"text": "The cat was happy."})" << '\n';
  for (const std::string& more :
       {" --no-back --out " + run + "/xray.html", std::string(" --table --off 0")}) {
    const auto seen = [&](const std::string& file, const std::string& before = "") {
      const Outcome outcome = run_program("xray " + run + " --file " + file + more, before);
      CHECK_MESSAGE(outcome.code == 0, outcome.output);
      return outcome.output;
    };
    CHECK(seen(lines) == seen(story_file));
    CHECK(seen("/dev/stdin", "cat " + lines + " |") == seen(story_file));
    CHECK(seen(story_file + " --after-end yes") != seen(story_file + " --after-end no"));
  }
  const Outcome table = run_program("predict " + run + " 'Once upon' --top 3");
  CHECK(table.code == 0);
  CHECK(std::count(table.output.begin(), table.output.end(), '\n') == 4);
}

TEST_CASE("the validation loss that stops falling ends the run early") {
  const TemporaryDirectory directory;
  // With a rate of nearly nothing, no evaluation is better than the first for long.
  const Outcome outcome = run_program(small + "--set steps=2000 --set rate=1e-30 --set early_stop=2 --run " +
                                      (directory / "run"));
  REQUIRE_MESSAGE(outcome.code == 0, outcome.output);
  CHECK(outcome.output.find("stopped early: 2 evaluations") != std::string::npos);
}

TEST_CASE("what cannot work is refused in one line with exit code 2, and leaves nothing behind") {
  const TemporaryDirectory directory;
  const std::string here = directory.path + "/";
  std::ofstream(here + "empty.txt");
  std::ofstream(here + "one.txt") << "a";
  std::ofstream(here + "zip.txt") << "PK\x03\x04 and more";
  std::ofstream(here + "short.txt") << "A cat.\n<|endoftext|>\nA dog.\n<|endoftext|>\n";
  fs::create_directory(here + "nothing");
  REQUIRE(run_program("prepare --stories 200 --vocabulary 300 --out " + here + "tokens").code == 0);
  REQUIRE(run_program("prepare --stories 200 --vocabulary 400 --out " + here + "other").code == 0);
  REQUIRE(run_program(small + "--set steps=20 --run " + here + "run").code == 0);
  const auto copy = [&](const std::string& from, const std::string& to) {
    fs::copy(here + from, here + to, fs::copy_options::recursive);
  };
  const auto cut = [&](const std::string& path) {
    fs::resize_file(here + path, fs::file_size(here + path) / 2);
  };
  copy("run/best", "broken");  // weights that are no numbers
  NamedTensors weights = load_tensors(here + "broken/model.safetensors").tensors;
  for (auto& [name, tensor] : weights)
    if (name.ends_with("ln_f.weight")) tensor = tensor * std::nan("");
  save_tensors(here + "broken/model.safetensors", weights);
  copy("tokens", "cut");
  cut("cut/train.bin");
  copy("tokens", "mixed");
  fs::remove_all(here + "mixed/tokenizer");
  copy("other/tokenizer", "mixed/tokenizer");
  for (const char* file :
       {"model.safetensors", "optimizer.safetensors", "trainer.json", "config.json", "tokenizer.json"}) {
    const std::string run = std::string("run-") + file;
    copy("run", run);
    cut(run + "/last/" + file);
    fs::remove_all(here + run + "/best");
  }

  const struct {
    std::string arguments, part_of_the_message;
  } cases[] = {
      {"train --data " + here + "missing.txt", "missing.txt"},
      {"train --data " + here + "empty.txt", "empty.txt"},
      {"train --data " + here + "nothing", "nothing"},
      {"train --data " + here + "zip.txt", "zip.txt: seems to be a zip archive: unpack it first"},
      {"train --data " + here + "tokens/train.bin", "train.bin: seems to be a file of tokens"},
      {"evaluate " + here + "run --data " + here + "zip.txt", "a zip archive"},
      {"train --data " + here + "one.txt", "one.txt"},
      {"train --data " + here + "short.txt --valid " + here + "short.txt --set context=64", "64"},
      {"train --data " + here + "cut", "train"},
      {"train --data " + here + "mixed", "tokenizer"},
      {"train --set vocabulary=70000", "vocabulary"},
      {"train --set rate=nan", "rate"},
      {"train --set rate=-1", "rate"},
      {"train --set heads=3", "heads"},
      {"train --set layres=3", "layers"},
      {"train --set layers", "name=value"},
      {"train --preset huge", "huge"},
      {"train --config " + here + "missing.json", "missing.json"},
      {"train --backend tpu", "cpu, reference"},
      {"trian", "train"},
      {"train --resume " + here + "nowhere", "nowhere"},
      {"train --resume " + here + "nothing", "checkpoint"},
      {"train --resume " + here + "run --set steps=3", "--resume"},
      {"train --run " + here + "run", "--resume"},
      {"train --resume " + here + "run-model.safetensors", "model.safetensors"},
      {"train --resume " + here + "run-optimizer.safetensors", "optimizer.safetensors"},
      {"train --resume " + here + "run-trainer.json", "trainer.json"},
      {"train --resume " + here + "run-config.json", "config.json"},
      {"train --resume " + here + "run-tokenizer.json", "tokenizer.json"},
      {"generate " + here + "nowhere", "nowhere"},
      {"generate " + here + "nothing", "config.json"},
      {"generate " + here + "run-config.json/last", "config.json"},
      {"generate " + here + "run --temperature nan", "temperature"},
      {"predict " + here + "run", "TEXT"},
      {"xray " + here + "run", "--text or --file"},
      {"xray " + here + "run --file " + here + "zip.txt", "a zip archive"},
      {"xray " + here + "run --text a --off 99", "99' is no part of this model"},
      {"xray " + here + "run --text a --patch 0", "--from"},
      {"evaluate " + here + "run --data " + here + "missing.txt", "missing.txt"},
      {"generate " + here + "broken --temperature 0", "scores are not numbers"},
      {"generate " + here + "broken --temperature 1", "scores are not numbers"},
      {"generate " + here + "broken --beams 3 --tokens 8", "scores are not numbers"},
      {"xray " + here + "broken --text cat --out " + here + "page.html", "scores are not numbers"},
      {"xray " + here + "broken --text cat --table", "the model's loss is nan"},
      {"predict " + here + "broken cat", "scores are not numbers"},
      {"evaluate " + here + "broken --data " + here + "short.txt", "the model's loss is nan"},
      {"evaluate " + here + "run --data " + here + "tokens/train.bin", "tokenizer"},
      {"evaluate " + here + "run --data " + here + "empty.txt", "empty.txt"},
  };
  const std::string work = here + "work";
  fs::create_directory(work);
  for (const auto& [arguments, part] : cases) {
    CAPTURE(arguments);
    const Outcome outcome = run_program(arguments, "cd " + work + " &&");
    CAPTURE(outcome.output);
    CHECK(outcome.code == 2);
    const size_t message = outcome.output.rfind("chapbook: ");
    REQUIRE(message != std::string::npos);
    CHECK(std::count(outcome.output.begin() + static_cast<int64_t>(message), outcome.output.end(), '\n') ==
          1);
    CHECK(outcome.output.find(part, message) != std::string::npos);
    fs::remove(work + "/runs");  // may be left, but only empty
    CHECK(fs::is_empty(work));
  }
}

TEST_CASE("a disk that is full ends the run with a message, and the last checkpoint still works") {
  const TemporaryDirectory directory;
  const std::string run = directory / "run";
  REQUIRE(run_program(small + "--set steps=30 --run " + run).code == 0);
  const std::string before = read_file(run + "/last/trainer.json");
  // A file may not grow beyond 40 blocks of 1,024 bytes: less than the model needs. Ignored, the signal
  // becomes an error of write.
  const Outcome outcome =
      run_program(small + "--set steps=30 --run " + (directory / "full"), "trap '' XFSZ; ulimit -f 40;");
  CAPTURE(outcome.output);
  CHECK(outcome.code == 2);
  CHECK(outcome.output.find("chapbook: ") != std::string::npos);
  CHECK(outcome.output.find(": File too large") != std::string::npos);
  CHECK(!fs::exists(directory / "full/last"));
  CHECK(!fs::exists(directory / "full/last.new"));
  CHECK(read_file(run + "/last/trainer.json") == before);
}
