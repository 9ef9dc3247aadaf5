// The page of a run: what it says of a run's files, how often it looks at them, whom it answers, and all of
// it in a browser.
#include <doctest/doctest.h>

#include <filesystem>
#include <memory>

#include "apps/run/metrics.h"
#include "apps/run/settings.h"
#include "apps/serve/dashboard.h"
#include "page_checks.h"
#include "served.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

namespace {

// What a run writes, without one.
class WrittenRun {
 public:
  explicit WrittenRun(const std::string& directory) : directory_(directory) {
    std::filesystem::create_directories(directory);
    Settings settings;
    settings.steps = 30;
    write_file(directory + "/settings.json", to_json(settings).dump());
    log_.emplace(directory, training_columns);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) {
      ++step_;
      log_->write(step_, {{"tokens", step_ * 96.0},
                          {"loss", 3 + 1.0 / step_},
                          {"rate", 1e-3},
                          {"gradient_norm", 1.5},
                          {"tokens_per_second", 1234},
                          {"seconds", step_ * 60.0},
                          {"peak_bytes", 25e6}});
    }
  }
  void tell(const std::string& text) {
    samples_ += to_text(Json{{"step", step_}, {"text", text}}) + "\n";
    write_file(directory_ + "/samples.jsonl", samples_);
  }

 private:
  std::string directory_, samples_;
  std::optional<MetricsLog> log_;
  int step_ = 0;
};

std::string fact(const Json& run, const std::string& name) {
  for (const Json& each : run["facts"])
    if (each[0] == name) return each[1];
  return "none";
}

}  // namespace

TEST_CASE("dashboard: what it says of a run, and how often it looks") {
  const TemporaryDirectory folder;
  Dashboard dashboard("127.0.0.1", 0);
  const int port = dashboard.port();
  CHECK(get(port, "/run").json() == Json::object());  // there is no run yet
  WrittenRun run(folder / "mine");
  dashboard.show(folder / "mine");
  CHECK(get(port, "/run").json()["step"] == 0);
  run.steps(20);
  run.tell("A <b>cat</b>.");
  CHECK(get(port, "/run").json()["step"] == 0);  // looked at a moment ago
  const auto said = [&](const char* path) {
    Json json = Json::object();
    for (int i = 0; i < 600 && json.value("step", 0) != 20; ++i)
      ::usleep(100000), json = get(port, path).json();
    return json;
  };
  const Json wide = said("/run"), narrow = said("/run?narrow");
  CHECK(wide["name"] == "mine");
  CHECK(wide["finished"] == false);
  CHECK(wide["steps"] == 30);
  CHECK(fact(wide, "state") == "at step 20 of 30");
  CHECK(fact(wide, "memory") == "25 MB of tensors at most");
  CHECK(fact(wide, "speed") == "1.23k tokens a second");
  CHECK(fact(wide, "left") == "10:00 min");  // ten steps of a minute
  CHECK(wide["samples"] == Json::parse(R"([{"step": 20, "text": "A <b>cat</b>."}])"));
  CHECK(wide["curves"].size() == 4);
  CHECK(wide["curves"][0]["svg"].get<std::string>().starts_with("<svg xmlns"));
  CHECK(wide["curves"][0]["svg"].get<std::string>().find("width=\"560\"") != std::string::npos);
  CHECK(narrow["curves"][0]["svg"].get<std::string>().find("width=\"360\"") != std::string::npos);
  write_file(folder / "mine/results.json", "{}");
  for (int i = 0; i < 600 && get(port, "/run").json()["finished"] != true; ++i) ::usleep(100000);
  CHECK(fact(get(port, "/run").json(), "left") == "none");
}

