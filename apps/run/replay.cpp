// Run::replay: one step of a run, done again from the last checkpoint before it.
#include <cmath>
#include <filesystem>

#include "apps/run/config_file.h"
#include "apps/run/family.h"
#include "apps/run/origin.h"
#include "apps/run/run_parts.h"
#include "nn/adapt.h"
#include "optim/clip.h"
#include "tensor/files.h"

namespace chapbook {
namespace {

namespace fs = std::filesystem;
using namespace nlohmann::literals;

// The checkpoint of the most steps below `step`; nothing where a run must begin anew.
std::optional<std::string> checkpoint_before(const std::string& run, int64_t step) {
  std::optional<std::string> best;
  int64_t most = -1;
  for (const auto& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().stem().string();  // of NAME.next, too
    const std::string directory = whole_directory(run + "/" + name);
    const bool kept = name == "last" || name == "broken" || name.starts_with("step-");
    if (!kept || !fs::exists(directory + "/trainer.json")) continue;
    const int64_t there = ConfigFile(directory + "/trainer.json").json().at("/trainer/step"_json_pointer);
    if (there < step && there > most) most = there, best = directory;
  }
  return best;
}

// The model as the run began: drawn from its seed, or what lies in RUN/base.
std::unique_ptr<LanguageModel> model_at_birth(const std::string& run, const Settings& settings) {
  std::unique_ptr<LanguageModel> model =
      fs::exists(run + "/base") ? load_network(run + "/base") : make_model(settings);
  Random random{static_cast<uint64_t>(settings.seed)};
  if (!fs::exists(run + "/base")) model->initialise(random);
  choose_what_learns(*model, settings);
  return model;
}

std::optional<double> logged_loss(const std::string& run, int64_t step) {
  const Metrics log = read_metrics(run + "/metrics.csv");
  for (size_t i = 0; i < log["step"].size(); ++i)
    if (log["step"][i] == static_cast<double>(step) && !std::isnan(log["loss"][i])) return log["loss"][i];
  return {};
}

}  // namespace

Replayed Run::replay(const std::string& directory, int64_t step) {
  // A run whose first steps broke has no `last`.
  const bool broken =
      !fs::exists(whole_directory(directory + "/last")) && fs::exists(whole_directory(directory + "/broken"));
  if (!broken) check_has_last(directory);
  const os::File lock = lock_run(directory);
  const SavedRun last = broken ? load_saved(whole_directory(directory + "/broken")) : load_last(directory);
  const Settings settings = without_graph(last.state.settings);
  check(step >= 1 && step <= settings.steps, "step {} is not one of the run's {}", step, settings.steps);
  break_as(
      settings, [](std::string_view) {}, alone());
  const TrainingData data = open_training_data(fs::path(directory) / last.state.data);
  check_same_data(directory, last.state, data);
  const std::vector<bool> counted = answers_in(data.train, settings, data.tokenizer);

  const std::optional<std::string> from = checkpoint_before(directory, step);
  std::unique_ptr<LanguageModel> model = from ? load_network(*from) : model_at_birth(directory, settings);
  choose_what_learns(*model, settings);
  Trainer trainer(settings, *model, data.train.tokens(), alone(), if_any(counted));
  if (from) {
    const SavedRun saved = load_saved(*from);
    trainer.restore(saved.trainer, saved.optimizer);
  }
  Replayed result;
  result.from = trainer.steps();
  Progress progress("replaying", static_cast<double>(step), static_cast<double>(result.from));
  while (trainer.steps() < step - 1) {
    trainer.step();
    progress.update(static_cast<double>(trainer.steps()));
  }
  progress.clear();
  try {
    result.step = trainer.step([&](const std::vector<Parameter>& parameters, double share) {
      for (const Parameter& each : parameters) {
        const Tensor& gradient = each.variable.gradient();
        result.norms.emplace_back(each.name,
                                  gradient ? global_norm(std::span(&gradient, 1)).item() * share : 0);
      }
    });
  } catch (const NotFinite&) {  // once more, watched, which computes with other ops
    result.step = {NAN, NAN, NAN};
    Origin origin(*model);
    try {
      trainer.step();
    } catch (const NotFinite&) {
    }
    result.origin = origin.text();
  }
  result.sha256 = hash_of(*model);
  result.logged_loss = logged_loss(directory, step);
  return result;
}

}  // namespace chapbook
