// The commands, in the order of --help, and what all of them take.
#include "apps/program.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "apps/command.h"
#include "apps/report/nearest.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/thread_pool.h"

namespace chapbook {
namespace {

// For the program and each of its commands, so that they may stand before or behind the command's name.
void add_common_options(CLI::App& app) {
  app.add_option_function<std::string>(
         "--backend", [](const std::string& name) { set_default_backend(backend(name)); },
         "where to compute; the fastest there is unless told (or CHAPBOOK_BACKEND)")
      ->type_name("NAME")
      ->group(every_command);
  app.add_option_function<int>(
         "--threads",
         [](int threads) {
           check(threads >= 1 && threads <= 1024, "--threads is 1 to 1024, not {}", threads);
           thread_pool().set_threads(threads);
         },
         "threads of the cpu backend; as many as cores unless told (or CHAPBOOK_THREADS)")
      ->type_name("N")
      ->group(every_command);
  app.add_option_function<std::string>(
         "--gemm", [](const std::string& name) { cpu::set_gemm(name); },
         "who computes large products on the cpu: own, openblas, or auto; own unless told (or CHAPBOOK_GEMM)")
      ->type_name("NAME")
      ->group(every_command);
  for (CLI::App* command : app.get_subcommands({})) add_common_options(*command);
}

// CLI11's own answer to a mistyped command is that a subcommand is required.
void check_command(const CLI::App& program, const std::string& name) {
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands({})) names.push_back(command->get_name());
  if (name.starts_with('-') || std::find(names.begin(), names.end(), name) != names.end()) return;
  fail("there is no command \"{}\"; did you mean \"{}\"? `./chapbook --help` lists them all", name,
       nearest(name, names));
}

}  // namespace

void run_program(int argc, char** argv) {
  CLI::App program("Chapbook trains small language models on stories, and shows how.", "./chapbook");
  program.require_subcommand(1);
  add_doctor(program);
  add_plan(program);
  add_download(program);
  add_tokenizer(program);
  add_prepare(program);
  add_train(program);
  add_evaluate(program);
  add_generate(program);
  add_predict(program);
  add_xray(program);
  add_serve(program);
  add_runs(program);
  add_replay(program);
  add_export(program);
  add_profile(program);
  add_bench(program);
  add_common_options(program);
  program.footer(
      "`./chapbook COMMAND --help` tells more.\n"
      "The book has three more: docs, exercise and check. `./chapbook exercise list` is a start.");
  try {
    if (argc < 2) throw CLI::CallForHelp();
    check_command(program, argv[1]);
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    check(error.get_exit_code() == 0, "{}", error.what());
    std::string help = program.help();  // --help; of the command, where one was given
    help.resize(help.find_last_not_of('\n') + 1);
    fmt::print("{}\n", help);
  }
  check(std::fflush(stdout) == 0 && !std::ferror(stdout),
        "cannot write all of the output: is the disk full?");
}

}  // namespace chapbook
