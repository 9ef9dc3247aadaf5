// What experiments of the book write and its pages show: docs/results/NAME.json, with a manifest that says
// what was run, on what, and from which sources.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "apps/report/plot.h"
#include "tensor/json.h"

namespace chapbook {

// An experiment fills one and writes it:
//
//   Results results("normalisation", {"nn/norm.h", "tensor/reference/norm.cpp#fn:layer_norm"});
//   results.values["error"] = 1.2e-8;                                   // <!-- val: ...#values.error -->
//   results.figure("gradients-by-depth", Plot{...});                    // <!-- fig: gradients-by-depth ...
//   --> results.write();
class Results {
 public:
  // `sources`: files and pieces of files that the numbers depend on. When one has changed, pages say so.
  Results(std::string name, const std::vector<std::string>& sources, uint64_t seed = 1);

  Json values = Json::object(), configuration = Json::object();
  void figure(const std::string& name, const Plot& plot);
  void write() const;  // docs/results/NAME.json, and says so
  std::string text() const;

 private:
  std::string name_;
  uint64_t seed_;
  Json sources_ = Json::object(), figures_ = Json::object();
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Json to_json(const Plot& plot);
Plot plot_from_json(const Json& json);

// A number that changes with the code of a file or a piece of one at `root`, and not with comments and
// spaces: 16 hexadecimal digits.
std::string digest(const std::string& root, const std::string& source);

// Those sources in a manifest that are other than they were.
std::vector<std::string> changed_sources(const std::string& root, const Json& manifest);

// The value at a path such as "values.errors.3" or "name=memory read&shape=1 thread.median": keys, places in
// arrays, or what the one element is like. A file of JSON lines is an array.
Json read_json(const std::string& path);
const Json& at_path(const Json& json, const std::string& path);

// A number as `format` writes it: one of fmt's, or "," for 1,234,567.
std::string format_value(const Json& value, const std::string& format);

}  // namespace chapbook
