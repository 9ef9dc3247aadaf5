#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <limits>

#include "apps/report/nearest.h"
#include "apps/run/settings.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

TEST_CASE("a setting is read from name=value, each type in its own form") {
  Settings settings;
  set(settings, "layers=6");
  set(settings, "steps=2e3");  // whole, though written with an exponent
  set(settings, "rate=3e-4");
  set(settings, "bias=false");
  set(settings, "schedule=wsd");
  CHECK(settings.layers == 6);
  CHECK(settings.steps == 2000);
  CHECK(settings.rate == 3e-4);
  CHECK(settings.bias == false);
  CHECK(settings.schedule == "wsd");
}

TEST_CASE("what is refused is named, with what is allowed") {
  const struct {
    const char *assignment, *message;
  } cases[] = {
      {"layer=3", "there is no setting \"layer\"; did you mean \"layers\"?"},
      {"shcedule=wsd", "there is no setting \"shcedule\"; did you mean \"schedule\"?"},
      {"layers", "a setting is written name=value, not \"layers\""},
      {"=3", "a setting is written name=value, not \"=3\""},
      {"layers=0", "setting layers cannot be 0; allowed: 1 to 1000, a whole number"},
      {"layers=2.5", "setting layers cannot be 2.5; allowed: 1 to 1000, a whole number"},
      {"layers=", "setting layers cannot be ; allowed: 1 to 1000, a whole number"},
      {"layers=\"4\"", "setting layers cannot be 4; allowed: 1 to 1000, a whole number"},
      {"layers=true", "setting layers cannot be true; allowed: 1 to 1000, a whole number"},
      {"vocabulary=65537", "setting vocabulary cannot be 65537; allowed: 257 to 65536, a whole number"},
      {"rate=nan", "setting rate cannot be nan; allowed: more than 0, up to 10"},
      {"rate=inf", "setting rate cannot be inf; allowed: more than 0, up to 10"},
      {"rate=1e999", "setting rate cannot be 1e999; allowed: more than 0, up to 10"},
      {"rate=0", "setting rate cannot be 0; allowed: more than 0, up to 10"},
      {"dropout=1", "setting dropout cannot be 1; allowed: 0 to below 1"},
      {"steps=1e300", "setting steps cannot be 1e+300; allowed: 1 or more, a whole number"},
      {"clip=-1", "setting clip cannot be -1; allowed: 0 or more"},
      {"bias=1", "setting bias cannot be 1; allowed: true or false"},
      {"schedule=cos", "setting schedule cannot be cos; allowed: constant, linear, cosine, wsd, restarts"},
      {"schedule=5", "setting schedule cannot be 5; allowed: constant, linear, cosine, wsd, restarts"},
  };
  for (const auto& [assignment, message] : cases) {
    CAPTURE(assignment);
    Settings settings;
    CHECK_THROWS_WITH_AS(set(settings, assignment), message, Error);
    CHECK(settings == Settings{});  // nothing half-set
  }
}

TEST_CASE("the ends of each range belong to it or not, as said") {
  Settings settings;
  for (const char* assignment :
       {"layers=1", "layers=1000", "vocabulary=257", "vocabulary=65536", "rate=10", "dropout=0",
        "dropout=0.999", "min_rate=0", "min_rate=1", "top_p=1", "seed=9007199254740992"})
    CHECK_NOTHROW(set(settings, assignment));
  CHECK(settings.seed == 9007199254740992);
  for (const char* assignment : {"layers=1001", "vocabulary=256", "rate=10.1", "dropout=-0.1",
                                 "min_rate=1.01", "top_p=0", "seed=9007199254740993000"})
    CHECK_THROWS_AS(set(settings, assignment), Error);
  CHECK_THROWS_AS(set(settings, "clip", std::numeric_limits<double>::infinity()), Error);
  CHECK_THROWS_AS(set(settings, "clip", std::numeric_limits<double>::quiet_NaN()), Error);
}

