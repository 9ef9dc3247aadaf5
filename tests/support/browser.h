// A real browser without a window, driven as a person would: Debian's chromium through chromium-driver, which
// speaks WebDriver (w3.org/TR/webdriver2) over HTTP. Only for tests.
#pragma once
#include <httplib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>

namespace chapbook {

class Browser {
 public:
  using Json = nlohmann::json;

  static bool there() {
    return ::access("/usr/bin/chromedriver", X_OK) == 0 && ::access("/usr/bin/chromium", X_OK) == 0;
  }

  Browser(int width, int height, const std::string& program = "/usr/bin/chromium") : Browser(Driver{}) {
    std::string said;
    for (char letter; ::read(output_, &letter, 1) == 1;) {
      said += letter;
      const size_t at = said.rfind("on port ");  // first it says 0
      if (letter == '\n' && at != said.npos) port_ = std::stoi(said.substr(at + 8));
      if (port_ > 0) break;
    }
    std::thread([pipe = output_] {  // a full pipe would hold it up
      char buffer[4096];
      while (::read(pipe, buffer, sizeof buffer) > 0) {
      }
      ::close(pipe);
    })
        .detach();
    if (port_ == 0) throw std::runtime_error("chromedriver did not start: " + said);
    const Json options = {
        {"binary", program},
        {"args",
         {"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
          "--force-device-scale-factor=1", "--disable-background-networking", "--no-first-run",
          "--window-size=" + std::to_string(width) + "," + std::to_string(height)}}};
    const Json session = call("POST", "/session",
                              {{"capabilities",
                                {{"alwaysMatch",
                                  {{"browserName", "chrome"},
                                   {"goog:chromeOptions", options},
                                   {"goog:loggingPrefs", {{"browser", "ALL"}, {"performance", "ALL"}}}}}}}});
    session_ = "/session/" + session["sessionId"].get<std::string>();
  }
  ~Browser() {
    try {
      if (!session_.empty()) call("DELETE", session_, {});
    } catch (...) {
    }
    ::kill(-driver_, SIGKILL);
    ::waitpid(driver_, nullptr, 0);
  }
  Browser(const Browser&) = delete;

  void open(const std::string& url) { call("POST", session_ + "/url", {{"url", url}}); }
  // Runs JavaScript; `return ...` comes back.
  Json run(const std::string& script, Json arguments = Json::array()) {
    return call("POST", session_ + "/execute/sync", {{"script", script}, {"args", std::move(arguments)}});
  }
  // Waits until a JavaScript expression is true; whether it came to be.
  bool becomes(const std::string& expression, double seconds = 60) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < end) {
      if (run("return !!(" + expression + ")") == true) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  // Mouse and keyboard as real events, on the element a CSS selector finds.
  void point_at(const std::string& selector) { mouse(selector, false); }
  void click(const std::string& selector) { mouse(selector, true); }
  void type(const std::string& selector, const std::string& text) {
    call("POST", session_ + "/element/" + element(selector) + "/value", {{"text", text}});
  }
  void key(const std::string& key) {
    call("POST", session_ + "/actions",
         {{"actions",
           {{{"type", "key"},
             {"id", "keys"},
             {"actions", {{{"type", "keyDown"}, {"value", key}}, {{"type", "keyUp"}, {"value", key}}}}}}}});
  }
  void window(int width, int height) {
    devtools("Emulation.setDeviceMetricsOverride",
             {{"width", width}, {"height", height}, {"deviceScaleFactor", 1}, {"mobile", false}});
  }
  void dark(bool yes) {
    devtools("Emulation.setEmulatedMedia",
             {{"features", {{{"name", "prefers-color-scheme"}, {"value", yes ? "dark" : "light"}}}}});
  }
  Json devtools(const std::string& command, const Json& parameters) {
    return call("POST", session_ + "/goog/cdp/execute", {{"cmd", command}, {"params", parameters}});
  }
  std::string screenshot() {  // a PNG, in base64
    return call("GET", session_ + "/screenshot", {}).get<std::string>();
  }
  // What the browser has written down since this was last asked: "browser" is the console, "performance" what
  // went over the network.
  Json log(const std::string& kind) { return call("POST", session_ + "/se/log", {{"type", kind}}); }

 private:
  // Starts chromedriver alone. What is made by it is whole, so that the destructor ends chromedriver also
  // where it is the browser that cannot be had.
  struct Driver {};
  explicit Browser(Driver) {
    int pipes[2];
    if (::pipe(pipes) != 0) throw std::runtime_error("no pipe");
    output_ = pipes[0];
    driver_ = ::fork();
    if (driver_ == 0) {
      ::setpgid(0, 0);  // so that its browser can be ended with it
      ::dup2(pipes[1], 1);
      ::dup2(pipes[1], 2);
      ::execl("/usr/bin/chromedriver", "chromedriver", "--port=0", nullptr);
      ::_exit(127);
    }
    ::setpgid(driver_, driver_);  // whoever of both comes first
    ::close(pipes[1]);
  }
  std::string element(const std::string& selector) {
    const Json found = call("POST", session_ + "/element", {{"using", "css selector"}, {"value", selector}});
    return found.begin().value().get<std::string>();
  }
  void mouse(const std::string& selector, bool press) {
    run("document.querySelector(arguments[0]).scrollIntoView({block: 'nearest'})", {selector});
    Json actions = {{{"type", "pointerMove"},
                     {"duration", 20},
                     {"x", 0},
                     {"y", 0},
                     {"origin", {{"element-6066-11e4-a52e-4f735466cecf", element(selector)}}}}};
    if (press) {
      actions.push_back({{"type", "pointerDown"}, {"button", 0}});
      actions.push_back({{"type", "pointerUp"}, {"button", 0}});
    }
    call("POST", session_ + "/actions",
         {{"actions", {{{"type", "pointer"}, {"id", "mouse"}, {"actions", actions}}}}});
  }
  Json call(const std::string& method, const std::string& path, const Json& body) {
    httplib::Client client("127.0.0.1", port_);
    client.set_read_timeout(120);
    const auto result = method == "POST"
                            ? client.Post(path, body.is_null() ? "{}" : body.dump(), "application/json")
                        : method == "GET" ? client.Get(path)
                                          : client.Delete(path);
    if (!result) throw std::runtime_error("chromedriver does not answer");
    const Json value = Json::parse(result->body)["value"];
    if (result->status != 200) throw std::runtime_error(value["message"].get<std::string>().substr(0, 300));
    return value;
  }

  pid_t driver_ = 0;
  int output_ = -1, port_ = 0;
  std::string session_;
};

}  // namespace chapbook
