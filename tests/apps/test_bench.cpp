#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "apps/report/bench_charts.h"
#include "apps/report/bench_results.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tests/apps/program.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

static const std::string golden = CHAPBOOK_SOURCE_DIR "/tests/golden/bench/";

static Measurement limit(const char* name, const char* unit, double median) {
  return {.section = "limits",
          .name = name,
          .backend = "cpu",
          .shape = "2 threads",
          .unit = unit,
          .median = median,
          .min = median * 0.9,
          .max = median * 1.1,
          .repeats = 3,
          .share = {}};
}

static Measurement op(const char* name, const char* backend, int64_t size, double flops, double bytes,
                      double speed) {
  const bool computes = flops > 8 * bytes;
  return {.section = "ops",
          .name = name,
          .backend = backend,
          .shape = fmt::format("({}, {})", size, size),
          .unit = computes ? "GFLOP/s" : "GB/s",
          .median = speed,
          .min = speed * 0.96,
          .max = speed * 1.04,
          .repeats = 3,
          .flops = flops,
          .bytes = bytes,
          .share = speed / (computes ? 200 : 20)};
}

// A file as `bench` writes it, with numbers of our own.
static BenchFile example() {
  BenchFile file{
      .path = "example.jsonl",
      .machine = {{"section", "machine"}, {"processor", "P & Q"}, {"commit", "c"}, {"date", "2026-01-31"}},
      .measurements = {limit("multiply and add", "GFLOP/s", 200), limit("memory read", "GB/s", 20)}};
  for (const int64_t size : {32, 256, 2048}) {
    const auto n = static_cast<double>(size);
    // The reference is ahead at first: the lines cross between 32 and 256.
    file.measurements.push_back(op("gelu", "cpu", size, 11 * n * n, 8 * n * n, n / 128));
    file.measurements.push_back(op("gelu", "reference", size, 11 * n * n, 8 * n * n, 0.5));
    file.measurements.push_back(op("matmul", "cpu", size, 200 * n * n, 12 * n * n, 60 + n / 30));
  }
  return file;
}

static std::string text_of(const BenchFile& file) {
  std::string lines = file.machine.dump() + "\n";
  for (const Measurement& measurement : file.measurements) lines += to_json(measurement).dump() + "\n";
  return lines;
}

static void check_golden(const std::string& name, const std::string& made) {
  if (std::getenv("CHAPBOOK_WRITE_GOLDEN")) write_file(golden + name, made);  // then look at it
  CHECK(made == read_file(golden + name));
}

TEST_CASE("what is written is read back, and its columns are backends and files") {
  const TemporaryDirectory directory;
  BenchFile file = example();
  file.path = directory.path + "/a.jsonl";
  write_file(file.path, text_of(file));
  const BenchFile read = read_bench_file(file.path);
  CHECK(read.machine == file.machine);
  CHECK(read.measurements == file.measurements);
  CHECK(read.limit("memory read") == 20);
  CHECK(read.limit("memory triad") == 0);

  const Comparison one = compare({read});
  CHECK(one.columns == std::vector<std::string>{"cpu", "reference"});
  CHECK(one.rows.size() == 8);
  CHECK(compare({read}, "gelu").rows.size() == 3);
  CHECK(compare({read}, "^ops m").rows.size() == 3);
  CHECK(compare({read, read}).columns ==
        std::vector<std::string>{"[1] cpu", "[1] reference", "[2] cpu", "[2] reference"});
  CHECK_THROWS_WITH_AS(compare({read}, "("), "--filter: \"(\" is not a regular expression", Error);
  BenchFile twice = read;
  twice.measurements.push_back(twice.measurements.back());
  CHECK_THROWS_AS(compare({twice}), Error);
}

