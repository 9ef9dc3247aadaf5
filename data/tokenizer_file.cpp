#include "data/tokenizer_file.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "data/byte_alphabet.h"
#include "data/utf8.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {
namespace {

using nlohmann::json;
using std::filesystem::path;

json parse_json(const path& file) {
  try {
    return json::parse(read_file(file), shallow);
  } catch (const json::exception& error) {
    fail("{}: not valid JSON: {}", file.string(), error.what());
  }
}

// ---- Reading. `where` names the file in every message.

const json& member(const json& object, const char* name, json::value_t type, const std::string& where) {
  check(object.is_object() && object.contains(name), "{}: \"{}\" is missing", where, name);
  check(object[name].type() == type, "{}: \"{}\" is {}, which it should not be", where, name,
        object[name].type_name());
  return object[name];
}

// Whether a setting is absent, null, or has the one value under which the tokenizer means what it means here.
void require_setting(const json& object, const char* name, const json& only, const std::string& where) {
  const auto found = object.find(name);
  check(found == object.end() || found->is_null() || *found == only,
        "{}: \"{}\" is {}; Chapbook knows only GPT-2's byte-level BPE, where it is {}", where, name,
        found == object.end() ? "" : found->dump(), only.dump());
}

int32_t token_id(const json& id, const std::string& token, const std::string& where) {
  check(id.is_number_integer() && id >= 0 && id <= 0x7FFFFFFF,
        "{}: the id of token \"{}\" is {}, not a token id", where, visible(token), id.dump());
  return id.get<int32_t>();
}

// A vocabulary as it is written: printable characters, id by id.
using Spellings = std::vector<std::string>;

struct IdOf {
  std::unordered_map<std::string, int32_t> ids;

  int32_t operator()(const std::string& spelling, size_t merge, const std::string& where) const {
    const auto found = ids.find(spelling);
    check(found != ids.end(), "{}: merge {} uses \"{}\", which is not in the vocabulary", where, merge,
          visible(spelling));
    return found->second;
  }
};

void place_token(Spellings& spellings, int32_t id, const std::string& token, const std::string& where) {
  const size_t count = spellings.size();
  check(static_cast<size_t>(id) < count,
        "{}: token \"{}\" has id {}; the ids of {} tokens are 0 to {}, without gaps", where, visible(token),
        id, count, count - 1);
  check(spellings[id].empty(), "{}: tokens \"{}\" and \"{}\" both have id {}", where, visible(spellings[id]),
        visible(token), id);
  check(!token.empty(), "{}: token {} is empty", where, id);
  spellings[id] = token;
}

Tokenizer::Merge parse_merge(const std::string& line, size_t number, const IdOf& id_of,
                             const std::string& where) {
  const size_t space = line.find(' ');
  check(space != line.npos && line.find(' ', space + 1) == line.npos,
        "{}: merge {} (\"{}\") is not two tokens with a space between", where, number, visible(line));
  return {id_of(line.substr(0, space), number, where), id_of(line.substr(space + 1), number, where)};
}

// The tokens' bytes. Special tokens are written as they are, all others in the printable alphabet.
Tokenizer make_tokenizer(Spellings tokens, std::vector<Tokenizer::Merge> merges,
                         const std::set<int32_t>& special_ids, const std::string& where) {
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (special_ids.contains(static_cast<int32_t>(id))) continue;
    auto bytes = from_printable(tokens[id]);
    check(bytes.has_value(), "{}: token {} (\"{}\") is not written in GPT-2's byte alphabet", where, id,
          visible(tokens[id]));
    tokens[id] = std::move(*bytes);
  }
  try {
    return Tokenizer(tokens, std::move(merges), {special_ids.begin(), special_ids.end()});
  } catch (const Error& error) {
    fail("{}: {}", where, error.what());
  }
}

// ---- Tokens that stand in files beside the vocabulary: with an id, or -1.

using Beside = std::vector<std::pair<std::string, int32_t>>;

// Each once, without those that the vocabulary holds.
template <class Holds>
Beside missing(const Beside& beside, Holds&& holds) {
  Beside tokens;
  std::set<std::string> seen;
  for (const auto& token : beside)
    if (seen.insert(token.first).second && !holds(token.first)) tokens.push_back(token);
  return tokens;
}

// Those with an id are where they say, the others take what is left.
void place_beside(Spellings& spellings, const Beside& tokens, std::set<int32_t>& special_ids,
                  const path& directory) {
  for (const bool with_id : {true, false})
    for (const auto& [name, id] : tokens) {
      if (with_id != (id >= 0)) continue;
      const auto free = std::find(spellings.begin(), spellings.end(), "") - spellings.begin();
      const int32_t place = with_id ? id : static_cast<int32_t>(free);
      place_token(spellings, place, name, (directory / "(special tokens)").string());
      special_ids.insert(place);
    }
}

