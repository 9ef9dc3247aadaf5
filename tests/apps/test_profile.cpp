// profile: tables, files and pictures of made-up numbers, and the command itself on a small model.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "apps/report/profile_charts.h"
#include "apps/run/step_profile.h"
#include "program.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

// A step of 10 ms: 1 ms of them to write down, 7 ms in five calls.
static StepProfile example() {
  StepProfile profile;
  profile.limits = {.threads = 2, .flops = 200e9, .read = 20e9, .triad = 18e9, .update = 25e9};
  const auto call = [&](const char* op, const char* shapes, Phase phase, double start, double end, Cost cost,
                        size_t live) {
    profile.calls.push_back({op, shapes, phase, start / 1e3, end / 1e3, cost, live});
  };
  call("matmul+bias", "(512, 64) (64, 256)", Phase::forward, 0.5, 2.5, {2e8, 4e6, 1e6}, 5'000'000);
  call("unary gelu", "(512, 256)", Phase::forward, 2.5, 3, {1.5e6, 5e5, 5e5}, 7'000'000);
  call("matmul+bias", "(512, 64) (64, 256)", Phase::backward, 4, 7, {2e8, 4e6, 1e6}, 9'000'000);
  call("copy", "(512, 256)", Phase::backward, 7, 7.5, {0, 5e5, 5e5}, 6'000'000);
  call("adamw", "(100000,)", Phase::optimizer, 8, 9, {1.6e6, 1.6e6, 1.2e6}, 4'000'000);
  profile.whole = 0.010, profile.recording = 0.001, profile.plain = 0.0088;
  profile.live_before = 4'000'000, profile.peak = 11'000'000;
  return profile;
}

TEST_CASE("the pictures are the committed ones, byte for byte") {
  const std::pair<const char*, std::string> pictures[] = {{"timeline", timeline_svg(example())},
                                                          {"roofline", roofline_svg(example())},
                                                          {"step", step_svg(example())}};
  for (const auto& [name, drawn] : pictures) {
    CAPTURE(name);
    const std::string path = std::string(CHAPBOOK_SOURCE_DIR "/tests/golden/profile/") + name + ".svg";
    if (std::getenv("CHAPBOOK_WRITE_GOLDEN")) write_file(path, drawn);  // then look at it
    CHECK(drawn == read_file(path));
  }
}

TEST_CASE("pictures of little or nothing") {
  StepProfile no_calls = example(), no_time = example();
  no_calls.calls.clear();
  for (Call& call : no_time.calls) call.end = call.start;
  for (const StepProfile& profile : {no_calls, no_time})
    for (const std::string& drawn : {timeline_svg(profile), roofline_svg(profile), step_svg(profile)}) {
      CAPTURE(drawn);
      CHECK(drawn.ends_with("</svg>\n"));
      CHECK(drawn.find("nan") == std::string::npos);
      CHECK(drawn.find("inf") == std::string::npos);
    }
}

TEST_CASE("calls are grouped by phase, op and shape, the longest first") {
  StepProfile profile = example();
  profile.calls.push_back(profile.calls[0]);
  profile.calls.push_back(profile.calls[0]);
  profile.calls.back().shapes = "(1, 64) (64, 256)";
  const std::vector<OpRow> rows = op_rows(profile);
  REQUIRE(rows.size() == 6);
  CHECK(rows[0].phase == Phase::forward);
  CHECK(rows[0].calls == 2);
  CHECK(rows[0].seconds == doctest::Approx(0.004));
  CHECK(rows[0].cost.flops == 4e8);
  CHECK(rows[0].cost.bytes() == 1e7);
  for (size_t i = 1; i < rows.size(); ++i) CHECK(rows[i].seconds <= rows[i - 1].seconds);
}

TEST_CASE("times add up to the step") {
  const StepProfile profile = example();
  CHECK(profile.seconds() == doctest::Approx(0.009));
  CHECK(profile.in_ops() == doctest::Approx(0.007));
  CHECK(profile.between_ops() == doctest::Approx(0.002));
}

TEST_CASE("the roof is the slower of the two limits") {
  const Limits limits = example().limits;
  CHECK(limits.bandwidth() == 25e9);
  CHECK(limits.seconds(200e9, 1) == doctest::Approx(1));
  CHECK(limits.seconds(1, 50e9) == doctest::Approx(2));
  OpRow row{Phase::forward, "matmul", "", 1, 0.002, {2e8, 4e6, 1e6}};
  CHECK(row.share_of_roof(limits) == doctest::Approx(0.5));
}

TEST_CASE("the table") {
  const std::string table = profile_table(example());
  CAPTURE(table);
  CHECK(table.find(
            "\nbackward  matmul+bias            (512, 64) (64, 256)     1    3.000  33.3%     66.7    1.7   "
            "40.00   33%\n") != std::string::npos);
  CHECK(table.find("between calls") != std::string::npos);
  CHECK(table.find(
            "step     9.000 ms, and 1.000 ms more to write the calls down; without the profiler 8.800 ms") !=
        std::string::npos);
}

