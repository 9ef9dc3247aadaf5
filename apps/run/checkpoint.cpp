#include "apps/run/checkpoint.h"

#include <filesystem>

#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void save_last(const std::string& run, const RunState& state, const Trainer& trainer, LanguageModel& model,
               const Tokenizer& tokenizer) {
  write_directory(run + "/last", [&](const std::string& directory) {
    save_model(model, tokenizer, directory);
    save_tensors(directory + "/optimizer.safetensors", trainer.optimizer_state());
    const Json json = {
        {"trainer", trainer.state()},       {"best_loss", state.best_loss},
        {"evaluations", state.evaluations}, {"evaluations_since_best", state.evaluations_since_best},
        {"seconds", state.seconds},         {"data", state.data},
        {"data_is", state.data_is},         {"settings", to_json(state.settings)}};
    write_file(directory + "/trainer.json", json.dump(2) + "\n");
  });
}

void save_best(const std::string& run, LanguageModel& model, const Tokenizer& tokenizer) {
  write_directory(run + "/best",
                  [&](const std::string& directory) { save_model(model, tokenizer, directory); });
}

void check_has_last(const std::string& run) {
  check(fs::exists(run), "there is no run '{}'", run);
  check(fs::exists(whole_directory(run + "/last") + "/trainer.json"),
        "'{}' has no checkpoint to go on from (no last/trainer.json)", run);
}

SavedRun load_last(const std::string& run) {
  const std::string last = whole_directory(run + "/last"), path = last + "/trainer.json";
  check_has_last(run);
  try {
    const Json json = Json::parse(read_file(path), shallow);
    SavedRun saved;
    saved.trainer = json.at("trainer");
    saved.step = saved.trainer.at("step");
    saved.state.best_loss = json.at("best_loss");
    saved.state.evaluations = json.at("evaluations");
    saved.state.evaluations_since_best = json.at("evaluations_since_best");
    saved.state.seconds = json.at("seconds");
    saved.state.data = json.at("data");
    saved.state.data_is = json.at("data_is");
    read_settings(saved.state.settings, json.at("settings").dump());
    saved.optimizer = load_tensors(last + "/optimizer.safetensors").tensors;
    return saved;
  } catch (const nlohmann::json::exception& error) {
    fail("{}: not what Chapbook writes: {}", path, error.what());
  }
}

}  // namespace chapbook
