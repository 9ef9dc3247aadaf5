// The settings of a training run. settings_table.inc names each of them once; reading, writing, checking and
// --help come from it. A later source overrules an earlier one: --preset, --config file, --set name=value.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tensor/json.h"

namespace chapbook {

struct Settings {
#define GROUP(name)
#define SETTING(type, name, value, ...) type name = value;
#include "apps/run/settings_table.inc"
  bool operator==(const Settings&) const = default;
};

const std::vector<std::string>& preset_names();
Settings preset(const std::string& name);

// Each throws one line with the setting, the value and what is allowed; an unknown name is answered with the
// nearest known one.
void set(Settings& settings, const std::string& name, const Json& value);
void set(Settings& settings, const std::string& assignment);  // "name=value"
// A JSON object of settings, which is given back; or a file of one, which may be a pipe: it is read once.
Json read_settings(Settings& settings, const std::string& json);
Json read_settings_file(Settings& settings, const std::string& path);

// With batch_tokens, the accumulation that it asks for at this batch and context.
Settings with_accumulation(Settings settings);

// Throws where settings contradict each other, as when heads do not divide width.
void check_settings(const Settings& settings);

bool is_of_model(const std::string& name);  // of the group "model": its sizes and kind

// A step is batch x accumulation sequences, cut into `shards`. Each is some whole batches, or a part of one.
struct ShardsOfStep {
  int64_t batches, rows;  // of each shard; of each batch, what is computed at once
};
ShardsOfStep shards_of(const Settings& settings);

Json to_json(const Settings& settings);
std::string settings_help();  // the table and the presets, as aligned lines

// What a command was given. settings() reads it in the order of the members and checks the whole. Where none
// of it says in which precision, that is bf16 if the backend multiplies it faster than f32: weights, their
// gradients and sums are f32 in both.
struct SettingsOptions {
  std::string preset = "tiny";
  std::string config;
  std::vector<std::string> assignments;
  std::string precision = {};  // --precision, short for --set precision=...
  // `names`, if asked for: each setting that --config or --set gives, and where: {"width", "--set width=64"}.
  using Names = std::vector<std::pair<std::string, std::string>>;
  Settings settings(Names* names = nullptr) const;
};

}  // namespace chapbook
