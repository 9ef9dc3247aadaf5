// Training by several processes, as users start them: the files of one, whoever is killed is named, and what
// is left is whole.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "apps/report/memory.h"
#include "data/sha256.h"
#include "tensor/files.h"
#include "tensor/json.h"
#include "tests/apps/program.h"
#include "tests/support/mpi.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

// Everything on that has a state: dropout, accumulation, evaluations, early stopping, a norm that clips.
static std::string small(int steps) {
  return "train --stories 400 --set layers=2 --set heads=2 --set width=32 --set context=16 --set "
         "vocabulary=300 "
         "--set batch=4 --set accumulation=8 --set shards=4 --set dropout=0.1 --set warmup=10 --set clip=0.3 "
         "--set eval_every=20 --set eval_batches=3 --set save_every=15 --set sample_every=50 --set "
         "early_stop=50 --set steps=" +
         std::to_string(steps) + " --run ";
}

static void same_files(const std::string& a, const std::string& b) {
  for (const char* file : {"/last/model.safetensors", "/last/optimizer.safetensors",
                           "/best/model.safetensors", "/samples.jsonl"})
    CHECK_MESSAGE(read_file(a + file) == read_file(b + file), file);
}

static int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

static std::vector<pid_t> children(pid_t process) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream stat(entry.path() / "stat");
    pid_t id = 0, parent = 0;
    std::string name, state;
    if (stat >> id >> name >> state >> parent && parent == process) found.push_back(id);
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The program in the background, its output in a file.
struct Started {
  pid_t process;
  std::string output;
  Started(const std::string& arguments, const std::string& output,
          const std::string& program = CHAPBOOK_PROGRAM)
      : process(::fork()), output(output) {
    if (process != 0) return;
    ::execl("/bin/sh", "sh", "-c",
            ("exec " + program + " " + arguments + " >" + output + " 2>&1 </dev/null").c_str(), nullptr);
    ::_exit(127);
  }
  int wait() const {
    int status = 0;
    ::waitpid(process, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  // Its workers, by rank: they are started in this order.
  std::vector<pid_t> workers() const { return children(process); }
};

// Until there is a checkpoint, and a run that went on has begun to.
static void wait_for(const std::string& run, const Started& started, bool resumed) {
  const auto there = [&] {
    return fs::exists(run + "/last/trainer.json") &&
           (!resumed ||
            (fs::exists(started.output) && count(read_file(started.output), "resuming   at step") == 1));
  };
  for (int i = 0; i < 60000 && !there(); ++i) ::usleep(1000);
  REQUIRE(there());
}

// It has been told to end, and does so with everything saved.
static void stops(const Started& started) {
  const int code = started.wait();
  const std::string output = read_file(started.output);
  CAPTURE(output);
  CHECK((code == 130 || code == 0));  // 0: on a fast machine it was done by then
  if (code == 130) CHECK(count(output, "stopped and saved") == 1);
}

TEST_CASE("--workers: the files of one worker, one progress, one story") {
  const TemporaryDirectory directory;
  const auto one = run_program(small(60) + (directory / "1"));
  CHECK(one.code == 0);
  for (const char* workers : {"2", "4"}) {
    CAPTURE(workers);
    const auto several = run_program(small(60) + (directory / workers) + " --workers " + workers);
    CAPTURE(several.output);
    CHECK(several.code == 0);
    same_files(directory / "1", directory / workers);
    CHECK(count(several.output, "A story by this model") == 1);
    CHECK(count(several.output, "first loss") == 1);
    CHECK(several.output.find("sent       ") != several.output.npos);
  }
}

#ifdef CHAPBOOK_MPI_PROGRAM
static std::string by_mpi(int workers) {
  return fmt::format("{} -n {} " CHAPBOOK_MPI_PROGRAM " ", mpirun, workers);
}
#else
static std::string by_mpi(int) { return ""; }
#endif

TEST_CASE("the SHA-256 of the weights after 50 steps is that of one worker: 2, 4 and 8, processes and MPI") {
  const bool mpi = has_mpi();
  for (const std::string precision : {"f32", "bf16"}) {
    CAPTURE(precision);
    const TemporaryDirectory directory;
    const auto hash = [&](const std::string& name, const std::string& program, const std::string& more) {
      const std::string how = " --set shards=8 --set precision=" + precision + more;
      const Outcome run = shell(program + " " + small(50) + (directory / name) + how);
      CAPTURE(run.output);
      CHECK(run.code == 0);
      CHECK(count(run.output, "A story by this model") == 1);
      return sha256(read_file(directory / (name + "/last/model.safetensors")));
    };
    const std::string wanted = hash("1", CHAPBOOK_PROGRAM, "");
    for (const int workers : {2, 4, 8}) {
      CAPTURE(workers);
      CHECK(hash(fmt::format("{}", workers), CHAPBOOK_PROGRAM, fmt::format(" --workers {}", workers)) ==
            wanted);
      if (mpi) CHECK(hash(fmt::format("mpi-{}", workers), by_mpi(workers), "") == wanted);
    }
    // The cheaper sum has other bits, but for workers of one shard each, whose sum is the tree's.
    CHECK(hash("any-2", CHAPBOOK_PROGRAM, " --workers 2 --set sum=any") != wanted);
    CHECK(hash("any-8", CHAPBOOK_PROGRAM, " --workers 8 --set sum=any") == wanted);
    if (mpi) CHECK(hash("mpi-any-8", by_mpi(8), " --set sum=any") == wanted);
  }
}

TEST_CASE("mpi: a worker of another program, with other kernels or other settings is refused") {
  if (!has_mpi()) return;
#ifdef CHAPBOOK_MPI_PROGRAM
  const TemporaryDirectory directory;
  const std::string program = CHAPBOOK_MPI_PROGRAM, other = directory / "other";
  fs::copy_file(program, other);
  std::ofstream(other, std::ios::app) << "one byte more";  // which no loader reads
  const std::string arguments = " " + small(2) + (directory / "run");
  const auto refused = [&](const std::string& with, const std::string& what) {
    const Outcome run = shell(fmt::format("{} -n 1 {}{} : -n 1 {}", mpirun, program, arguments, with));
    CAPTURE(run.output);
    CHECK(run.code == 2);
    CHECK(count(run.output, "chapbook: ") == 1);
    CHECK(count(run.output, "chapbook: worker 1 has not the same as worker 0: " + what + "\n") == 1);
    CHECK_FALSE(fs::exists(directory / "run"));
  };
  refused(other + arguments, "the program");
  refused("env CHAPBOOK_VECTORS=portable " + program + arguments, "the kernels");
  refused(program + arguments + " --set seed=2", "the settings");
#endif
}

// A run that 4 workers begin and 2 go on with, each interrupted, and that one ends.
static void check_in_parts(bool mpi) {
  const TemporaryDirectory directory;
  const std::string parts = directory / "parts", whole = directory / "whole";
  CHECK(run_program(small(150) + whole).code == 0);
  for (const int workers : {4, 2}) {
    const bool first = workers == 4;
    const std::string arguments = first ? small(150) + parts : "train --resume " + parts;
    const Started run =
        // The shell's own variables come first, so that what runs is mpirun, whose children the workers are.
        mpi ? Started(arguments, directory / "output", "env " + by_mpi(workers))
            : Started(fmt::format("{} --workers {}", arguments, workers), directory / "output");
    wait_for(parts, run, !first);
    if (!mpi) ::kill(run.process, SIGINT);
    for (const pid_t timeout : mpi ? run.workers() : std::vector<pid_t>{})
      for (const pid_t worker : children(timeout))
        ::kill(worker, SIGINT);  // one would do: they ask each other
    stops(run);
  }
  CHECK(run_program("train --resume " + parts).code == 0);
  same_files(whole, parts);
}

TEST_CASE("--workers: stopped with 4, gone on with 2, then 1: the bits of a run without a break") {
  check_in_parts(false);
}

TEST_CASE("mpi: stopped with 4, gone on with 2, then by one without MPI: the bits of a run without a break") {
  if (has_mpi()) check_in_parts(true);
}

TEST_CASE("plan and profile --workers say what goes between the workers") {
  const TemporaryDirectory directory;
  const std::string sizes =
      " --set layers=2 --set heads=2 --set width=32 --set context=16 --set vocabulary=300 --set batch=4 "
      "--set "
      "accumulation=2";
  const Outcome plan = run_program("plan --workers 2" + sizes);
  CAPTURE(plan.output);
  CHECK(plan.code == 0);
  CHECK(count(plan.output, "\nlink") == 1);
  CHECK(count(plan.output, "\nspeed") == 1);
  const Outcome imagined = run_program("plan --workers 64 --link 10 --set shards=64" + sizes);
  CAPTURE(imagined.output);
  CHECK(imagined.code == 2);  // 8 sequences are not 64 shards
  const Outcome eight = run_program("plan --workers 8 --link 10" + sizes);
  CAPTURE(eight.output);
  CHECK(eight.code == 0);
  CHECK(eight.output.find("10 Gbit/s both ways") != std::string::npos);
  CHECK(run_program("plan --workers 3" + sizes).code == 2);
  CHECK(run_program("train --check --workers 2" + sizes).code == 2);
  // Of 8 shards, each of two workers adds up four: two sums wait for others.
  const auto numbers = static_cast<double>(2 * (12 * 32 * 32 + 13 * 32) + (300 + 16) * 32 + 2 * 32);
  const Outcome memory = run_program("plan --counts-only --workers 2 --set shards=8" + sizes);
  CAPTURE(memory.output);
  CHECK(memory.output.find(fmt::format("weights {0}, gradients {0}, sums of shards {1}, adamw {0}, ",
                                       bytes_text(4 * numbers), bytes_text(8 * numbers))) !=
        std::string::npos);

  const std::string out = directory / "profile";
  const Outcome profile = run_program("profile --steps 1 --workers 2 --out " + out + sizes);
  CAPTURE(profile.output);
  REQUIRE(profile.code == 0);
  CHECK(count(profile.output, "waiting for others") == 1);
  const Json step = parse_json(read_file(out + "/profile.json")).at("step");
  // 2 (N - 1) / N of 4 bytes for each number, and the loss and the norm of each shard.
  CHECK(step.at("workers") == 2);
  CHECK(std::abs(step.at("sent_bytes").get<double>() - 4 * numbers) <= 0.02 * 4 * numbers);
  CHECK(step.at("seconds_in_exchanges").get<double>() > 0);
}

TEST_CASE(
    "--workers: each worker killed in turn; one line names it, and the next ones go on from its checkpoint") {
  const TemporaryDirectory directory;
  const std::string run = directory / "run", steps = small(100000);
  for (size_t rank = 0; rank < 4; ++rank) {
    CAPTURE(rank);
    fs::remove(directory / "output");
    const Started started(rank == 0 ? steps + run + " --workers 4" : "train --resume " + run + " --workers 4",
                          directory / "output");
    wait_for(run, started, rank > 0);
    ::usleep(50'000 * static_cast<unsigned>(rank));
    const std::vector<pid_t> workers = started.workers();
    REQUIRE(workers.size() == 4);
    const auto start = std::chrono::steady_clock::now();
    ::kill(workers[rank], SIGKILL);
    CHECK(started.wait() == 2);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
    const std::string output = read_file(directory / "output");
    CAPTURE(output);
    CHECK(count(output, "chapbook: ") == 1);
    CHECK(output.find(fmt::format("chapbook: worker {} (process {}) was killed by signal 9", rank,
                                  workers[rank])) != output.npos);
    for (const pid_t worker : workers) CHECK(::kill(worker, 0) != 0);
  }
}

TEST_CASE("--workers: what cannot be is one line") {
  const TemporaryDirectory directory;
  const std::string run = directory / "run";
  const auto refused = [&](const std::string& arguments, const std::string& says) {
    const auto [code, output] = run_program(arguments);
    CAPTURE(output);
    CHECK(code == 2);
    CHECK(count(output, "chapbook: ") == 1);
    CHECK(output.find(says) != output.npos);
  };
  refused(small(10) + run + " --workers 3", "3 workers: their number is a power of two, up to 64");
  refused(small(10) + run + " --workers 8 --set accumulation=4 --set batch=1",
          "shards (8) must cut a step of 4 x 1");
  refused(small(10) + run + " --workers 2 --set context=1000000", "the data has");
  CHECK_FALSE(fs::exists(run));
  CHECK(run_program(small(10) + run + " --workers 2").code == 0);
  refused("train --resume " + run + " --workers 8", "its step has 4 shards, for up to 4 workers");
  refused(small(10) + run + " --workers 2", "is a run already");
  refused("train --resume /nonexistent --workers 2", "there is no run '/nonexistent'");
}
