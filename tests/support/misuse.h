// Tables of misuse: what a function is given that it cannot take, and the one line it says.
#pragma once
#include <doctest/doctest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tensor/backend.h"

namespace chapbook {

struct Misuse {
  std::string function, says;
  std::function<void()> call;
};

// Makes every call, on a backend, and adds the functions to `tested`.
inline void check_misuses(const std::vector<Misuse>& rows, Backend& here, std::set<std::string>& tested) {
  for (const Misuse& row : rows) {
    INFO(row.function, " on ", here.name());
    std::string said = "nothing";
    try {
      row.call();
      here.synchronize();  // a bad id is reported at once, or then
    } catch (const Error& error) {
      said = error.what();
    }
    CHECK(said == row.says);
    tested.insert(row.function);
  }
}

}  // namespace chapbook
