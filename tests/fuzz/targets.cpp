#include "tests/fuzz/targets.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "apps/command.h"
#include "apps/run/adapter.h"
#include "apps/run/checkpoint.h"
#include "apps/run/family.h"
#include "apps/run/metrics.h"
#include "apps/run/model_directory.h"
#include "apps/serve/completion.h"
#include "data/bpe_train.h"
#include "data/idx.h"
#include "data/pretokenize.h"
#include "data/split.h"
#include "data/stories.h"
#include "data/token_file.h"
#include "data/tokenizer_file.h"
#include "data/utf8.h"
#include "nn/adapt.h"
#include "nn/gpt.h"
#include "tensor/files.h"
#include "tensor/json.h"
#include "tensor/pickle.h"
#include "tensor/safetensors.h"
#include "tensor/torch_file.h"
#include "tests/fuzz/rules.h"
#include "tests/support/temporary_directory.h"

namespace chapbook {
namespace {

namespace fs = std::filesystem;

const char* running = "";

[[noreturn]] void found(std::string_view what) {
  fmt::print(stderr, "found by {}: {}\n", running, what);
  std::abort();
}

void require(bool holds, const char* what) {
  if (!holds) found(what);
}

// Or one line and a list under it, as of the tensors that a model lacks.
bool is_one_line(std::string_view says) {
  for (size_t end = says.find('\n'); end != says.npos; end = says.find('\n', end + 1))
    if (!says.substr(end + 1).starts_with("  ")) return false;
  return !says.empty();
}

// A directory of this process, in memory where the system has a place for that.
const std::string& directory() {
  static const TemporaryDirectory memory(fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path());
  return memory.path;
}

// Not through tensor/files, which would wait for the disk.
std::string put(const std::string& name, std::string_view bytes) {
  const std::string path = directory() + "/" + name;
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

// Two files from one input, cut at the first byte 0.
std::array<std::string_view, 2> cut(std::string_view bytes) {
  const size_t zero = std::min(bytes.find('\0'), bytes.size());
  return {bytes.substr(0, zero), bytes.substr(std::min(bytes.size(), zero + 1))};
}

// ---- Tensors and models

const GPTConfig small{.layers = 1, .heads = 1, .width = 8, .context = 16, .vocabulary = 260};

void read_tensors(std::string_view bytes) {
  const TensorFile file = load_tensors(put("x.safetensors", bytes), backend("cpu"));
  // What was read can be written, and is read again.
  save_tensors(directory() + "/y.safetensors", file.tensors, file.metadata);
  const TensorFile again = load_tensors(directory() + "/y.safetensors", backend("cpu"));
  require(again.tensors.size() == file.tensors.size() && again.metadata == file.metadata, "tensors changed");
}

void read_archive(std::string_view bytes) {
  load_torch(put("x.pt", bytes), backend("cpu"), [](const std::string&) { return true; });
}

// Without an archive around it, whose checksum no change would pass.
void read_torch_pickle(std::string_view bytes) {
  const Pickle pickle = read_pickle("x.pt", std::as_bytes(std::span(bytes)));
  require(pickle.result < pickle.values.size(), "a result that is none");
}

void read_digits(std::string_view bytes) {
  const Tensor numbers = read_idx(put("x.idx", bytes));
  write_idx(directory() + "/y.idx", numbers);
  require(read_file(directory() + "/y.idx") == bytes, "an IDX file changed");
}

// PEFT's adapter_config.json, with its weights behind a byte 0, or else those that fit the small model.
void read_adapter(std::string_view bytes) {
  static const std::string fitting = [] {
    GPT model(small, backend("cpu"));
    Random random{1};
    model.initialise(random);
    add_low_rank(model, {.rank = 2, .alpha = 4}, random, [](const std::string&) { return true; });
    fs::create_directories(directory() + "/fitting");
    save_adapter(model, ".", directory() + "/fitting");
    return read_file(directory() + "/fitting/adapter_model.safetensors");
  }();
  const auto [config, weights] = cut(bytes);
  put("adapter/adapter_config.json", config);
  put("adapter/adapter_model.safetensors", weights.empty() ? fitting : weights);
  try {  // whether it is there or not, the name is read
    base_of_adapter(directory() + "/adapter");
  } catch (const Error&) {
  }
  GPT model(small, backend("cpu"));
  Random random{1};
  model.initialise(random);
  load_adapter(model, directory() + "/adapter");
  require(has_low_rank(model), "an adapter that adapts nothing");
  merge_low_rank(model);
}

void read_config(std::string_view bytes) {
  const ConfigFile config(put("config.json", bytes));
  // Of so many numbers, so that small models get as far as their tensors.
  const Tensor numbers = Tensor::zeros({100'000}, DType::f32, backend("cpu"));
  family(config).open(config, {{"transformer.wte.weight", numbers}});
}

void read_settings_json(std::string_view bytes) {
  Settings settings;
  read_settings(settings, std::string(bytes));
  check_settings(settings);
  model_costs(settings, backend("cpu"));
  Settings again;
  read_settings(again, to_json(settings).dump());
  require(again == settings, "settings changed on the way through JSON");
}

const Tokenizer& tokenizer() {
  static const Tokenizer trained = [] {
    std::string text;
    write_stories(30, 1, [&](std::string_view story) { text += story; });
    return train_bpe(text, 260);
  }();
  return trained;
}

void read_trainer_state(std::string_view bytes) {
  static const std::vector<uint16_t> tokens(400, 7);
  static GPT& model = *new GPT(small, backend("cpu"));
  Settings settings;
  settings.batch = 2, settings.context = small.context, settings.steps = 1000;
  Trainer trainer(settings, model, tokens);
  put("run/last/trainer.json", bytes);
  static const bool once =
      (save_tensors(directory() + "/run/last/optimizer.safetensors", trainer.optimizer_state()), true);
  (void)once;
  const SavedRun saved = load_last(directory() + "/run");
  check_settings(saved.state.settings);
  trainer.restore(saved.trainer, saved.optimizer);
  require(trainer.tokens() >= 0, "a count of tokens that is none");
}

// ---- Text and tokens

// Whatever loads reads and writes every text.
void use(const Tokenizer& loaded) {
  for (const std::string_view text : {"Once upon a time, 1 cat.\n<|endoftext|>", "\xe2\x82\xac \xff\xc3"}) {
    for (const SpecialTokens special : {SpecialTokens::as_text, SpecialTokens::recognise})
      require(loaded.decode(loaded.encode(text, special)) == text,
              "a text changed on the way through tokens");
  }
}

void read_tokenizer(std::string_view bytes) { use(load_tokenizer(put("tokenizer.json", bytes))); }

void read_merges(std::string_view bytes) {
  const auto [vocabulary, merges] = cut(bytes);
  use(load_vocabulary_and_merges(put("vocab.json", vocabulary), put("merges.txt", merges)));
}

// tokenizer_config.json, special_tokens_map.json and added_tokens.json, beside either form of a tokenizer.
void read_beside(std::string_view bytes) {
  const auto [config, rest] = cut(bytes);
  const auto [map, added] = cut(rest);
  std::string says;
  for (const std::string form : {"tokenizer.json", "vocab.json"}) {
    const std::string beside = directory() + "/beside " + form;
    static const bool once = [&] {
      for (const char* each : {"tokenizer.json", "vocab.json"})
        save_tokenizer(tokenizer(), directory() + "/beside " + each);
      return fs::remove(directory() + "/beside tokenizer.json/vocab.json") &&
             fs::remove(directory() + "/beside vocab.json/tokenizer.json");
    }();
    require(once, "no tokenizers");
    put("beside " + form + "/tokenizer_config.json", config.empty() ? "{}" : config);
    put("beside " + form + "/special_tokens_map.json", map.empty() ? "{}" : map);
    put("beside " + form + "/added_tokens.json", added.empty() ? "{}" : added);
    try {
      use(load_tokenizer(beside));
    } catch (const Error& error) {
      says = error.what();
    }
  }
  if (!says.empty()) throw Error(says);
}

// A model whose weights are in the files that an index names, and what ends its texts.
void read_model_directory(std::string_view bytes) {
  static const bool once = [] {
    GPT model(small, backend("cpu"));
    Random random{1};
    model.initialise(random);
    fs::create_directories(directory() + "/model");
    save_model(model, tokenizer(), directory() + "/model");
    fs::rename(directory() + "/model/model.safetensors", directory() + "/model/a.safetensors");
    return true;
  }();
  require(once, "no model");
  const auto [index, generation] = cut(bytes);
  put("model/model.safetensors.index.json", index);
  put("model/generation_config.json", generation.empty() ? "{}" : generation);
  const Model model = load_model(directory() + "/model");
  for (const int32_t end : model.ends) require(end >= 0 && end < small.vocabulary, "an end that is no token");
}

// Text, and the same bytes as JSON Lines.
void read_stories(std::string_view bytes) {
  std::string says;
  for (const char* name : {"stories.txt", "stories.jsonl"}) {
    try {
      const Text text(put(name, bytes));
      const auto all = [](const Text& text) {
        std::string stories;
        text.read([&](std::string_view piece, bool ends) {
          require(!piece.empty() || ends, "an empty piece");
          require(piece.size() <= max_story_bytes, "a piece that is too long");
          (stories += piece) += ends ? std::string_view("\1") : "";
        });
        return stories;
      };
      require(all(text) == all(text), "a text that is another the second time");
      if (text.one_document()) {
        const auto [begin, end] = text.divided(0.1);
        require(all(begin).size() + all(end).size() <= bytes.size() + 2,
                "a text that grew when it was divided");
      }
    } catch (const Error& error) {
      says = error.what();
    }
  }
  if (!says.empty()) throw Error(says);
}

void read_token_file(std::string_view bytes) {
  const auto [json, ids] = cut(bytes);
  const std::string path = put("tokens.bin", ids);
  if (json.empty())
    fs::remove(directory() + "/tokens.json");
  else
    put("tokens.json", json);
  const TokenFile file = TokenFile::open(path, json.empty() ? 260 : 0);
  for (const uint16_t id : file.tokens())
    require(id < file.info().vocabulary_size, "an id beyond the vocabulary");
}

void cut_into_pieces(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = piece_end(text, at);
    require(end > at && end <= text.size(), "a piece that is empty or too long");
    require(end == piece_end_by_rule(text, at), "a piece that is not the rule's");
    at = end;
  }
  const size_t middle = safe_cut(text, text.size() / 2);
  std::vector<size_t> whole, parts;
  const auto ends = [](std::string_view part, size_t from, std::vector<size_t>& to) {
    for (size_t at = 0; at < part.size();) to.push_back(from + (at = piece_end(part, at)));
  };
  ends(text, 0, whole);
  ends(text.substr(0, middle), 0, parts);
  ends(text.substr(middle), middle, parts);
  require(whole == parts, "a safe cut that is not safe");
}

void read_utf8(std::string_view text) {
  std::string again;
  for (size_t at = 0; at < text.size();) {
    const CodePoint one = decode_utf8(text, at), wanted = decode_utf8_by_rule(text, at);
    require(one.value == wanted.value && one.length == wanted.length, "a code point that is not Unicode's");
    require(one.length >= 1 && one.length <= text.size() - at, "a code point outside the text");
    append_utf8(again, one.value);
    character_class(one.value);
    at += one.length;
  }
  require(well_formed(text) == again && well_formed(again) == again, "well-formed text that is not");
  require(complete_utf8(text) <= text.size(), "more is complete than there is");
  require(text.size() - complete_utf8(text) < 4, "more than a character is held back");
  for (const char letter : visible(text))
    require(static_cast<unsigned char>(letter) >= 0x20 && letter != 0x7f,
            "something that moves the cursor is shown");
}

void round_trip(std::string_view text) {
  require(tokenizer().decode(tokenizer().encode(text)) == text, "a text changed on the way through tokens");
}

// ---- What people and programs ask for

// A line of words as the shell gives them; no command is carried out.
void read_command_line(std::string_view line) {
  CLI::App program("", "./chapbook");
  program.require_subcommand(1);
  for (auto* add :
       {add_doctor, add_plan, add_download, add_bench, add_tokenizer, add_prepare, add_train, add_evaluate,
        add_generate, add_predict, add_serve, add_runs, add_profile, add_xray, add_replay, add_export})
    add(program);
  struct Parsed {};
  program.parse_complete_callback([] { throw Parsed{}; });  // before a command would begin
  std::vector<std::string> words;                           // the last one first, as CLI11 wants it
  for (size_t at = 0; at < line.size();) {
    const size_t end = std::min(line.find('\n', at), line.size());
    words.insert(words.begin(), std::string(line.substr(at, end - at)));
    at = end + 1;
  }
  for (const std::string& word : words) {
    Settings settings;
    try {
      set(settings, word);
    } catch (const Error&) {
    }
  }
  try {
    program.parse(words);
  } catch (const Parsed&) {
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) fail("{}", error.what());
  }
}

void read_request(std::string_view body) {
  static const std::vector<ServedModel>& models = *[] {
    auto* all = new std::vector<ServedModel>;
    all->push_back({"small", {std::make_unique<GPT>(small, backend("cpu")), tokenizer()}});
    return all;
  }();
  const Json json = Json::parse(body, shallow, false);
  check(!json.is_discarded(), "the body is not valid JSON");
  const CompletionRequest request = read_completion(json, models, {});
  require(!request.prompts.empty(), "a request without a prompt");
  for (const auto& prompt : request.prompts)
    for (const int32_t id : prompt.ids) require(id >= 0 && id < small.vocabulary, "a token that is none");
}

void read_log(std::string_view bytes) { read_metrics(put("metrics.csv", bytes)); }

}  // namespace

const std::vector<FuzzTarget>& fuzz_targets() {
  static const std::vector<FuzzTarget> targets = {
      {"safetensors", read_tensors},
      {"torch_file", read_archive},
      {"pickle", read_torch_pickle},
      {"idx", read_digits},
      {"adapter", read_adapter},
      {"config", read_config},
      {"settings", read_settings_json},
      {"trainer_state", read_trainer_state},
      {"tokenizer", read_tokenizer},
      {"merges", read_merges},
      {"beside", read_beside},
      {"model", read_model_directory},
      {"stories", read_stories},
      {"token_file", read_token_file},
      {"pretokenize", cut_into_pieces},
      {"utf8", read_utf8},
      {"bpe", round_trip},
      {"command_line", read_command_line},
      {"request", read_request},
      {"metrics", read_log},
  };
  return targets;
}

void fuzz(const FuzzTarget& target, std::string_view bytes) {
  running = target.name;
  try {
    target.run(bytes);
  } catch (const Error& error) {
    const std::string_view says = error.what();
    if (!is_one_line(says)) found(fmt::format("an error that is not one line: {}", says));
  } catch (const std::exception& error) {
    found(fmt::format("an exception that is no Error: {}", error.what()));
  }
}

}  // namespace chapbook
