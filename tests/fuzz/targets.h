// What is fuzzed: one row for each parser of what others wrote. A row takes any bytes; an Error of one line
// is an answer, and everything else that is not a result is a finding: another exception, a crash, a
// sanitizer's report, a result that contradicts itself.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

namespace chapbook {

struct FuzzTarget {
  const char* name;
  void (*run)(std::string_view bytes);
};

const std::vector<FuzzTarget>& fuzz_targets();

// Runs a row; ends the process with a line on stderr where it finds something.
void fuzz(const FuzzTarget& target, std::string_view bytes);

}  // namespace chapbook
