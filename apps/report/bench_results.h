// What ./chapbook bench writes and ./chapbook bench compare reads: JSON lines, the first about the machine,
// one for each measurement after it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tensor/json.h"

namespace chapbook {

struct Measurement {
  std::string section;          // limits, ops, gradients, train, decode or data
  std::string name;             // "layer_norm"
  std::string backend;          // "cpu"
  std::string shape;            // "(2048, 384) (384) (384)"
  std::string unit;             // "GB/s"; always a rate: more is better
  double median, min, max;      // over the repeats
  int64_t repeats;              //
  double flops = 0, bytes = 0;  // that one call computes and moves; 0: not counted
  std::optional<double> share;  // of what the machine's measured limits allow; above 1 where caches help

  bool operator==(const Measurement&) const = default;
};

Json to_json(const Measurement& measurement);

struct BenchFile {
  std::string path;
  Json machine;
  std::vector<Measurement> measurements;

  // The best median of a limit, over all numbers of threads; 0 if it was not measured.
  double limit(const std::string& name) const;
};

// The first line of a file: what machine_json() says, and what was run.
Json machine_line(const std::string& command);

// What `bench` wrote, or one of bench/rivals that writes rows of speeds, the sides of each in columns of
// their own. Throws one line with the path and the number of the line, or of the row, for whatever is not so.
BenchFile read_bench_file(const std::string& path);

// Measurements of the same thing side by side: a column for each backend of each file.
struct Comparison {
  struct Row {
    Measurement what;                              // of the first column that has it
    std::vector<std::optional<Measurement>> each;  // by column
  };
  std::vector<std::string> columns;
  std::vector<Row> rows;  // in the order of the files
};

// Of those whose "section name" the regular expression `filter` finds; an empty one finds all.
Comparison compare(const std::vector<BenchFile>& files, const std::string& filter = "");

// As text: median, spread (half of max - min), share of the limit, and the ratio to the first column.
std::string table(const Comparison& comparison);

}  // namespace chapbook
