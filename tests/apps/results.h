// Numbers that a test has measured, and does not judge, for a page or a table: CHAPBOOK_RESULTS names the
// folder that they are written to, beside what they were measured on.
#pragma once
#include <cstdlib>
#include <string>

#include "apps/report/machine.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {

inline void write_results(const std::string& name, const Json& values) {
  const char* folder = std::getenv("CHAPBOOK_RESULTS");
  if (!folder) return;
  Json all = {{"machine", machine_json()}};
  all.update(values);
  write_file(fmt::format("{}/{}.json", folder, name), all.dump(2) + "\n");
}

}  // namespace chapbook
