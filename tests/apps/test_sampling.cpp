// Sampling: each cut and penalty against the distribution it is defined to give, by Pearson's chi-square over
// many draws; and what must be refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/run/sampling.h"
#include "tensor/check.h"

using namespace chapbook;

using Weights = std::vector<double>;  // by id; what they add up to does not matter

// The probability that chance alone gives a chi-square so large, by Wilson & Hilferty's (1931) normal
// approximation.
static double chance_of(double chi_square, int freedom) {
  const double f = 2.0 / (9 * freedom);
  return 0.5 * std::erfc((std::cbrt(chi_square / freedom) - (1 - f)) / std::sqrt(2 * f));
}

// Draws many times and holds the counts against the weights. Right draws fail once in 10,000 seeds, and the
// seed is fixed; a share that is off by a twentieth has a chance below 1e-9.
static void check_draws(const std::vector<float>& logits, const Sampling& sampling, const Weights& weights) {
  REQUIRE(weights.size() == logits.size());
  constexpr int draws = 200000;
  std::vector<int> seen(logits.size());
  Random random{7};
  for (int i = 0; i < draws; ++i) ++seen[sample(logits, sampling, random)];
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  double chi_square = 0;
  int kinds = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double expected = weights[i] / all * draws;
    if (weights[i] == 0) {
      CHECK(seen[i] == 0);
      continue;
    }
    REQUIRE(expected > 20);  // else Pearson's statistic is no chi-square
    chi_square += (seen[i] - expected) * (seen[i] - expected) / expected;
    ++kinds;
  }
  CAPTURE(chi_square);
  CAPTURE(kinds);
  CHECK(chance_of(chi_square, std::max(kinds - 1, 1)) >= 1e-4);
  // What the page and the book show is what is drawn from.
  double sum = 0;
  for (const Choice& choice : left_to_draw(logits, sampling)) {
    CHECK(std::abs(choice.probability - weights[choice.id] / all) <= 1e-6);  // logits are f32
    sum += choice.probability;
  }
  CHECK(std::abs(sum - 1) <= 1e-12);
}

static std::vector<float> log_of(const Weights& weights) {
  std::vector<float> logits;
  for (const double weight : weights) logits.push_back(static_cast<float>(std::log(weight)));
  return logits;
}

TEST_CASE("sampling: the test of the draws can fail") {
  CHECK(chance_of(18.307, 10) == doctest::Approx(0.05).epsilon(0.01));  // tables of the distribution
  CHECK(chance_of(6.635, 1) == doctest::Approx(0.01).epsilon(0.1));
}

TEST_CASE("sampling: each cut draws from its own distribution") {
  const Weights p = {0.05, 0.3, 0.1, 0.25, 0.02, 0.15, 0.08, 0.05};
  const std::vector<float> logits = log_of(p);
  const Sampling plain{.temperature = 1, .top_p = 1};
  Sampling sampling = plain;
  SUBCASE("as they are") { check_draws(logits, plain, p); }
  SUBCASE("temperature") {
    for (const double temperature : {0.5, 2.0, 3.0}) {
      sampling.temperature = temperature;
      Weights expected;
      for (const double x : p) expected.push_back(std::pow(x, 1 / temperature));
      check_draws(logits, sampling, expected);
    }
  }
  SUBCASE("temperature 0 is the likeliest; of equals the first") {
    sampling.temperature = 0;
    check_draws(logits, sampling, {0, 1, 0, 0, 0, 0, 0, 0});
    check_draws({1, 4, 4, 2}, sampling, {0, 1, 0, 0});
  }
  SUBCASE("top-k") {
    sampling.top_k = 3;
    check_draws(logits, sampling, {0, 0.3, 0, 0.25, 0, 0.15, 0, 0});
    sampling.top_k = 7;  // of the two twentieths both stay; with 6, the lower id
    check_draws(logits, sampling, {0.05, 0.3, 0.1, 0.25, 0, 0.15, 0.08, 0.05});
    sampling.top_k = 6;
    check_draws(logits, sampling, {0.05, 0.3, 0.1, 0.25, 0, 0.15, 0.08, 0});
    sampling.top_k = 800;
    check_draws(logits, sampling, p);
  }
  SUBCASE("top-p keeps the token that crosses the line") {
    sampling.top_p = 0.54;
    check_draws(logits, sampling, {0, 0.3, 0, 0.25, 0, 0, 0, 0});
    sampling.top_p = 0.56;
    check_draws(logits, sampling, {0, 0.3, 0, 0.25, 0, 0.15, 0, 0});
    sampling.top_p = 1e-9;
    check_draws(logits, sampling, {0, 1, 0, 0, 0, 0, 0, 0});
  }
  SUBCASE("min-p is a share of the likeliest") {
    sampling.min_p = 0.3;  // 0.09
    check_draws(logits, sampling, {0, 0.3, 0.1, 0.25, 0, 0.15, 0, 0});
    sampling.min_p = 1;
    check_draws(logits, sampling, {0, 1, 0, 0, 0, 0, 0, 0});
  }
  SUBCASE("in their order") {
    // After the temperature the weights are roots; top-k leaves 5 of 8; top-p counts shares of these 5.
    sampling.temperature = 2, sampling.top_k = 5, sampling.top_p = 0.7;
    const auto root = [](double x) { return std::sqrt(x); };
    const double five = root(0.3) + root(0.25) + root(0.15) + root(0.1) + root(0.08);
    REQUIRE((root(0.3) + root(0.25) + root(0.15)) / five > 0.7);  // of all 8 it is less
    check_draws(logits, sampling, {0, root(0.3), 0, root(0.25), 0, root(0.15), 0, 0});
    sampling.top_p = 1, sampling.min_p = 0.6;  // of roots: 0.1 has 0.577 of the likeliest's, 0.15 has 0.707
    check_draws(logits, sampling, {0, root(0.3), 0, root(0.25), 0, root(0.15), 0, 0});
  }
}

