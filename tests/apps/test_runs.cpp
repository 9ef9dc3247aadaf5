// What is read back from the directories of runs.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "apps/run/run_record.h"
#include "program.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

// A run as `train` leaves it, with a loss after each of some evaluations a minute apart.
static void make_run(const std::string& directory, const std::vector<double>& losses, double rate) {
  make_directory(directory + "/data");
  make_directory(directory + "/last");
  Settings settings;
  settings.rate = rate;
  settings.steps = 100;
  write_file(directory + "/settings.json", to_json(settings).dump());
  write_file(directory + "/last/trainer.json", R"({"data": "data"})");
  write_file(directory + "/data/train.json", R"({"text": "a.txt"})");
  write_file(directory + "/data/valid.json", R"({"text": "b.txt", "tokens": 100, "text_bytes": 400})");
  write_file(directory + "/data/text.json", R"({"valid": {"hash": "00ff"}})");
  MetricsLog log(directory, training_columns);
  for (size_t i = 0; i < losses.size(); ++i) {
    const auto step = static_cast<int64_t>(10 * (i + 1));
    log.write(step, {{"tokens", 1000.0 * static_cast<double>(step)},
                     {"loss", 9},
                     {"seconds", 60.0 * static_cast<double>(i + 1)}});
    log.write(step,
              {{"tokens", 1000.0 * static_cast<double>(step)}, {"train_loss", 1}, {"valid_loss", losses[i]}});
  }
  write_file(directory + "/samples.jsonl",
             "{\"step\": 10, \"text\": \"A <cat> & a dog.\"}\n{\"step\": 20, \"te");
}

TEST_CASE("a run is read back: where it is, its best loss, bits per byte at a time") {
  const TemporaryDirectory directory;
  make_run(directory / "a", {4, 2, 3}, 1e-3);
  const RunRecord run = read_run(directory / "a/");
  CHECK(run.name == "a");
  CHECK(run.steps() == 30);
  CHECK(run.seconds() == 180);
  CHECK(!run.finished());
  CHECK(run.best_loss() == 2);
  const double a_bit = std::log(2.0);
  CHECK(std::abs(*run.bits_per_byte() - 2 / 4.0 / a_bit) < 1e-12);
  CHECK(std::abs(*run.bits_per_byte_by(60) - 4 / 4.0 / a_bit) < 1e-12);
  CHECK(!run.bits_per_byte_by(59));
  REQUIRE(run.samples.size() == 1);  // the second was being written
  CHECK(run.samples[0].text == "A <cat> & a dog.");
  CHECK(lines_up_to(directory / "a/samples.jsonl", 9).empty());
  CHECK_THROWS_AS(read_run(directory.path), Error);
}

TEST_CASE("runs, board, compare and report") {
  const TemporaryDirectory directory;
  make_run(directory / "runs/early", {3, 2.9}, 1e-3);
  make_run(directory / "runs/late", {3.5, 2.5, 2.0, 1.5}, 2e-3);
  const auto in = [&](const std::string& arguments) {
    const Outcome outcome = run_program(arguments, "cd " + directory.path + ";");
    CAPTURE(outcome.output);
    CHECK(outcome.code == 0);
    return outcome.output;
  };
  const auto order = [](const std::string& text) { return text.find("late") < text.find("early"); };
  CHECK(!order(in("runs")));
  CHECK(order(in("runs --sort bits")));
  CHECK(order(in("board")));               // after two minutes: 2.5 and 2.9
  CHECK(!order(in("board --minutes 1")));  // 3.5 and 3
  const std::string table = in("compare runs/early runs/late");
  CHECK(table.find("rate") != std::string::npos);
  CHECK(table.find("0.002") != std::string::npos);
  CHECK(table.find("layers") == std::string::npos);  // both have four
  CHECK(read_file(directory / "compare.svg").find("late") != std::string::npos);
  in("report runs/late");
  const std::string page = read_file(directory / "runs/late/report.html");
  CHECK(page.find("A &lt;cat&gt; &amp; a dog.") != std::string::npos);
  CHECK(page.find("--data a.txt --valid b.txt") != std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("src=") == std::string::npos);
  CHECK(fs::file_size(directory / "runs/late/events.out.tfevents.0.chapbook") > 100);
  const Outcome none = run_program("runs", "cd " + directory.path + "/runs;");
  CHECK(none.code == 2);
  CHECK(none.output == "chapbook: there is no directory 'runs' with runs\n");
}
