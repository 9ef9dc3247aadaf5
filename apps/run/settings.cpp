#include "apps/run/settings.h"

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include <fmt/format.h>

#include "apps/report/nearest.h"
#include "apps/run/family.h"
#include "apps/run/faults.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {
namespace {

// `tiny`: a readable story in minutes on two cores; `story`: half an hour there, for real text; then the
// field's ladder after GPT-2.
struct Preset {
  std::string name;
  std::vector<std::string> assignments;
};
const std::vector<Preset> presets = {
    {"tiny", {}},
    {"story",
     {"heads=6", "width=192", "context=256", "batch=8", "rate=2e-3", "min_rate=0.01", "warmup=200",
      "minutes=28", "eval_every=1000", "save_every=1000", "sample_every=1000"}},
    {"nano", {"layers=4", "heads=4", "width=128", "context=64", "vocabulary=50257"}},
    {"small", {"layers=6", "heads=6", "width=384", "context=128", "vocabulary=50257"}},
    {"medium", {"layers=8", "heads=8", "width=512", "context=256", "vocabulary=50257", "rate=6e-4"}},
    {"large", {"layers=12", "heads=12", "width=768", "context=512", "vocabulary=50257", "rate=6e-4"}},
};

// What a setting may be: numbers of a range, or one of some words; bools are true or false.
struct Allowed {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool low_excluded = false, high_excluded = false;
  std::vector<std::string> words = {};

  bool has(double x) const {
    return std::isfinite(x) && (low_excluded ? x > low : x >= low) && (high_excluded ? x < high : x <= high);
  }
};
Allowed anything() { return {}; }
Allowed at_least(double low) { return {.low = low}; }
Allowed between(double low, double high) { return {low, high}; }
Allowed up_to_below(double low, double high) { return {low, high, false, true}; }
Allowed above_up_to(double low, double high) { return {low, high, true, false}; }
Allowed any_text() { return {}; }
Allowed one_of(std::vector<std::string> words) { return {.words = std::move(words)}; }

std::string number(double x) { return fmt::format("{}", x); }

// As a phrase: "1 to 1000", "0 or more", "more than 0, up to 10", "one of adamw, sgd".
template <class T>
std::string phrase(const Allowed& allowed) {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, std::string>)
    if (allowed.words.empty()) return "any text";
  if constexpr (std::is_same_v<T, std::string>) return fmt::format("{}", fmt::join(allowed.words, ", "));
  const auto bound = [](double x) {
    return std::is_same_v<T, double> ? number(x) : fmt::format("{}", static_cast<int64_t>(x));
  };
  if (std::isinf(allowed.high)) return bound(allowed.low) + " or more";
  if (allowed.low_excluded)
    return fmt::format("more than {}, up to {}", bound(allowed.low), bound(allowed.high));
  return fmt::format("{} to {}{}", bound(allowed.low), allowed.high_excluded ? "below " : "",
                     bound(allowed.high));
}

// The value as a T; nothing if it is of another type or not allowed.
template <class T>
bool read(const Json& value, const Allowed& allowed, T& result) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) return false;
    result = value.get<bool>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!value.is_string()) return false;
    if (!allowed.words.empty() && std::find(allowed.words.begin(), allowed.words.end(),
                                            value.get<std::string>()) == allowed.words.end())
      return false;
    result = value.get<std::string>();
  } else {
    // A whole number may be written 2e3, but not 0.5. Beyond 2^53 doubles skip whole numbers, so the range
    // ends there.
    constexpr double most =
        std::is_same_v<T, double> ? std::numeric_limits<double>::max() : 9007199254740992.0;
    if (!value.is_number() || !allowed.has(value.get<double>()) || std::abs(value.get<double>()) > most)
      return false;
    if (!std::is_same_v<T, double> && value.get<double>() != std::floor(value.get<double>())) return false;
    result = static_cast<T>(value.get<double>());
  }
  return true;
}

// Calls visit(name, member, allowed, help) for each setting, and group(name) before each group.
template <class AnySettings, class Visit, class Group>
void visit_settings(AnySettings& settings, const Visit& visit, const Group& group) {
#define GROUP(name) group(std::string(name));
#define SETTING(type, name, value, allowed, help) \
  visit(std::string(#name), settings.name, allowed, std::string(help));
#include "apps/run/settings_table.inc"
}

template <class AnySettings, class Visit>
void visit_settings(AnySettings& settings, const Visit& visit) {
  visit_settings(settings, visit, [](const std::string&) {});
}

template <class T>
std::string text(const T& value) {
  return fmt::format("{}", value);
}

}  // namespace

const std::vector<std::string>& preset_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const Preset& preset : presets) result.push_back(preset.name);
    return result;
  }();
  return names;
}

Settings preset(const std::string& name) {
  for (const Preset& preset : presets) {
    if (preset.name != name) continue;
    Settings settings;
    for (const std::string& assignment : preset.assignments) set(settings, assignment);
    return settings;
  }
  fail("there is no preset \"{}\"; there are {}", printable(name), fmt::join(preset_names(), ", "));
}

void set(Settings& settings, const std::string& name, const Json& value) {
  bool known = false;
  std::vector<std::string> names;
  visit_settings(settings,
                 [&](const std::string& candidate, auto& member, const Allowed& allowed, const std::string&) {
                   names.push_back(candidate);
                   if (candidate != name) return;
                   known = true;
                   using T = std::decay_t<decltype(member)>;
                   constexpr bool whole = std::is_same_v<T, int64_t>;
                   check(read(value, allowed, member), "setting {} cannot be {}; allowed: {}{}", name,
                         value.is_string() ? printable(value.get<std::string>()) : value.dump(),
                         phrase<T>(allowed), whole ? ", a whole number" : "");
                 });
  if (name == "family") set(settings, family(settings.family).usual);
  check(known, "there is no setting \"{}\"; did you mean \"{}\"?", printable(name), nearest(name, names));
}