TEST_CASE("the trace nests calls in phases") {
  const Json trace = Json::parse(trace_json(example()).dump());
  double phase_end = 0, before = 0;
  int phases = 0, calls = 0, counters = 0;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") == "C") ++counters;
    if (event.at("ph") != "X") continue;
    const double start = event.at("ts"), end = start + event.at("dur").get<double>();
    if (event.at("cat") == "phase") {
      ++phases;
      CHECK(start >= phase_end);
      phase_end = end;
    } else {
      ++calls;
      CHECK(start >= before);
      CHECK(end <= phase_end + 1e-6);
      before = end - 1e-6;
    }
  }
  CHECK(phases == 3);
  CHECK(calls == 5);
  CHECK(counters == 6);
}

TEST_CASE("a step that is profiled is one that was made") {
  const Settings settings = preset("nano");
  const ProfiledSteps profiled = profile_steps(settings, 3, alone());
  REQUIRE(profiled.seconds.size() == 3);
  REQUIRE(profiled.plain.size() == 3);
  // Of three, one is faster and one slower.
  std::vector<double> seconds = profiled.seconds;
  std::sort(seconds.begin(), seconds.end());
  const StepProfile& step = profiled.step;
  CHECK(step.seconds() == seconds[1]);
  CHECK(step.in_ops() > 0);
  CHECK(step.in_ops() < step.seconds());
  CHECK(step.peak > step.live_before);
  double before = 0, end_of_forward = 0, begin_of_optimizer = step.whole;
  for (const Call& call : step.calls) {
    CHECK(call.start >= before);
    before = call.start;
    if (call.phase == Phase::forward) end_of_forward = call.end;
    if (call.phase == Phase::optimizer) begin_of_optimizer = std::min(begin_of_optimizer, call.start);
  }
  CHECK(before < step.whole);
  CHECK(end_of_forward > 0);
  CHECK(end_of_forward < begin_of_optimizer);
  CHECK(begin_of_optimizer < step.whole);
  CHECK_THROWS_AS(profile_steps(settings, 0, alone()), Error);
}

TEST_CASE("the limits of this machine are possible ones") {
  const Limits limits = measure_limits();
  CHECK(limits.threads >= 1);
  CHECK(limits.flops > 1e8);
  CHECK(limits.flops < 1e14);
  for (const double speed : {limits.read, limits.triad, limits.update}) {
    CHECK(speed > 1e8);
    CHECK(speed < 1e13);
  }
}

TEST_CASE("the command takes a step of a small model apart") {
  const TemporaryDirectory directory;
  const std::string out = directory / "profile";
  const Outcome outcome = run_program(
      "profile --preset nano --set vocabulary=300 --set layers=2 --set width=32 --set context=32 --set "
      "batch=4 "
      "--set accumulation=2 --steps 3 --out " +
      out);
  CAPTURE(outcome.output);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.output.find("256 random tokens a step") != std::string::npos);
  const Json json = Json::parse(read_file(out + "/profile.json"));
  for (const char* key : {"processor", "commit", "date"}) CHECK(json.at("machine").contains(key));
  CHECK(json.at("seconds_of_steps").size() == 3);
  CHECK(json.at("seconds_of_steps_without_profiler").size() == 3);
  const Json& step = json.at("step");
  double in_ops = 0, products = 0, last = 0;
  std::vector<std::string> phases;
  for (const Json& call : json.at("calls")) {
    const double start = call.at("start"), end = call.at("end");
    CHECK(start >= last);
    CHECK(end >= start);
    last = end, in_ops += end - start;
    CHECK(call.at("live_bytes") <= step.at("peak_bytes"));
    if (call.at("op").get<std::string>().starts_with("matmul")) products += call.at("flops").get<double>();
    const std::string phase = call.at("phase");
    if (phases.empty() || phases.back() != phase) phases.push_back(phase);
  }
  CHECK(phases == std::vector<std::string>{"forward", "backward", "forward", "backward", "optimizer"});
  CHECK(in_ops == doctest::Approx(step.at("in_ops").get<double>()));
  CHECK(in_ops <= step.at("seconds"));
  // 6 operations a weight and token; what is fused to products adds some, as may computing logits twice.
  const double least = 6.0 * (12 * 2 * 32 * 32 + 300 * 32) * 256;
  CHECK(products >= least);
  CHECK(products < 1.4 * least);
  double rows = 0;
  for (const Json& op : json.at("ops")) rows += op.at("seconds").get<double>();
  CHECK(rows == doctest::Approx(in_ops));
  CHECK(Json::parse(read_file(out + "/trace.json")).at("traceEvents").size() > json.at("calls").size());
  for (const char* name : {"timeline", "roofline", "step"})
    CHECK(read_file(out + "/" + name + ".svg").ends_with("</svg>\n"));
}

TEST_CASE("what cannot be profiled: one line, exit code 2") {
  const TemporaryDirectory directory;
  write_file(directory / "file", "");
  const struct {
    std::string arguments, says;
  } cases[] = {
      {"--preset huge", "there are tiny, story, nano"},
      {"--steps 0", "--steps"},
      {"--out " + (directory / "file"), directory / "file"},
      {"--out " + (directory / "file/below"), directory / "file/below"},
      {"--out /proc/none", "/proc/none"},
  };
  for (const auto& [arguments, says] : cases) {
    CAPTURE(arguments);
    const auto [code, output] = run_program("profile " + arguments);
    CAPTURE(output);
    CHECK(code == 2);
    CHECK(output.starts_with("chapbook: "));
    CHECK(output.find(says) != std::string::npos);
    CHECK(std::count(output.begin(), output.end(), '\n') == 1);
  }
}
