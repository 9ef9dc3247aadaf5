// What a run left in its directory, read back: the one place from which runs are listed, compared, ranked and
// reported. Needs no model and no tokens; a run that goes on meanwhile can be read too.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/run/metrics.h"
#include "apps/run/settings.h"
#include "tensor/json.h"

namespace chapbook {

struct Sample {
  int64_t step = 0;
  std::string text;
};

struct RunRecord {
  std::string directory, name;
  Settings settings;
  Metrics metrics;
  std::vector<Sample> samples;
  Json results;  // results.json; null while the run is not finished
  Json begun;    // run.json: when and where it began; null for runs of before
  std::string train_text, valid_text, valid_hash;  // empty where the data are not there any more
  double bytes_per_token = 0;                      // of the validation text; 0: not known

  bool finished() const { return !results.is_null(); }
  int64_t steps() const;
  double tokens() const, seconds() const;
  double peak_bytes() const;                // the most that tensors took in its last sitting; 0: not known
  std::optional<double> best_loss() const;  // the lowest of validation, nats per token
  std::optional<double> bits_per_byte()
      const;  // of the whole validation text if finished, else from best_loss
  // The lowest bits per byte of an evaluation in the first seconds of training.
  std::optional<double> bits_per_byte_by(double seconds) const;
};

RunRecord read_run(const std::string& directory);  // throws where there is no run
// Those in a directory, by name. What is no run is passed over; what is one and cannot be read throws.
std::vector<RunRecord> read_runs(const std::string& root);

// Lines of a log in JSON, {"step": ...}, up to a step: what a resumed run keeps of it.
std::string lines_up_to(const std::string& path, int64_t step);

// events.out.tfevents... for TensorBoard, from the run's log; scalars without a value in a line are left out.
void write_events(const RunRecord& run);
// What a report and the page of a run begin with: names with values, in words; and the curves.
std::vector<std::pair<std::string, std::string>> facts(const RunRecord& run);
std::vector<Plot> curves(const RunRecord& run);
// report.html: the run on one page, which needs no other file.
void write_report(const RunRecord& run);

}  // namespace chapbook