TEST_CASE("speeds beside those of rivals are read into columns of their own") {
  const TemporaryDirectory directory;
  const std::string path = directory.path + "/train.json";
  const std::string good = R"({
    "processor": "a processor", "commit": "0", "date": "2026-11-29", "rounds": 5, "rows": [
      {"model": "tiny", "precision": "f32",
       "shape": {"layers": 1, "heads": 2, "width": 3, "context": 4, "vocabulary": 5, "batch": 6},
       "tokens_per_second": {"chapbook": {"median": 20, "min": 10, "max": 30},
                             "torch eager": {"median": 10, "min": 10, "max": 10}}},
      {"product": "forward", "precision": "bf16", "m": 1, "n": 2, "k": 3,
       "gflops": {"torch": {"median": 1, "min": 1, "max": 2}}}]})";
  write_file(path, good);
  const BenchFile file = read_bench_file(path);
  const std::vector<Measurement> expected = {
      {"train", "tiny", "chapbook", "L=1 C=3 V=5 B=6 T=4", "tokens/s", 20, 10, 30, 5, 0, 0, {}},
      {"train", "tiny", "torch eager", "L=1 C=3 V=5 B=6 T=4", "tokens/s", 10, 10, 10, 5, 0, 0, {}},
      {"products", "forward, bf16", "torch", "(1, 3) (3, 2)", "GFLOP/s", 1, 1, 2, 5, 0, 0, {}}};
  CHECK(file.measurements == expected);
  CHECK(compare({file}).columns == std::vector<std::string>{"chapbook", "torch eager", "torch"});

  const auto refused = [&](const std::string& what, const std::string& instead, const std::string& message) {
    std::string bad = good;
    bad.replace(bad.find(what), what.size(), instead);
    write_file(path, bad);
    CHECK_THROWS_WITH_AS(read_bench_file(path), (path + message).c_str(), Error);
  };
  refused("\"processor\"", "\"machine\"", ": \"processor\" is missing or not text");
  refused("\"width\": 3, ", "", ": row 1: \"width\" is missing or not a number");
  refused("\"min\": 10", "\"min\": 25", ": row 1: median 20 is not between min 25 and max 30");
  refused("{\"median\": 1, \"min\": 1, \"max\": 2}", "7", ": row 2: \"median\" is missing or not a number");
  refused("\"gflops\"", "\"flops\"", ": row 2: \"gflops\" is missing");
}

TEST_CASE("the table and the pictures are the committed ones, byte for byte") {
  const BenchFile file = example();
  BenchFile slower = file;
  for (Measurement& m : slower.measurements) m.median /= 2, m.min /= 2, m.max /= 2;
  check_golden("table.txt", table(compare({file})) + "\n" + table(compare({file, slower}, "matmul")));
  check_golden("sizes.svg", sizes_svg(compare({file})));
  check_golden("roofline.svg", roofline_svg(compare({file}), file));
  check_golden(
      "step.svg",
      steps_svg(
          {{"a", {{"matmul", 0.04}, {"matmul+bias", 0.03}, {"adamw", 0.01}}, 0.1},
           {"b", {{"matmul", 0.02}, {"attention", 0.01}, {"c", 0.003}, {"d", 0.002}, {"e", 0.001}}, 0.05}}));
}

TEST_CASE("pictures of little or nothing") {
  BenchFile file = example();
  const auto drawn = [&] { return sizes_svg(compare({file})) + roofline_svg(compare({file}), file); };
  file.measurements.resize(2);  // only limits
  CHECK(drawn() == "");
  file.measurements = {op("gelu", "cpu", 32, 1, 1, 1)};  // no limits
  CHECK(drawn() == "");
  file.measurements = {limit("multiply and add", "GFLOP/s", 200), limit("memory read", "GB/s", 20),
                       op("gelu", "cpu", 32, 1e-300, 1e300, 1e300),
                       op("gelu", "cpu", 33, 1e300, 1e-300, 1e-300)};
  CHECK(drawn().find("nan") == std::string::npos);
  CHECK(steps_svg({}) == "");
}

