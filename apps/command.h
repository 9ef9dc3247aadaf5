// The commands of the program. Each is one function, in the file of its name, that adds a CLI11 subcommand
// whose callback does the work; program.cpp calls them in the order of --help. A command reports failure by
// throwing Error.
#pragma once
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <limits>

namespace chapbook {

inline constexpr const char* every_command = "Options of every command";  // their group in --help

// For whole numbers. CLI11 alone makes the nearest that fits of one that is too large, or of -1 where there
// is no sign, and names limits by all of their 309 digits.
inline CLI::Validator whole_number(int64_t low, int64_t high = std::numeric_limits<int64_t>::max()) {
  return CLI::Validator(
      [low, high](const std::string& text) {
        int64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error == std::errc{} && end == text.data() + text.size() && number >= low && number <= high)
          return std::string();
        const bool bounded = high != std::numeric_limits<int64_t>::max();
        return fmt::format("cannot be {}; allowed: {}, a whole number",
                           text.size() <= 40 ? text : text.substr(0, 40) + "...",
                           bounded ? fmt::format("{} to {}", low, high) : fmt::format("{} or more", low));
      },
      "");
}

// For a share of a whole, of which something is left.
inline CLI::Validator share() {
  return CLI::Validator(
      [](const std::string& text) {
        double number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error == std::errc{} && end == text.data() + text.size() && number > 0 && number < 1)
          return std::string();
        return fmt::format("cannot be {}; allowed: more than 0, and less than 1", text);
      },
      "");
}

void add_doctor(CLI::App& program);
void add_plan(CLI::App& program);
void add_download(CLI::App& program);
void add_tokenizer(CLI::App& program);
void add_prepare(CLI::App& program);
void add_train(CLI::App& program);
void add_evaluate(CLI::App& program);
void add_generate(CLI::App& program);
void add_predict(CLI::App& program);
void add_xray(CLI::App& program);
void add_serve(CLI::App& program);
void add_replay(CLI::App& program);
void add_export(CLI::App& program);
void add_profile(CLI::App& program);
void add_bench(CLI::App& program);
void add_runs(CLI::App& program);  // runs, compare, board, report

}  // namespace chapbook