TEST_CASE("settings written as JSON read back as they were, all of them") {
  Settings settings;
  settings.layers = 7, settings.rate = 0.1 + 0.2, settings.bias = false, settings.schedule = "linear";
  const auto json = to_json(settings);
  Settings again;
  read_settings(again, json.dump());
  CHECK(again == settings);
  CHECK(json.size() > 30);
  CHECK(json.begin().key() == "family");  // in the order of the table
}

TEST_CASE("a configuration file says where it is wrong") {
  const TemporaryDirectory directory;
  const std::string path = directory / "config.json";
  Settings settings;
  write_file(path, R"({"layers": 6, "wdith": 384})");
  CHECK_THROWS_WITH_AS(read_settings_file(settings, path),
                       (path + ": there is no setting \"wdith\"; did you mean \"width\"?").c_str(), Error);
  for (const char* text :
       {"", "{", "[1]", "4", "{\"layers\": null}", "{\"layers\": [4]}", "{\"rate\": 1e999}"}) {
    CAPTURE(text);
    write_file(path, text);
    CHECK_THROWS_AS(read_settings_file(settings, path), Error);
  }
  CHECK_THROWS_AS(read_settings_file(settings, directory / "none.json"), Error);
  write_file(path, "");
  CHECK_THROWS_WITH_AS(read_settings_file(settings, path), doctest::Contains("is empty; if it is a pipe"),
                       Error);
  // Brackets for which no stack would be deep enough.
  const std::string deep = std::string(300000, '[') + std::string(300000, ']');
  write_file(path, "{\"layers\": " + deep + "}");
  CHECK_THROWS_AS(read_settings_file(settings, path), Error);
  CHECK_THROWS_AS(set(settings, "layers=" + deep), Error);
}

TEST_CASE("preset, file and command line: the later wins") {
  const TemporaryDirectory directory;
  write_file(directory / "config.json", R"({"layers": 5, "heads": 8})");
  const SettingsOptions options{"small", directory / "config.json", {"heads=4", "heads=2"}};
  const Settings settings = options.settings();
  CHECK(settings.width == 384);
  CHECK(settings.layers == 5);
  CHECK(settings.heads == 2);
}

TEST_CASE("every preset is sound, and the ladder is the field's") {
  for (const std::string& name : preset_names()) CHECK_NOTHROW(check_settings(preset(name)));
  const Settings large = preset("large");
  CHECK(large.layers == 12);
  CHECK(large.heads == 12);
  CHECK(large.width == 768);
  CHECK(large.context == 512);
  CHECK(large.vocabulary == 50257);
  CHECK_THROWS_WITH_AS(preset("huge"),
                       "there is no preset \"huge\"; there are tiny, story, nano, small, medium, large",
                       Error);
}

TEST_CASE("settings that contradict each other are refused") {
  CHECK_THROWS_WITH_AS((SettingsOptions{"tiny", "", {"heads=3"}}.settings()),
                       "heads (3) must divide width (128)", Error);
}

TEST_CASE("the edit distance counts letters to insert, delete or replace") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("layer", "layers") == 1);
  CHECK(edit_distance("layers", "layer") == 1);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("rate", "rate") == 0);
}

TEST_CASE("tokens of a step become batches, or are refused") {
  const auto with = [](const std::string& tokens) {
    return SettingsOptions{
        .preset = "tiny", .config = {}, .assignments = {"batch=4", "context=32", "batch_tokens=" + tokens}}
        .settings();
  };
  CHECK(with("0").accumulation == 1);
  CHECK(with("128").accumulation == 1);
  CHECK(with("1024").accumulation == 8);
  for (const char* tokens : {"100", "1000"}) {
    CAPTURE(tokens);
    CHECK_THROWS_AS(with(tokens), Error);
  }
  try {
    with("1000");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("896 and 1024 are") != std::string::npos);
  }
}
