// What schedules and clipping say when they are used wrongly. A function of schedule.h or clip.h without a
// row fails; what optimizers refuse stands in test_optimizer.cpp.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <regex>
#include <set>

#include "optim/clip.h"
#include "optim/schedule.h"
#include "tests/support/misuse.h"
#include "tests/support/run_case.h"

using namespace chapbook;

static std::vector<Misuse> misuses(Backend& here, Backend& elsewhere) {
  const double nan = std::nan("");
  const Tensor norm = Tensor::full({}, 2, DType::f64, here);
  const auto with_gradient = [](Backend& backend) {
    Variable variable = Variable::parameter(Tensor::full({2}, 1, DType::f32, backend));
    backward(sum(variable * 2));
    return Parameter{"x", variable};
  };
  return {
      {"constant", "constant: a rate of nan; it must be 0 or more", [=] { constant(nan); }},
      {"constant", "constant: a rate of -1; it must be 0 or more", [=] { constant(-1); }},
      {"linear", "linear: a rate of inf; it must be 0 or more", [=] { linear(HUGE_VAL, 1, 5); }},
      {"linear", "linear: a rate of -0.1; it must be 0 or more", [=] { linear(1, -0.1, 5); }},
      {"cosine", "cosine: a rate of nan; it must be 0 or more", [=] { cosine(nan, 0, 5); }},
      {"cosine", "cosine: a rate of -2; it must be 0 or more", [=] { cosine(1, -2, 5); }},
      {"warmup_cosine", "cosine: a rate of nan; it must be 0 or more", [=] { warmup_cosine(1, nan, 1, 5); }},
      {"warmup_cosine", "warm-up: -3 steps", [=] { warmup_cosine(1, 0, -3, 5); }},
      {"cosine_restarts", "cosine_restarts: a rate of nan; it must be 0 or more",
       [=] { cosine_restarts(1, nan, 5); }},
      {"cosine_restarts", "cosine_restarts: a period of 0 steps growing 1 times",
       [=] { cosine_restarts(1, 0, 0); }},
      {"cosine_restarts", "cosine_restarts: a period of 5 steps growing 0.5 times",
       [=] { cosine_restarts(1, 0, 5, 0.5); }},
      {"cosine_restarts", "cosine_restarts: a period of 5 steps growing nan times",
       [=] { cosine_restarts(1, 0, 5, nan); }},
      {"warmup_stable_decay", "warm-up: -1 steps", [=] { warmup_stable_decay(1, 0, -1, 2, 5); }},
      {"warmup_stable_decay", "warmup_stable_decay: the decay takes -2 steps",
       [=] { warmup_stable_decay(1, 0, 1, -2, 5); }},
      {"chain", "chain: no schedules", [=] { chain({}); }},
      {"chain", "chain: no schedule for 3 steps",
       [=] {
         chain({{Schedule(), 3}, {constant(1), 0}});
       }},
      {"chain", "chain: a schedule for -3 steps",
       [=] {
         chain({{constant(1), -3}, {constant(1), 0}});
       }},
      {"gradient_norm",
       fmt::format("global_norm: one operand is on '{}', the other on '{}'; move one with to()", here.name(),
                   elsewhere.name()),
       [=, &here, &elsewhere] {
         gradient_norm({with_gradient(here), with_gradient(elsewhere)});
       }},
      {"clip_scale", "clip_scale: the norm is one f64, not () of f32",
       [=] { clip_scale(norm.to(DType::f32), 1); }},
      {"clip_scale", "clip_scale: the norm is one f64, not (2,) of f64",
       [=, &here] { clip_scale(Tensor::full({2}, 1, DType::f64, here), 1); }},
      {"clip_scale", "clip_scale: a limit of nan and a share of 1", [=] { clip_scale(norm, nan); }},
      {"clip_scale", "clip_scale: a limit of -1 and a share of 1", [=] { clip_scale(norm, -1); }},
      {"clip_scale", "clip_scale: a limit of 1 and a share of inf", [=] { clip_scale(norm, 1, HUGE_VAL); }},
  };
}

TEST_CASE("every function of schedule.h and clip.h says in one line how it was used wrongly") {
  std::set<std::string> tested;
  for (Backend* here : tested_backends())
    check_misuses(misuses(*here, backend(here->name() == "cpu" ? "reference" : "cpu")), *here, tested);
  const std::regex declaration(R"(^(?:inline )?(?:Schedule|Tensor) (\w+)\(.*)");
  int found = 0;
  for (const char* header : {"/optim/schedule.h", "/optim/clip.h"}) {
    std::ifstream file(CHAPBOOK_SOURCE_DIR + std::string(header));
    std::smatch match;
    for (std::string line; std::getline(file, line);) {
      if (!std::regex_match(line, match, declaration)) continue;
      ++found;
      CHECK_MESSAGE(tested.count(match[1]), match[1].str(), " has no row in this table");
    }
  }
  CHECK(found == 9);
}
