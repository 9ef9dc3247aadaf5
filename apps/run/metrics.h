// The log of a run: metrics.jsonl for programs and metrics.csv for spreadsheets, one line a step, both with
// the same numbers. A line is on its way to the disk as soon as it is written, so a killed run has its log up
// to the last whole line.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/report/plot.h"
#include "tensor/os/files.h"

namespace chapbook {

// loss: of the step's own batch; train_loss and valid_loss: of the evaluations, nats per token; rate: the
// learning rate; peak_bytes: the most that tensors took since training began or was resumed; of a step by
// several workers, what worker 0 sent to others, and how long it did nothing but wait for them.
inline const std::vector<std::string> training_columns = {
    "tokens",  "loss",       "train_loss", "valid_loss",    "rate", "gradient_norm", "tokens_per_second",
    "seconds", "peak_bytes", "sent_bytes", "waited_seconds"};

class MetricsLog {
 public:
  // In an existing directory. Lines of steps after `resumed_step` are taken away, as the resumed run writes
  // them again; with a negative one, a new log replaces any old one. Throws if the log there has other
  // columns.
  MetricsLog(const std::string& directory, std::vector<std::string> columns, int64_t resumed_step = -1);

  // Values by name of column; the others are left empty. Throws on an unknown name and when the disk is full.
  void write(int64_t step, std::initializer_list<std::pair<std::string_view, double>> values);
  void sync();  // until all lines are on the disk

 private:
  std::vector<std::string> columns_;
  std::string csv_path_, jsonl_path_;
  std::optional<os::File> csv_, jsonl_;
};

// metrics.csv as columns, NaN where empty. The first column is "step".
struct Metrics {
  std::vector<std::string> names;
  std::vector<std::vector<double>> columns;
  const std::vector<double>& operator[](std::string_view name) const;
};
Metrics read_metrics(const std::string& csv_path);

// The curves of a training log: loss of batches, of training data and of validation data, over tokens.
Plot loss_curve(const Metrics& metrics, std::string title);

}  // namespace chapbook
