// The ops and their gradients against numbers that PyTorch made (tests/golden/ops.py), since all backends
// share formulas and rules and would share a mistake in them.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/run_case.h"

namespace chapbook {

TEST_CASE("ops and gradients agree with PyTorch in f64") {
  std::ifstream file(CHAPBOOK_SOURCE_DIR "/tests/golden/ops.json");
  const auto golden = nlohmann::json::parse(file);
  int found = 0;
  std::string without;
  Tally tally;
  for (const OpCase& row : op_cases()) {
    if (!golden.contains(row.name)) {
      without += (without.empty() ? "" : ", ") + row.name;
      continue;
    }
    ++found;
    const auto& entry = golden[row.name];
    for (Backend* backend : tested_backends()) {
      INFO(row.name, " on ", backend->name());
      Variables x;
      for (size_t i = 0; i < entry["inputs"].size(); ++i) {
        Shape shape;
        for (int64_t size : entry["shapes"][i]) shape.size[shape.rank++] = size;
        x.push_back(Variable::parameter(Tensor::from(entry["inputs"][i].get<Numbers64>(), shape, *backend)));
      }
      // 1e-12: the same f64 arithmetic in another order, and other libraries' exp.
      const Variable y = row.f(x);
      const double error = relative_error(y.value().to_vector<double>(), entry["y"].get<Numbers64>());
      if (!(error <= 1e-12)) FAIL_CHECK("value is off by ", error);
      CHECK(row.gradient == entry.contains("gradients"));
      if (row.gradient && entry.contains("gradients")) {
        backward(y, Tensor::from(entry["dy"].get<Numbers64>(), y.shape(), *backend));
        for (size_t i = 0; i < x.size(); ++i) {
          const double off =
              relative_error(x[i].gradient().to_vector<double>(), entry["gradients"][i].get<Numbers64>());
          if (!(off <= 1e-12)) FAIL_CHECK("the gradient of input ", i, " is off by ", off);
        }
      }
      tally.count(*backend, row.name);
    }
  }
  CHECK_MESSAGE(found == static_cast<int>(golden.size()),
                "tests/golden/ops.json has rows that op_cases.cpp has not");
  MESSAGE("golden numbers: ", tally.to_string(), ". Rows without: ", without);
}

}  // namespace chapbook