// Tokens of the vocabulary that have a role are special, too. It may be given to an ordinary one as well,
// which a merge or a byte makes: that stays one.
template <class HasRole>
void mark_special(const Spellings& spellings, const std::vector<Tokenizer::Merge>& merges,
                  std::set<int32_t>& special_ids, HasRole&& has_role) {
  std::set<std::string> made;
  for (const auto& [left, right] : merges) made.insert(spellings[left] + spellings[right]);
  for (size_t id = 0; id < spellings.size(); ++id) {
    const std::string& token = spellings[id];
    if (!has_role(token) || made.contains(token)) continue;
    const auto bytes = from_printable(token);
    if (!bytes || bytes->size() != 1) special_ids.insert(static_cast<int32_t>(id));
  }
}

std::set<std::string> names_of(const Beside& beside) {
  std::set<std::string> names;
  for (const auto& [name, id] : beside) names.insert(name);
  return names;
}

// ---- tokenizer.json

void check_pipeline(const json& file, const std::string& where) {
  require_setting(file, "normalizer", nullptr, where);
  const json& splitter = member(file, "pre_tokenizer", json::value_t::object, where);
  const std::string place = where + ": pre_tokenizer";
  check(splitter.value("type", json()) == "ByteLevel", "{}: its type is {}; Chapbook knows only ByteLevel",
        place, splitter.value("type", json()).dump());
  check(splitter.value("add_prefix_space", json()) == false, "{}: add_prefix_space must be false", place);
  require_setting(splitter, "use_regex", true, place);
  if (const auto decoder = file.find("decoder"); decoder != file.end() && !decoder->is_null()) {
    check(decoder->is_object(), "{}: \"decoder\" is not an object", where);
    require_setting(*decoder, "type", "ByteLevel", where + ": decoder");
  }
  // A post-processor may put special tokens around a text; ByteLevel and an empty template leave the ids as
  // they are.
  if (const auto post = file.find("post_processor"); post != file.end() && !post->is_null()) {
    check(post->is_object(), "{}: \"post_processor\" is not an object", where);
    const bool harmless = post->value("type", json()) == "ByteLevel" ||
                          (post->value("type", json()) == "TemplateProcessing" &&
                           post->value("special_tokens", json()) == json::object());
    check(harmless, "{}: its post_processor adds tokens to a text; Chapbook does not", where);
  }
}

void check_model(const json& model, const std::string& where) {
  const std::string place = where + ": model";
  require_setting(model, "type", "BPE", place);
  require_setting(model, "dropout", 0.0, place);
  require_setting(model, "continuing_subword_prefix", "", place);
  require_setting(model, "end_of_word_suffix", "", place);
  require_setting(model, "ignore_merges", false, place);
}

Tokenizer load_tokenizer_json(const path& file_path, const Beside& beside) {
  const std::string where = file_path.string();
  const json file = parse_json(file_path);
  check(file.is_object(), "{}: it should hold a JSON object", where);
  check_pipeline(file, where);
  const json& model = member(file, "model", json::value_t::object, where);
  check_model(model, where);
  const json& vocabulary = member(model, "vocab", json::value_t::object, where);

  std::unordered_map<std::string, int32_t> added;  // name to id of the special tokens
  size_t beyond = 0;                               // those of them that the model's vocabulary does not hold
  if (const auto found = file.find("added_tokens"); found != file.end()) {
    check(found->is_array(), "{}: \"added_tokens\" is not a list", where);
    for (const json& token : *found) {
      const std::string name = member(token, "content", json::value_t::string, where + ": added_tokens");
      const std::string place = fmt::format("{}: added token \"{}\"", where, visible(name));
      check(token.contains("id"), "{}: its id is missing", place);
      check(token.value("special", json()) == true, "{}: only special tokens may be added", place);
      for (const char* setting : {"single_word", "lstrip", "rstrip"})
        require_setting(token, setting, false, place);
      const int32_t id = token_id(token["id"], name, where);
      check(added.emplace(name, id).second, "{}: it is listed twice", place);
      const auto known = vocabulary.find(name);
      check(known == vocabulary.end() || *known == id, "{}: its id is {} here and {} in the vocabulary",
            place, id, known == vocabulary.end() ? "" : known->dump());
      if (known == vocabulary.end()) ++beyond;
    }
  }

  const Beside more = missing(
      beside, [&](const std::string& name) { return vocabulary.contains(name) || added.contains(name); });
  Spellings spellings(vocabulary.size() + beyond + more.size());
  IdOf id_of;
  std::set<int32_t> special_ids;
  for (const auto& [token, id] : vocabulary.items()) {
    place_token(spellings, token_id(id, token, where), token, where);
    id_of.ids.emplace(token, id.get<int32_t>());
  }
  for (const auto& [name, id] : added) {
    if (!vocabulary.contains(name)) place_token(spellings, id, name, where);
    special_ids.insert(id);
  }
  place_beside(spellings, more, special_ids, file_path.parent_path());

  std::vector<Tokenizer::Merge> merges;
  for (const json& merge : member(model, "merges", json::value_t::array, where)) {
    const size_t number = merges.size();
    if (merge.is_string()) {
      merges.push_back(parse_merge(merge, number, id_of, where));
    } else {
      check(merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string(),
            "{}: merge {} is neither \"a b\" nor [\"a\", \"b\"]", where, number);
      merges.push_back({id_of(merge[0], number, where), id_of(merge[1], number, where)});
    }
  }
  if (!beside.empty())
    mark_special(spellings, merges, special_ids,
                 [roles = names_of(beside)](const std::string& token) { return roles.contains(token); });
  return make_tokenizer(std::move(spellings), std::move(merges), special_ids, where);
}