// The logits after steps 1 to 3, then drawn.
static void check_adjusted(std::vector<float> logits, const Sampling& sampling,
                           const std::vector<int32_t>& ids, int64_t prompt, const Weights& expected) {
  adjust(logits, sampling, ids, prompt);
  check_draws(logits, sampling, expected);
}

TEST_CASE("sampling: biases and penalties") {
  const std::vector<float> logits = {1.5f, -0.5f, 0, 1, -1};
  const std::vector<int32_t> ids = {1, 0, 0, 3, 3, 3, 1};  // two given, then said: 0, 3 three times, 1
  const Sampling plain{.temperature = 1, .top_p = 1};
  const auto e = [](double x) { return std::exp(x); };
  Sampling sampling = plain;
  check_adjusted(logits, plain, ids, 2, {e(1.5), e(-0.5), e(0), e(1), e(-1)});
  SUBCASE("logit bias") {
    sampling.logit_bias = {{4, 2.5}, {0, -100}};
    check_adjusted(logits, sampling, ids, 2, {0, e(-0.5), e(0), e(1), e(1.5)});
  }
  SUBCASE("the repetition penalty counts the prompt, and each token once") {
    sampling.repetition_penalty = 2;
    check_adjusted(logits, sampling, ids, 2, {e(0.75), e(-1), e(0), e(0.5), e(-1)});
    check_adjusted(logits, sampling, ids, 7, {e(0.75), e(-1), e(0), e(0.5), e(-1)});
  }
  SUBCASE("the presence penalty counts what was said, once") {
    sampling.presence_penalty = 0.5;
    check_adjusted(logits, sampling, ids, 2, {e(1), e(-1), e(0), e(0.5), e(-1)});
    check_adjusted(logits, sampling, ids, 6, {e(1.5), e(-1), e(0), e(1), e(-1)});
  }
  SUBCASE("the frequency penalty counts every time") {
    sampling.frequency_penalty = 0.5;
    check_adjusted(logits, sampling, ids, 2, {e(1), e(-1), e(0), e(-0.5), e(-1)});
    sampling.frequency_penalty = -0.25;
    check_adjusted(logits, sampling, ids, 2, {e(1.75), e(-0.25), e(0), e(1.75), e(-1)});
  }
  SUBCASE("in their order: bias, then the factor, then what is taken away") {
    sampling.logit_bias = {{3, 1}}, sampling.repetition_penalty = 2, sampling.frequency_penalty = 0.1,
    sampling.presence_penalty = 0.2;
    check_adjusted(logits, sampling, ids, 2, {e(0.75 - 0.3), e(-1 - 0.3), e(0), e(1 - 0.5), e(-1)});
  }
}

TEST_CASE("sampling: one score among many that is no number is enough; -inf forbids a token") {
  const float inf = HUGE_VALF, nan = std::nanf("");
  std::vector<float> scores(40, 1.0f);  // longer than what is folded in lanes
  scores[7] = -inf;
  check_scores(scores);
  for (const float broken : {nan, inf})
    for (const size_t place : {0, 17, 39}) {
      CAPTURE(place);
      std::vector<float> wrong = scores;
      wrong[place] = broken;
      CHECK_THROWS_WITH_AS(check_scores(wrong), "the model's scores are not numbers: its weights are broken",
                           Error);
      Random random{1};
      CHECK_THROWS_AS(sample(wrong, {.temperature = 0}, random), Error);
    }
  CHECK_THROWS_AS(check_scores(std::vector<float>(40, -inf)), Error);
}

