// The commands of the program. Each is one function, in the file of its name, that adds a CLI11 subcommand
// whose callback does the work; main.cpp calls them in the order of --help. A command reports failure by
// throwing Error.
#pragma once
#include <CLI/CLI.hpp>

namespace chapbook {

void add_doctor(CLI::App& program);
void add_plan(CLI::App& program);
void add_download(CLI::App& program);
void add_tokenizer(CLI::App& program);
void add_prepare(CLI::App& program);
void add_train(CLI::App& program);
void add_evaluate(CLI::App& program);
void add_generate(CLI::App& program);
void add_predict(CLI::App& program);
void add_serve(CLI::App& program);
void add_profile(CLI::App& program);
void add_bench(CLI::App& program);

}  // namespace chapbook