// ---- Writing

std::string spelling(const Tokenizer& tokenizer, int32_t id) {
  const std::string_view bytes = tokenizer.token_bytes(id);
  return tokenizer.is_special(id) ? std::string(bytes) : to_printable(bytes);
}

// Written by hand because a JSON library would sort the tokens by name; people look for them by id.
std::string vocabulary_text(const Tokenizer& tokenizer, std::string_view separator) {
  std::string text = "{";
  for (int32_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
    text += fmt::format("{}{}: {}", id == 0 ? "" : separator, json_string(spelling(tokenizer, id)), id);
  }
  return text + "}";
}

std::string tokenizer_json_text(const Tokenizer& tokenizer) {
  const json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  json added = json::array();
  for (const int32_t id : tokenizer.special_ids()) {
    added.push_back({{"id", id},
                     {"content", spelling(tokenizer, id)},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  std::string text = "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n";
  text += fmt::format("  \"added_tokens\": {},\n  \"normalizer\": null,\n", added.dump());
  for (const char* part : {"pre_tokenizer", "post_processor", "decoder"}) {
    text += fmt::format("  \"{}\": {},\n", part, byte_level.dump());
  }
  text +=
      "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
      "    \"continuing_subword_prefix\": \"\",\n    \"end_of_word_suffix\": \"\",\n"
      "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n";
  text += fmt::format("    \"vocab\": {},\n    \"merges\": [", vocabulary_text(tokenizer, ",\n      "));
  const char* separator = "\n      ";
  for (const auto& [left, right] : tokenizer.merges()) {
    text += separator + json_string(spelling(tokenizer, left) + " " + spelling(tokenizer, right));
    separator = ",\n      ";
  }
  return text + "\n    ]\n  }\n}";
}

std::string merges_text(const Tokenizer& tokenizer) {
  std::string text = "#version: 0.2\n";
  for (const auto& [left, right] : tokenizer.merges()) {
    text += spelling(tokenizer, left) + " " + spelling(tokenizer, right) + "\n";
  }
  return text;
}

// What transformers needs to know beside tokenizer.json.
std::string configuration_text(const Tokenizer& tokenizer) {
  json configuration = {{"tokenizer_class", "GPT2Tokenizer"}, {"add_prefix_space", false}};
  const std::string end_of_text(Tokenizer::end_of_text_name);
  for (const int32_t id : tokenizer.special_ids()) {
    if (tokenizer.token_bytes(id) != end_of_text) continue;
    for (const char* role : {"bos_token", "eos_token", "unk_token"}) configuration[role] = end_of_text;
  }
  return configuration.dump(2) + "\n";
}

// Special tokens where transformers looks for them, beside vocab.json or tokenizer.json.
Beside tokens_beside(const path& directory) {
  Beside tokens;
  const auto read = [&](const char* name) {
    const path file = directory / name;
    const json content = std::filesystem::exists(file) ? parse_json(file) : json::object();
    check(content.is_object(), "{}: it should hold a JSON object", file.string());
    return content;
  };
  const json config = read("tokenizer_config.json"), map = read("special_tokens_map.json");
  const std::string config_name = (directory / "tokenizer_config.json").string(),
                    map_name = (directory / "special_tokens_map.json").string();
  require_setting(config, "add_prefix_space", false, config_name);
  // tokenizer.json says that in its post_processor, and transformers goes by it.
  if (!std::filesystem::exists(directory / "tokenizer.json"))
    for (const char* setting : {"add_bos_token", "add_eos_token"})
      require_setting(config, setting, false, config_name);
  const auto require_plain = [](const json& token, const std::string& where, const std::string& name) {
    for (const char* setting : {"single_word", "lstrip", "rstrip"})
      require_setting(token, setting, false, fmt::format("{}: \"{}\"", where, visible(name)));
  };
  const json with_ids = config.value("added_tokens_decoder", json::object()),
             added = read("added_tokens.json");
  for (const auto& [id, token] : with_ids.items()) {
    const std::string where = config_name + ": added_tokens_decoder";
    const std::string name = member(token, "content", json::value_t::string, where);
    require_plain(token, where, name);
    tokens.emplace_back(name, token_id(json::parse(id, nullptr, false), name, where));
  }
  for (const auto& [name, id] : added.items())
    tokens.emplace_back(name, token_id(id, name, (directory / "added_tokens.json").string()));
  // Those that have a role only, transformers numbers on in this order.
  const auto by_name = [&](const json& token, const std::string& where) {
    const json name = token.is_object() ? token.value("content", json()) : token;
    if (!name.is_string() || name == "") return;
    if (token.is_object()) require_plain(token, where, name);
    tokens.emplace_back(name, -1);
  };
  for (const char* role : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token",
                           "mask_token", "additional_special_tokens", "extra_special_tokens"})
    for (const auto& [file, path] : {std::pair(map, map_name), {config, config_name}}) {
      const json named = file.value(role, json());
      for (const json& token : named.is_array() ? named : json::array({named}))
        by_name(token, fmt::format("{}: {}", path, role));
    }
  return tokens;
}

Tokenizer load_pair(const path& vocabulary_path, const path& merges_path, const Beside& beside) {
  const json vocabulary = parse_json(vocabulary_path);
  const std::string where = vocabulary_path.string();
  check(vocabulary.is_object(), "{}: it should hold a JSON object of tokens and their ids", where);
  const Beside more = missing(beside, [&](const std::string& name) { return vocabulary.contains(name); });
  Spellings spellings(vocabulary.size() + more.size());
  IdOf id_of;
  for (const auto& [token, id] : vocabulary.items()) {
    place_token(spellings, token_id(id, token, where), token, where);
    id_of.ids.emplace(token, id.get<int32_t>());
  }
  std::set<int32_t> special_ids;
  place_beside(spellings, more, special_ids, vocabulary_path.parent_path());

  const std::string text = read_file(merges_path);
  std::vector<Tokenizer::Merge> merges;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();  // no token's: the alphabet has another character for it
    if (begin == 0 && line.starts_with("#version")) continue;
    merges.push_back(parse_merge(line, merges.size(), id_of, merges_path.string()));
  }
  mark_special(spellings, merges, special_ids, [roles = names_of(beside)](const std::string& token) {
    const bool named = token.size() > 2 && token.front() == '<' && token.back() == '>';
    return named || roles.contains(token);
  });
  return make_tokenizer(std::move(spellings), std::move(merges), special_ids, where);
}

}  // namespace

Tokenizer load_vocabulary_and_merges(const path& vocabulary_path, const path& merges_path) {
  return load_pair(vocabulary_path, merges_path, {});
}

Tokenizer load_tokenizer(const path& path) {
  if (!std::filesystem::is_directory(path)) return load_tokenizer_json(path, {});
  if (std::filesystem::exists(path / "tokenizer.json"))
    return load_tokenizer_json(path / "tokenizer.json", tokens_beside(path));
  check(std::filesystem::exists(path / "vocab.json") && std::filesystem::exists(path / "merges.txt"),
        "{}: this directory holds neither tokenizer.json nor vocab.json and merges.txt", path.string());
  return load_pair(path / "vocab.json", path / "merges.txt", tokens_beside(path));
}

void save_tokenizer(const Tokenizer& tokenizer, const path& directory) {
  make_directory(directory);
  const std::string texts[] = {tokenizer_json_text(tokenizer), vocabulary_text(tokenizer, ", "),
                               merges_text(tokenizer), configuration_text(tokenizer)};
  for (size_t i = 0; i < tokenizer_files.size(); ++i) write_file(directory / tokenizer_files[i], texts[i]);
}

}  // namespace chapbook