void set(Settings& settings, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  check(equals != std::string::npos && equals > 0, "a setting is written name=value, not \"{}\"",
        printable(assignment));
  const std::string value = assignment.substr(equals + 1);
  const Json json = try_parse_json(value);  // what is not JSON is a word, as in schedule=cosine
  set(settings, assignment.substr(0, equals), json.is_discarded() ? Json(value) : json);
}

Json read_settings(Settings& settings, const std::string& json) {
  Json object;
  try {
    object = parse_json(json);
  } catch (const Json::exception& error) {
    fail("not JSON: {}", error.what());
  }
  check(object.is_object(), "settings are a JSON object like {{\"layers\": 4}}");
  // A family also sets what is usual in it, which the rest may change.
  if (object.contains("family")) set(settings, "family", object["family"]);
  for (const auto& [name, value] : object.items())
    if (name != "family") set(settings, name, value);
  return object;
}

Json read_settings_file(Settings& settings, const std::string& path) {
  const std::string json = read_file(path);
  check(!json.empty(), "{}: is empty; if it is a pipe, only one process can read it: not each worker", path);
  try {
    return read_settings(settings, json);
  } catch (const Error& error) {
    fail("{}: {}", path, error.what());
  }
}

Settings with_accumulation(Settings settings) {
  if (settings.batch_tokens > 0)
    settings.accumulation = settings.batch_tokens / (settings.batch * settings.context);
  return settings;
}

ShardsOfStep shards_of(const Settings& settings) {
  const int64_t batches = std::max<int64_t>(1, settings.accumulation / settings.shards);
  return {batches, settings.batch * settings.accumulation / (settings.shards * batches)};
}

// What belongs to other families is left as it is.
static void check_of_family(const Settings& settings, const Family& its) {
  const Json given = to_json(settings), untouched = to_json(Settings{});
  for (const Family& other : families())
    for (const std::string_view name : other.own_settings)
      check(given.at(name) == untouched.at(name) ||
                std::ranges::find(its.own_settings, name) != its.own_settings.end(),
            "family {}: it has no {}, which is a setting of {}", its.name, name, other.name);
  its.check(settings);
}

void check_settings(const Settings& settings) {
  check(settings.width % settings.heads == 0, "heads ({}) must divide width ({})", settings.heads,
        settings.width);
  const int64_t batch = settings.batch * settings.context;
  check(settings.batch_tokens % batch == 0,
        "batch_tokens ({}) must be a multiple of batch x context ({} x {} = {}): {} and {} are",
        settings.batch_tokens, settings.batch, settings.context, batch,
        std::max<int64_t>(1, settings.batch_tokens / batch) * batch,
        (settings.batch_tokens / batch + 1) * batch);
  check(std::has_single_bit(static_cast<uint64_t>(settings.shards)), "shards ({}) must be a power of two",
        settings.shards);
  const Settings step = with_accumulation(settings);
  const int64_t more = std::max(step.shards, step.accumulation),
                fewer = std::min(step.shards, step.accumulation);
  check(more % fewer == 0 && step.batch * step.accumulation % step.shards == 0,
        "shards ({}) must cut a step of {} x {} sequences into equal parts of whole batches, or each batch "
        "into equal parts",
        step.shards, step.accumulation, step.batch);
  check_of_family(settings, family(settings.family));
  check_fault(settings);
}

bool is_of_model(const std::string& name) {
  Settings settings;
  std::string group;
  bool is = false;
  visit_settings(
      settings,
      [&](const std::string& candidate, auto&, const Allowed&, const std::string&) {
        is = is || (candidate == name && group == "model");
      },
      [&](const std::string& next) { group = next; });
  return is;
}

Json to_json(const Settings& settings) {
  Json object = Json::object();
  visit_settings(settings, [&](const std::string& name, const auto& member, const Allowed&,
                               const std::string&) { object[name] = member; });
  return object;
}

std::string settings_help() {
  std::string lines = "Settings (--set name=value), what they are by default, and what is allowed:\n";
  Settings defaults;
  visit_settings(
      defaults,
      [&](const std::string& name, const auto& member, const Allowed& allowed, const std::string& help) {
        using T = std::decay_t<decltype(member)>;
        lines += fmt::format("  {:<16} {:<7} {} ({})\n", name, text(member), help, phrase<T>(allowed));
      },
      [&](const std::string& group) { lines += fmt::format(" {}\n", group); });
  lines += "Presets (--preset):\n";
  for (const std::string& name : preset_names()) {
    const Settings s = preset(name);
    lines += fmt::format("  {:<8} {:>2} layers, {:>2} heads, {:>3} wide, context {:>3}, vocabulary {}\n",
                         name, s.layers, s.heads, s.width, s.context, s.vocabulary);
  }
  return lines;
}

Settings SettingsOptions::settings(Names* names) const {
  Names given;
  Settings settings = chapbook::preset(preset);
  if (default_backend().faster_in(DType::bf16)) settings.precision = "bf16";
  const Json file = config.empty() ? Json::object() : read_settings_file(settings, config);
  for (const auto& [name, value] : file.items()) given.emplace_back(name, "--config " + config);
  for (const std::string& assignment : assignments) {
    set(settings, assignment);
    given.emplace_back(assignment.substr(0, assignment.find('=')), "--set " + assignment);
  }
  if (!precision.empty()) set(settings, "precision", precision);
  check_settings(settings);
  if (names) *names = std::move(given);
  return with_accumulation(settings);
}

}  // namespace chapbook