TEST_CASE("sampling: what makes no sense is refused") {
  const double nan = std::nan("");
  const Sampling wrong[] = {{.temperature = -1},
                            {.temperature = nan},
                            {.temperature = HUGE_VAL},
                            {.top_k = -1},
                            {.top_p = 0},
                            {.top_p = 1.5},
                            {.top_p = nan},
                            {.min_p = -0.1},
                            {.min_p = 2},
                            {.min_p = nan},
                            {.repetition_penalty = 0},
                            {.repetition_penalty = nan},
                            {.presence_penalty = 3},
                            {.frequency_penalty = nan},
                            {.logit_bias = {{0, 101}}},
                            {.logit_bias = {{0, nan}}},
                            {.tokens = -1},
                            {.stop = {"end", ""}}};
  for (size_t i = 0; i < std::size(wrong); ++i) {
    CAPTURE(i);
    CHECK_THROWS_AS(check_sampling(wrong[i]), Error);
  }
  check_sampling({});
  std::vector<float> logits(3);
  CHECK_THROWS_AS(adjust(logits, {.logit_bias = {{3, 1}}}, {}, 0), Error);
  Random random{1};
  for (const float x : {std::nanf(""), HUGE_VALF}) {
    CHECK_THROWS_AS(sample(std::vector<float>{1, x, 2}, {}, random), Error);
    CHECK_THROWS_AS(sample(std::vector<float>{x, 1, 2}, {.top_k = 1}, random), Error);
    for (const std::vector<float>& logits : {std::vector<float>{x, 1, 2}, {1, x, 2}, {1, 2, x}}) {
      CHECK_THROWS_AS(sample(logits, {.temperature = 0}, random), Error);  // which compares only
      CHECK_THROWS_AS(ranked(logits), Error);
    }
  }
}

TEST_CASE("sampling draws what sorting the whole vocabulary would draw") {
  for (const double spread : {0.0, 1.0, 5.0})
    for (const Sampling& sampling :
         {Sampling{.temperature = 0.7, .top_p = 0.9}, Sampling{.top_p = 0.3},
          Sampling{.top_k = 40, .top_p = 1}, Sampling{.top_k = 300, .top_p = 0.5, .min_p = 0.01}}) {
      std::vector<float> logits(500);
      for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(spread * normal_at(3, 0, i));
      std::vector<Choice> choices = ranked(logits, sampling.temperature);
      if (sampling.top_k) choices.resize(sampling.top_k);
      double all = 0, kept = 0;
      for (const Choice& choice : choices) all += choice.probability;
      size_t count = 0;
      while (count < choices.size() && kept < sampling.top_p * all) kept += choices[count++].probability;
      while (choices[count - 1].probability < sampling.min_p * choices[0].probability)
        kept -= choices[--count].probability;
      Random random{4}, same{4};
      int different = 0;
      for (int i = 0; i < 1000; ++i) {
        double left = same.uniform() * kept;
        size_t at = 0;
        while (at + 1 < count && (left -= choices[at].probability) >= 0) ++at;
        different += sample(logits, sampling, random) != choices[at].id;
      }
      CHECK(different <= 1);  // f32 against f64: a draw may fall on the line
    }
}

TEST_CASE("ranked sorts, sums to one, and breaks ties by the lower id") {
  const std::vector<float> logits = {1, 3, 3, -100, 800};
  const std::vector<Choice> choices = ranked(logits, 100);
  CHECK(choices[0].id == 4);
  CHECK(choices[1].id == 1);
  CHECK(choices[2].id == 2);
  double sum = 0;
  for (const Choice& choice : choices) sum += choice.probability;
  CHECK(std::abs(sum - 1) <= 1e-12);
}

TEST_CASE("log-probabilities are of the scores as they are") {
  const std::vector<float> logits = {800, 801, 799, 801};
  const LogProbabilities log_probability(logits);
  const double sum = std::log(2 + std::exp(-1.0) + std::exp(-2.0));
  const double expected[] = {-1 - sum, -sum, -2 - sum, -sum};
  for (int i = 0; i < 4; ++i) CHECK(std::abs(log_probability(i) - expected[i]) <= 1e-6);  // f32's exp
  const std::vector<Choice> likeliest = log_probability.likeliest(3);
  REQUIRE(likeliest.size() == 3);
  CHECK(likeliest[0].id == 1);
  CHECK(likeliest[1].id == 3);
  CHECK(likeliest[2].id == 0);
  CHECK(log_probability.likeliest(9).size() == 4);
}
