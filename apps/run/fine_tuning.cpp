#include "apps/run/fine_tuning.h"

#include <algorithm>
#include <filesystem>

#include "apps/run/evaluation.h"
#include "apps/run/family.h"
#include "data/new_words.h"
#include "data/token_file.h"
#include "nn/adapt.h"
#include "tensor/files.h"
#include "tensor/json.h"
#include "tensor/safetensors.h"

namespace chapbook {
namespace {

namespace fs = std::filesystem;

// The table (V, C) with a row for each token that `after` has and `before` has not.
Tensor with_rows(const Tensor& table, const Tokenizer& before, const Tokenizer& after) {
  const int64_t C = table.size(1), rows = std::max(table.size(0), after.vocabulary_size());
  std::vector<float> numbers = table.to_vector<float>();
  numbers.resize(static_cast<size_t>(rows * C));
  for (auto id = static_cast<int32_t>(before.vocabulary_size()); id < after.vocabulary_size(); ++id) {
    const std::vector<int32_t> parts = before.encode(after.token_bytes(id));
    for (int64_t i = 0; i < C; ++i) {
      double sum = 0;
      for (const int32_t part : parts) sum += numbers[static_cast<size_t>(part * C + i)];
      numbers[static_cast<size_t>(id * C + i)] = static_cast<float>(sum / static_cast<double>(parts.size()));
    }
  }
  return Tensor::from(numbers, {rows, C}, table.backend());
}

// The old text, in tokens of the model that is begun with: new words change none of them.
std::vector<int32_t> old_tokens(const std::string& path, const std::string& from) {
  constexpr size_t most = 100'000;
  const Tokenizer tokenizer = load_model(from).tokenizer;
  std::vector<int32_t> tokens;
  if (path.ends_with(".bin")) {
    const TokenFile file = TokenFile::open(path);
    check_same_tokenizer(file, tokenizer.hash());
    tokens.assign(file.tokens().begin(), file.tokens().end());
  } else {
    tokens = evaluation_text(path, tokenizer).tokens;
  }
  tokens.resize(std::min(tokens.size(), most));
  return tokens;
}

// The validation text of a run, as tokens; nothing of other models.
std::string validation_of(const std::string& from) {
  const std::string file = whole_directory(from + "/last") + "/trainer.json";
  if (!fs::exists(file)) return "";
  const Json data = ConfigFile(file).json().value("data", Json());
  if (!data.is_string()) return "";
  const fs::path path = fs::path(from) / data.get<std::string>() / "valid.bin";
  return fs::exists(path) ? fs::absolute(path).lexically_normal().string() : "";
}

}  // namespace

void train_as_given(FineTuning& from, const SettingsOptions::Names& given, const Settings& settings) {
  for (const auto& [name, where] : given) {
    if (name == "context")
      from.window = settings.context;
    else if (name == "dropout")
      from.dropout = settings.dropout;
    else
      check(!is_of_model(name), "--from: the model has its own {}; leave it out of {}", name, where);
  }
}

Model begin_with(const FineTuning& options, const std::string& base) {
  Model source = load_model(options.from);
  merge_low_rank(*source.network);
  const Tokenizer tokenizer =
      options.words.empty() ? source.tokenizer : with_words(source.tokenizer, read_words(options.words));
  check(tokenizer.vocabulary_size() <= max_vocabulary_size,
        "with its new words the tokenizer has {} tokens; {} at most", tokenizer.vocabulary_size(),
        max_vocabulary_size);
  make_directory(base);
  save_model(*source.network, tokenizer, base, source.ends, source.after_end);
  if (tokenizer.vocabulary_size() > source.tokenizer.vocabulary_size()) {
    const Family& its = family(source.network->family());
    NamedTensors tensors = its.to_file(*source.network);
    for (auto& [name, tensor] : tensors)
      if (std::ranges::find(its.tables, name) != its.tables.end())
        tensor = with_rows(tensor, source.tokenizer, tokenizer);
    Json config = ConfigFile(base + "/config.json").json();
    config["vocab_size"] = std::max(source.network->vocabulary(), tokenizer.vocabulary_size());
    write_file(base + "/config.json", config.dump(2) + "\n");
    save_tensors(base + "/model.safetensors", tensors, {{"format", "pt"}});
  }
  return load_model(base);
}

Settings settings_with(Settings settings, const LanguageModel& model, const FineTuning& options) {
  settings.family = model.family();
  family(model.family()).describe(model, settings);
  check(options.window <= settings.context, "context={}: the model sees {} tokens", options.window,
        settings.context);
  if (options.window > 0) settings.context = options.window;
  settings.dropout = options.dropout.value_or(settings.dropout);
  check_settings(settings);
  return with_accumulation(settings);  // at the model's context
}

void choose_what_learns(LanguageModel& model, const Settings& settings) {
  if (settings.learn == "last") freeze_before_last(model, settings.last_blocks);
  if (settings.learn != "lora" || has_low_rank(model)) return;  // of an adapter the rest is frozen
  Random random{static_cast<uint64_t>(settings.seed)};
  const std::string part = fmt::format(".{}.", family(model.family()).attention);
  add_low_rank(model, {settings.lora_rank, settings.lora_alpha}, random, [&](const std::string& name) {
    const bool attention = name.find(part) != std::string::npos;
    return settings.lora_products == "all" || attention == (settings.lora_products == "attention");
  });
}

// Where begun_from keeps the old text: its own place may be gone when the run ends.
static std::string kept_in(const std::string& base) { return base + "/old_text.safetensors"; }

Json begun_from(const FineTuning& options, const Model& model, const std::string& base, int64_t batch) {
  Json begun = {{"from", options.from}};
  const std::string old = options.old_text.empty() ? validation_of(options.from) : options.old_text;
  if (old.empty()) return begun;
  const std::vector<int32_t> tokens = old_tokens(old, options.from);
  save_tensors(kept_in(base), {{"tokens", Tensor::from(tokens, {static_cast<int64_t>(tokens.size())})}});
  begun["old_text"] = fs::absolute(old).lexically_normal().string();
  begun["old_tokens"] = tokens.size();
  begun["loss_before"] = evaluate(*model.network, tokens, {.batch = batch}).loss;
  return begun;
}

Json forgetting(const Json& begun_from, const LanguageModel& model, const std::string& base, int64_t batch) {
  Json all = begun_from;
  if (!all.contains("old_text")) return all;
  const NamedTensors kept = load_tensors(kept_in(base)).tensors;
  const std::vector<int32_t> tokens = kept.front().second.to_vector<int32_t>();
  all["loss_after"] = evaluate(model, tokens, {.batch = batch}).loss;
  return all;
}

}  // namespace chapbook