TEST_CASE("a damaged file is one line and exit code 2, wherever it is cut or changed") {
  const TemporaryDirectory directory;
  const std::string path = directory.path + "/damaged.jsonl", whole = text_of(example());
  const auto message = [&](const std::string& bytes) -> std::string {
    std::ofstream(path, std::ios::binary) << bytes;  // write_file() would wait for the disk
    try {
      compare({read_bench_file(path)});
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  CHECK(message(whole) == "");
  // Cut anywhere but at the end of a line.
  for (size_t size = 0; size < whole.size(); size += 11) {
    CAPTURE(size);
    const std::string said = message(whole.substr(0, size));
    if (size >= whole.find('\n', whole.find('\n') + 1) && (whole[size - 1] == '\n' || whole[size] == '\n'))
      continue;
    CHECK(said.starts_with(path));
    CHECK(said.find('\n') == std::string::npos);
  }
  // A byte changed: either it still is a file, or it is said what is wrong.
  for (size_t at = 0; at < whole.size(); at += 17)
    for (const char letter : {'\0', '"', '{', '9', '\n', '\xff'}) {
      std::string changed = whole;
      changed[at] = letter;
      CHECK(message(changed).find('\n') == std::string::npos);
    }
  const auto with = [&](const std::string& key, const nlohmann::ordered_json& value) {
    auto json = to_json(example().measurements[2]);
    json[key] = value;
    return message(example().machine.dump() + "\n" + json.dump() + "\n");
  };
  CHECK(with("median", -1).find("\"median\" is -1") != std::string::npos);
  CHECK(with("median", "fast").find("not a number") != std::string::npos);
  CHECK(with("median", 0).find("not between") != std::string::npos);
  CHECK(with("max", 0.01).find("not between") != std::string::npos);
  CHECK(with("name", "\x1b[2J").find("control character") != std::string::npos);
  CHECK(with("name", 3).find("not text") != std::string::npos);
  CHECK(with("share", "half").find("\"share\"") != std::string::npos);

  write_file(path, whole.substr(0, whole.size() - 9));
  const Outcome cut = run_program("bench compare " + path);
  CHECK(cut.code == 2);
  CHECK(cut.output.find("is the file cut off?") != std::string::npos);
  CHECK(std::count(cut.output.begin(), cut.output.end(), '\n') == 1);
  for (const char* arguments : {"bench", "bench compare", "bench compare /nowhere", "bench compare /"}) {
    CAPTURE(arguments);
    const Outcome wrong = run_program(arguments);
    CHECK(wrong.code == 2);
    CHECK(std::count(wrong.output.begin(), wrong.output.end(), '\n') == 1);
  }
  for (const char* bytes : {"", "[]", "{}", "{\"step\": {\"seconds\": 0}, \"ops\": []}",
                            "{\"step\": {\"seconds\": 1}, \"ops\": [{\"op\": \"a\"}]}"}) {
    write_file(path, bytes);
    CHECK_THROWS_AS(read_profile(path), Error);
  }
}

TEST_CASE("compare prints the table and draws") {
  const TemporaryDirectory directory;
  write_file(directory.path + "/a.jsonl", text_of(example()));
  write_file(directory.path + "/profile.json",
             R"({"step": {"seconds": 0.1}, "ops": [{"op": "matmul", "seconds": 0.08}]})");
  const Outcome outcome = run_program(fmt::format(
      "bench compare {0}/a.jsonl --profile {0}/profile.json --charts {0}/new/charts", directory.path));
  CAPTURE(outcome.output);
  CHECK(outcome.code == 0);
  CHECK(outcome.output.find(table(compare({example()}))) != std::string::npos);
  for (const char* question : {"sizes", "roofline", "step"})
    CHECK(read_file(fmt::format("{}/new/charts/a.{}.svg", directory.path, question)).ends_with("</svg>\n"));
  const Outcome none = run_program(fmt::format("bench compare {}/a.jsonl --filter nothing", directory.path));
  CHECK(none.code == 2);
  CHECK(none.output.find("finds no measurement") != std::string::npos);
}

TEST_CASE("bench measures, and what it writes can be read") {
#ifdef CHAPBOOK_BENCH_PROGRAM
  const TemporaryDirectory directory;
  const std::string out = directory.path + "/out.jsonl";
  const Outcome outcome = run_program(
      "", fmt::format("{} --quick --filter '(ops|gradients) softmax|smallest' --out {} ; exit 0 ;",
                      CHAPBOOK_BENCH_PROGRAM, out));
  CAPTURE(outcome.output);
  const BenchFile file = read_bench_file(out);
  CHECK(file.machine.at("command").get<std::string>().starts_with("./chapbook bench --quick"));
  CHECK(file.limit("multiply and add") > 0);
  CHECK(file.limit("L2 read") > 0);
  std::vector<std::string> sections;
  for (const Measurement& m : file.measurements) {
    CAPTURE(to_json(m).dump());
    CHECK((m.section == "limits" || m.name.ends_with("bf16") || m.share.value_or(0) > 0));
    if (sections.empty() || sections.back() != m.section) sections.push_back(m.section);
  }
  CHECK(sections == std::vector<std::string>{"limits", "ops", "gradients", "train", "decode"});
  CHECK(!sizes_svg(compare({file})).empty());
  CHECK(!roofline_svg(compare({file}), file).empty());
#else
  MESSAGE("built without CHAPBOOK_BENCH or without libbenchmark-dev: measuring itself is not tested");
#endif
}
