#include "apps/run/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {

namespace fs = std::filesystem;

void save_as(const std::string& name, const std::string& run, const RunState& state, const Trainer& trainer,
             const NamedTensors& optimizer, LanguageModel& model, const Tokenizer& tokenizer) {
  write_directory(run + "/" + name, [&](const std::string& directory) {
    save_model(model, tokenizer, directory, state.ends);
    save_tensors(directory + "/optimizer.safetensors", optimizer);
    Json json = {{"trainer", trainer.state()},       {"best_loss", state.best_loss},
                 {"evaluations", state.evaluations}, {"evaluations_since_best", state.evaluations_since_best},
                 {"seconds", state.seconds},         {"data", state.data},
                 {"data_is", state.data_is},         {"settings", to_json(state.settings)}};
    if (!state.begun_from.is_null()) json["begun_from"] = state.begun_from;
    write_file(directory + "/trainer.json", json.dump(2) + "\n");
  });
}

void save_best(const std::string& run, const RunState& state, LanguageModel& model,
               const Tokenizer& tokenizer) {
  write_directory(run + "/best",
                  [&](const std::string& directory) { save_model(model, tokenizer, directory, state.ends); });
}

// The directories that save_step wrote, which sort like their steps; also those of which a kill left a part.
static std::set<std::string> steps_of(const std::string& run) {
  std::set<std::string> steps;
  for (const auto& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("step-")) continue;
    const size_t end = std::min(name.find_first_not_of("0123456789", 5), name.size());
    if (end == 5) continue;  // somebody else's
    const std::string rest = name.substr(end);
    if (rest.empty() || rest == ".new" || rest == ".next") steps.insert(run + "/" + name.substr(0, end));
  }
  return steps;
}

void save_step(const std::string& run, int64_t keep, const RunState& state, const Trainer& trainer,
               const NamedTensors& optimizer, LanguageModel& model, const Tokenizer& tokenizer) {
  save_as(fmt::format("step-{:09}", trainer.steps()), run, state, trainer, optimizer, model, tokenizer);
  std::set<std::string> kept = steps_of(run);
  for (; std::ssize(kept) > keep; kept.erase(kept.begin())) remove_directory(*kept.begin());
}

void remove_models(const std::string& run) {
  for (const std::string& step : steps_of(run)) remove_directory(step);
  for (const char* name : {"/best", "/last", "/broken", "/base"}) remove_directory(run + name);
}

void check_has_last(const std::string& run) {
  check(fs::exists(run), "there is no run '{}'", run);
  check(fs::exists(whole_directory(run + "/last") + "/trainer.json"),
        "'{}' has no checkpoint to go on from (no last/trainer.json)", run);
}

SavedRun load_last(const std::string& run) {
  check_has_last(run);
  return load_saved(whole_directory(run + "/last"));
}

SavedRun load_saved(const std::string& directory) {
  const std::string path = directory + "/trainer.json";
  try {
    const Json json = parse_json(read_file(path));
    SavedRun saved;
    saved.trainer = json.at("trainer");
    saved.step = saved.trainer.at("step");
    saved.state.best_loss = json.at("best_loss");
    saved.state.evaluations = json.at("evaluations");
    saved.state.evaluations_since_best = json.at("evaluations_since_best");
    saved.state.seconds = json.at("seconds");
    saved.state.data = json.at("data");
    saved.state.data_is = json.at("data_is");
    saved.state.begun_from = json.value("begun_from", Json());
    read_settings(saved.state.settings, json.at("settings").dump());
    saved.optimizer = load_tensors(directory + "/optimizer.safetensors").tensors;
    return saved;
  } catch (const Json::exception& error) {
    fail("{}: not what Chapbook writes: {}", path, error.what());
  }
}

}  // namespace chapbook
