// Two threads of a program use a backend at once, each for work of its own: both get the bits of being alone.
#include <doctest/doctest.h>

#include <cstring>
#include <future>

#include "tests/support/run_case.h"

using namespace chapbook;

TEST_CASE("ops from two host threads have the bits of one") {
  for (Backend* here : tested_backends()) {
    if (here->name() != "cpu" && here->name() != "reference")
      continue;  // a device has one stream, for one thread
    std::vector<std::pair<const OpCase*, std::vector<Tensor>>> work;
    std::vector<Computed> alone;
    for (const OpCase& row : op_cases())
      for (const auto& shapes : {row.shapes.front(), row.shapes.back()}) {
        std::vector<Tensor> inputs;
        for (size_t i = 0; i < shapes.size(); ++i)
          inputs.push_back(tensor_of(numbers_for(row.domain, shapes[i], static_cast<int>(i)), shapes[i],
                                     DType::f32, *here));
        alone.push_back(run(row, inputs));
        work.emplace_back(&row, std::move(inputs));
      }
    // One from the front, one from the back: they are at different ops, and at the same in the middle.
    const auto differ = [&](bool backwards) {
      std::string names;
      for (size_t n = 0; n < work.size(); ++n) {
        const size_t i = backwards ? work.size() - 1 - n : n;
        const Computed outcome = run(*work[i].first, work[i].second);
        const auto same = [](const Numbers64& a, const Numbers64& b) {
          return a.size() == b.size() &&
                 (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
        };
        bool equal = same(outcome.y, alone[i].y) && outcome.gradients.size() == alone[i].gradients.size();
        for (size_t j = 0; equal && j < outcome.gradients.size(); ++j)
          equal = same(outcome.gradients[j], alone[i].gradients[j]);
        if (!equal) names += work[i].first->name + "; ";
      }
      return names;
    };
    auto other = std::async(std::launch::async, differ, true);
    CHECK(differ(false) == "");
    CHECK(other.get() == "");
  }
}
