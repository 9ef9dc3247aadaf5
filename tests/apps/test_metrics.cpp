#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "apps/run/metrics.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

static const std::vector<std::string> columns = {"tokens", "loss", "valid_loss"};

static void write_steps(MetricsLog& log, int64_t from, int64_t to) {
  for (int64_t step = from; step <= to; ++step) {
    const auto x = static_cast<double>(step);
    if (step % 2)
      log.write(step, {{"tokens", 2048 * x}, {"loss", 1 / x}});
    else
      log.write(step, {{"valid_loss", 2 / x}, {"tokens", 2048 * x}, {"loss", 1 / x}});
  }
}

TEST_CASE("the log is the same numbers twice, written line by line") {
  const TemporaryDirectory directory;
  MetricsLog log(directory.path, columns);
  write_steps(log, 1, 3);
  // Read while the log is still open: each line is there as soon as it is written.
  CHECK(read_file(directory / "metrics.csv") ==
        "step,tokens,loss,valid_loss\n"
        "1,2048,1,\n"
        "2,4096,0.5,1\n"
        "3,6144,0.3333333333333333,\n");
  CHECK(read_file(directory / "metrics.jsonl") ==
        "{\"step\": 1, \"tokens\": 2048, \"loss\": 1}\n"
        "{\"step\": 2, \"tokens\": 4096, \"loss\": 0.5, \"valid_loss\": 1}\n"
        "{\"step\": 3, \"tokens\": 6144, \"loss\": 0.3333333333333333}\n");
  CHECK_THROWS_WITH_AS(log.write(4, {{"los", 1}}), "the log has no column los", Error);
}

TEST_CASE("a resumed run's log equals that of a run without a break") {
  const TemporaryDirectory whole, broken;
  {
    MetricsLog log(whole.path, columns);
    write_steps(log, 1, 30);
  }
  const std::string csv = read_file(whole / "metrics.csv"), jsonl = read_file(whole / "metrics.jsonl");
  {
    MetricsLog log(broken.path, columns);
    write_steps(log, 1, 17);
  }
  // Killed in the middle of a line, in both files.
  write_file(broken / "metrics.csv", read_file(broken / "metrics.csv") + "18,36");
  write_file(broken / "metrics.jsonl", read_file(broken / "metrics.jsonl") + "{\"step\": 1");
  {
    MetricsLog log(broken.path, columns, 12);  // the last checkpoint is older than the last line
    write_steps(log, 13, 30);
  }
  CHECK(read_file(broken / "metrics.csv") == csv);
  CHECK(read_file(broken / "metrics.jsonl") == jsonl);

  MetricsLog fresh(broken.path, columns);  // not resumed: a new log
  CHECK(read_file(broken / "metrics.csv") == "step,tokens,loss,valid_loss\n");
  CHECK(read_file(broken / "metrics.jsonl").empty());
}

TEST_CASE("a log with other columns is not continued") {
  const TemporaryDirectory directory;
  { MetricsLog log(directory.path, {"loss"}); }
  CHECK_THROWS_AS(MetricsLog(directory.path, columns, 5), Error);
  CHECK(read_file(directory / "metrics.csv") == "step,loss\n");
}

TEST_CASE("numbers read back exactly; NaN is not JSON") {
  const TemporaryDirectory directory;
  const double third = 1.0 / 3, nan = std::numeric_limits<double>::quiet_NaN();
  {
    MetricsLog log(directory.path, columns);
    log.write(1, {{"tokens", 1e15}, {"loss", third}});
    log.write(2, {{"tokens", 2e15}, {"loss", nan}, {"valid_loss", 1e-300}});
  }
  const Metrics metrics = read_metrics(directory / "metrics.csv");
  CHECK(metrics["step"] == std::vector<double>{1, 2});
  CHECK(metrics["tokens"] == std::vector<double>{1e15, 2e15});
  CHECK(metrics["loss"][0] == third);
  CHECK(std::isnan(metrics["loss"][1]));
  CHECK(std::isnan(metrics["valid_loss"][0]));
  CHECK(metrics["valid_loss"][1] == 1e-300);
  CHECK(read_file(directory / "metrics.jsonl").find("\"loss\": null") != std::string::npos);
  CHECK_THROWS_AS(metrics["los"], Error);
}

TEST_CASE("a log that is damaged is refused with the line") {
  const TemporaryDirectory directory;
  const std::string path = directory / "metrics.csv";
  for (const char* text :
       {"", "step,loss\n1\n", "step,loss\n1,2,3\n", "step,loss\n1,x\n", "step,loss\n1,2x\n"}) {
    CAPTURE(text);
    write_file(path, text);
    CHECK_THROWS_AS(read_metrics(path), Error);
  }
}
