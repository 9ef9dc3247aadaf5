// Exercises that ask for a number: what is right comes from the library itself, and a wrong answer is told
// what it looks like.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/run/evaluation.h"
#include "apps/run/settings.h"
#include "apps/run/trainer.h"
#include "docs/tool/grade.h"
#include "nn/gpt.h"
#include "tensor/check.h"
#include "tensor/files.h"

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

const GPTConfig gpt2 = {.layers = 12, .heads = 12, .width = 768, .context = 1024, .vocabulary = 50257};

// 0.2
Answer story_bits_per_byte() {
  const auto story = nlohmann::json::parse(read_file(CHAPBOOK_SOURCE_DIR "/bench/results/story.json"));
  const double loss = story.at("valid_loss");
  const int64_t tokens = story.at("data").at("valid_tokens"), bytes = story.at("data").at("valid_bytes");
  const double right = bits_per_byte({.loss = loss}, tokens, bytes);
  return {right,
          0.005,
          {{right * std::log(2), "that many nats per byte it is; a bit is a smaller piece"},
           {loss / std::log(2), "that many bits per token it is; a token is several bytes"},
           {loss / std::log(2) / right * loss / std::log(2), "tokens and bytes have changed places"},
           {std::exp(loss), "that is the perplexity, of a token"}}};
}

// 0.3
Answer tokens_of_tiny() {
  const Settings tiny = preset("tiny");
  const auto steps = static_cast<double>(tiny.steps), sequences = static_cast<double>(tiny.batch),
             context = static_cast<double>(tiny.context * tiny.accumulation);
  return {steps * sequences * context,
          0,
          {{steps * sequences, "so many sequences it is, each of several tokens"},
           {sequences * context, "so many are in one step"},
           {steps * context, "a step has more than one sequence"}}};
}

// 2.4
Answer bytes_of_logits() {
  const Shape logits = {8, 1024, 50257};
  const auto count = static_cast<double>(logits.count());
  return {count * static_cast<double>(size_of(DType::bf16)),
          0,
          {{count, "so many numbers it has, each of several bytes"},
           {count * 4, "that is 2 times too much: it is the size in f32"}}};
}

// 9.4
Answer parameters_of_norms() {
  LayerNorm norm(gpt2.width, gpt2.bias);
  const auto one = static_cast<double>(count_parameters(norm)), blocks = static_cast<double>(gpt2.layers);
  return {one * (2 * blocks + 1),
          0,
          {{one * 2 * blocks, "there is one more norm, behind the last block"},
           {one * (blocks + 1), "a block has two of them"},
           {one / 2 * (2 * blocks + 1), "each has a weight and a bias"}}};
}

// 12.2
Answer parameters_of_gpt2() {
  GPTConfig no_bias = gpt2;
  no_bias.bias = false;
  const auto right = static_cast<double>(parameter_count(gpt2)), C = static_cast<double>(gpt2.width);
  return {right,
          0,
          {{right + static_cast<double>(gpt2.vocabulary) * C,
            "the head is counted a second time: it is the token embedding"},
           {right - static_cast<double>(gpt2.context) * C, "the embedding of places is missing"},
           {right - 2 * C, "the norm behind the last block is missing"},
           {static_cast<double>(parameter_count(no_bias)), "the biases are missing"}}};
}

// 12.3
Answer work_of_gpt2() {
  const double right = training_flops_per_token(gpt2);
  return {right,
          0.01,
          {{right / 3, "that is the forward pass; backward costs twice as much again"},
           {6.0 * static_cast<double>(parameter_count(gpt2)),
            "6 for every parameter is the usual estimate: places and norms are no products, and "
            "attention's products of tokens with tokens are not in it"}}};
}

Answer answer_of(const std::string& number) {
  static const std::map<std::string, Answer (*)()> all = {
      {"0.2", story_bits_per_byte}, {"0.3", tokens_of_tiny},      {"2.4", bytes_of_logits},
      {"9.4", parameters_of_norms}, {"12.2", parameters_of_gpt2}, {"12.3", work_of_gpt2}};
  const auto found = all.find(number);
  check(found != all.end(), "nobody has counted the answer of exercise {}", number);
  return found->second();
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
  return ratio > 1 ? "that is too much" : "that is too little";
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