TEST_CASE("dashboard: who is refused, and a port that is taken") {
  const TemporaryDirectory folder;
  Dashboard dashboard("127.0.0.1", 0, {"mill"});
  const int port = dashboard.port();
  CHECK(get(port, "/").status == 200);
  CHECK(get(port, "/", {{"Host", "evil.example"}}).status == 403);
  CHECK(get(port, "/run", {{"Host", "evil.example"}}).status == 403);
  CHECK(get(port, "/run", {{"Host", "mill:80"}}).status == 200);
  CHECK(get(port, "/run", {{"Host", "192.168.1.9:8080"}}).status == 200);  // from a phone, by address
  for (const char* path : {"/settings.json", "/../../etc/passwd", "/run/..", "/v1/models"})
    CHECK(get(port, path).status == 404);
  CHECK(httplib::Client("127.0.0.1", port).Post("/run", "{}", "application/json")->status == 404);
  CHECK(httplib::Client("127.0.0.1", port).Post("/run", "x", "text/plain")->status == 415);
  std::string said;
  try {
    Dashboard another("127.0.0.1", port);
  } catch (const Error& error) {
    said = error.what();
  }
  CHECK(said == fmt::format("cannot listen on 127.0.0.1 port {}: Address already in use", port));
  // A log that cannot be read is said, and no reason to end.
  WrittenRun run(folder / "broken");
  write_file(folder / "broken/settings.json", "{");
  dashboard.show(folder / "broken");
  const Response broken = get(port, "/run");
  CHECK(broken.status == 503);
  CHECK(broken.json()["error"]["message"].get<std::string>().find("settings.json") != std::string::npos);
}

TEST_CASE("dashboard: in a browser") {
  if (!browser_is_there()) return;
  const TemporaryDirectory folder;
  auto dashboard = std::make_unique<Dashboard>("127.0.0.1", 0);
  const std::string base = fmt::format("http://localhost:{}/", dashboard->port());
  Browser browser(1280, 860);
  browser.window(1280, 860);
  browser.open(base);
  const auto text = [](const char* id) {
    return fmt::format("document.querySelector('#{}').textContent", id);
  };
  REQUIRE(browser.becomes(text("status") + " === 'Preparing the text'"));
  WrittenRun run(folder / "mine");
  run.steps(15);
  run.tell("Once upon a time there was a \"</script>\" & a <b>cat</b>.");
  dashboard->show(folder / "mine");
  REQUIRE(browser.becomes("document.querySelectorAll('#curves svg').length === 4"));
  CHECK(browser.run("return " + text("name")) == "mine");
  CHECK(browser.run("return " + text("status")) == "Training");
  CHECK(browser.run("return document.title") == "50% mine");
  CHECK(browser.run("return document.querySelector('#done').value") == 15);
  CHECK(browser.run("return document.querySelectorAll('#curves svg[role=img][aria-label]').length") == 4);
  CHECK(browser.run("return document.querySelector('#samples p').textContent") ==
        "Once upon a time there was a \"</script>\" & a <b>cat</b>.");
  check_for_everyone(browser);
  save_picture(browser, "dashboard");
  // It follows, and a pause is one.
  run.steps(3);
  REQUIRE(browser.becomes(text("facts") + ".includes('step 18 of 30')"));
  browser.run("document.querySelector('#pause').focus()");
  browser.key(" ");
  CHECK(browser.run("return document.querySelector('#pause').getAttribute('aria-pressed')") == "true");
  run.steps(1);
  CHECK(!browser.becomes(text("facts") + ".includes('step 19 of 30')", 4));
  browser.key(" ");
  REQUIRE(browser.becomes(text("facts") + ".includes('step 19 of 30')"));
  browser.window(390, 780);
  browser.dark(true);
  REQUIRE(browser.becomes("document.querySelector('#curves svg').getAttribute('width') === '360'"));
  // As large as it is drawn, so that its numbers can be read.
  CHECK(browser.run("return document.querySelector('#curves svg').clientWidth >= 350") == true);
  check_for_everyone(browser);
  save_picture(browser, "dashboard_narrow");
  check_quiet(browser, base);
  // What is there stays when the run ends, which is said.
  run.steps(11);
  REQUIRE(browser.becomes(text("status") + " === 'Evaluating'"));
  write_file(folder / "mine/results.json", "{}");
  REQUIRE(browser.becomes(text("status") + " === 'Finished'"));
  dashboard.reset();
  REQUIRE(browser.becomes(text("alert") + ".includes('mine/report.html')"));
  CHECK(browser.run("return document.querySelectorAll('#curves svg').length") == 4);
}
