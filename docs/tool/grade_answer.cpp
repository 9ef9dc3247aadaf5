// Exercises that ask for a number: docs/exercises/answers.cpp counts what is right, and here a wrong answer
// is told what it looks like.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "docs/tool/grade.h"
#include "docs/tool/program.h"
#include "tensor/check.h"

namespace chapbook {
namespace {

struct Mistake {
  double value;
  std::string words;
};

struct Answer {
  double value;
  double tolerance;  // relative; 0: to the last digit
  std::vector<Mistake> mistakes;
};

// What docs/exercises/answers.cpp prints, from the program that it is.
Answer answer_of(const std::string& number) {
  static const nlohmann::json all = [] {
    build_targets({"exercise_answers"});
    const Ran ran = run_shell(quoted(CHAPBOOK_BUILD_DIR "/exercise_answers"));
    check(ran.code == 0, "what counts the answers fails: {}", ran.output);
    return nlohmann::json::parse(ran.output);
  }();
  check(all.contains(number), "nobody has counted the answer of exercise {}", number);
  const nlohmann::json& found = all.at(number);
  Answer answer{found.at("value"), found.at("tolerance"), {}};
  for (const auto& mistake : found.at("mistakes")) answer.mistakes.push_back({mistake.at(0), mistake.at(1)});
  return answer;
}

bool equal(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance * std::abs(b); }

// What a factor between an answer and the right one usually comes from.
std::string words_for(double ratio, const std::string& unit) {
  struct Factor {
    double value;
    std::string words;
  };
  static const Factor factors[] = {{1000, "thousands"}, {1024, "units of 1024, Ki"},
                                   {1e6, "millions"},   {1048576, "units of 1024 x 1024, Mi"},
                                   {1e9, "billions"},   {1073741824, "units of 1024 x 1024 x 1024, Gi"}};
  for (const Factor& factor : factors)
    if (equal(ratio * factor.value, 1, 1e-3))
      return fmt::format("it looks like {}; the answer is in {}", factor.words, unit);
  if (unit == "bytes" && equal(ratio, 8, 1e-9))
    return "that is 8 times too much: bits, where bytes are asked";
  for (double factor : {2.0, 3.0, 4.0, 8.0, 12.0}) {
    if (equal(ratio, factor, 1e-9)) return fmt::format("that is {} times too much", factor);
    if (equal(ratio * factor, 1, 1e-9)) return fmt::format("that is {} times too little", factor);
  }
  if (ratio <= 0) return "it is above zero";
  // By how much, with as many digits as help to find the mistake.
  const double times = ratio > 1 ? ratio : 1 / ratio;
  const std::string more = times < 1.995  ? fmt::format("{:.0f}%", 100 * std::abs(ratio - 1))
                           : times < 1000 ? fmt::format("{:.2g} times", times)
                                          : fmt::format("{:.0e} times", times);
  return fmt::format("that is {} too {}", more, ratio > 1 ? "much" : "little");
}

}  // namespace

double right_answer(const Exercise& exercise) { return answer_of(exercise.number).value; }

Verdict grade_answer(const Exercise& exercise, const std::string& text) {
  std::string digits;
  for (char letter : text)
    if (std::string_view(" ,_'\n").find(letter) == std::string_view::npos) digits += letter;
  char* end = nullptr;
  const double given = std::strtod(digits.c_str(), &end);
  check(!digits.empty() && *end == '\0' && std::isfinite(given) &&
            digits.find_first_not_of("0123456789.+-eE") == std::string::npos,
        "an answer is a number like 12,288 or 0.25, not \"{}\"", text);
  const Answer right = answer_of(exercise.number);
  if (equal(given, right.value, right.tolerance)) return {true, fmt::format("{} {}.", text, exercise.unit)};
  const std::string no = fmt::format("{} {} is not it: ", text, exercise.unit);
  for (const Mistake& mistake : right.mistakes)
    if (equal(given, mistake.value, std::max(right.tolerance, 1e-3 * (right.tolerance > 0))))
      return {false, no + mistake.words + "."};
  if (right.tolerance == 0 && equal(given, right.value, 0.01))
    return {false, no + "it is near, and this one is to be exact."};
  if (equal(given, right.value, 10 * right.tolerance))
    return {false, fmt::format("{}it is near, and wanted within {:.1f}%.", no, 100 * right.tolerance)};
  return {false, no + words_for(given / right.value, exercise.unit) + "."};
}

}  // namespace chapbook
