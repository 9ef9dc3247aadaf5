// A server with a small model of random weights, in this process or as the program: what the tests of serve
// talk to.
#pragma once
#include <doctest/doctest.h>
#include <httplib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

#include "apps/run/generator.h"
#include "apps/serve/server.h"
#include "data/bpe_train.h"
#include "data/stories.h"
#include "nn/gpt.h"

namespace chapbook {

struct Response {
  int status = -1;  // no answer
  std::string body;
  Json json() const { return Json::parse(body, nullptr, false); }
};

inline Response get(int port, const std::string& path, httplib::Headers headers = {}) {
  httplib::Client client("127.0.0.1", port);
  client.set_read_timeout(60);  // on a machine that others use too
  const auto result = client.Get(path, headers);
  return result ? Response{result->status, result->body} : Response{};
}

inline Response post(int port, const std::string& body, const std::string& path = "/v1/completions",
                     httplib::Headers headers = {}) {
  httplib::Client client("127.0.0.1", port);
  client.set_read_timeout(60);
  const auto result = client.Post(path, headers, body, "application/json");
  return result ? Response{result->status, result->body} : Response{};
}

// The data of each event of a stream.
inline std::vector<std::string> events(const std::string& body) {
  std::vector<std::string> result;
  for (size_t at = 0, end; (end = body.find("\n\n", at)) != body.npos; at = end + 2) {
    CHECK(body.substr(at, 6) == "data: ");
    result.push_back(body.substr(at + 6, end - at - 6));
  }
  return result;
}

// How a request of these tests begins.
inline const std::string story = R"("model": "lively", "prompt": "Once upon a time", "seed": 5, )";

// Weights four times as large as at the start of training: scores that differ.
inline Model lively_model(const GPTConfig& config = {
                              .layers = 2, .heads = 2, .width = 64, .context = 64, .vocabulary = 400}) {
  std::string text;
  write_stories(80, 1, [&](std::string_view story) { text += story; });
  Model model{std::make_unique<GPT>(config), train_bpe(text, 400)};
  Random random{1};
  model.network->initialise(random);
  for (const auto& [name, tensor] : state(*model.network))
    model.network->backend().copy((tensor * 4.0).view(), tensor.view());
  return model;
}

struct Served {
  ModelServer server;
  int port;
  std::thread thread;

  static std::vector<ServedModel> models() {
    std::vector<ServedModel> models;
    models.push_back({"lively", lively_model()});
    models.push_back(
        {"other", lively_model({.layers = 1, .heads = 2, .width = 32, .context = 32, .vocabulary = 400})});
    return models;
  }
  explicit Served(const ServeLimits& limits = {}, std::vector<ServedModel> some = models())
      : server(std::move(some), limits),
        port(server.bind("127.0.0.1", 0)),
        thread([this] { server.serve(); }) {}
  ~Served() {
    server.stop();
    thread.join();
  }
};

// `./chapbook serve` with a model of a directory, on a port of the system's choice.
class ServedProgram {
 public:
  explicit ServedProgram(const std::string& directory, std::vector<std::string> options = {}) {
    int pipes[2];
    REQUIRE(::pipe(pipes) == 0);
    std::vector<std::string> words = {"chapbook", "serve", directory, "--port", "0"};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(pipes[1], 1);
      ::close(pipes[0]);
      ::execv(CHAPBOOK_PROGRAM, arguments.data());
      ::_exit(127);
    }
    ::close(pipes[1]);
    std::string line;
    for (char letter; ::read(pipes[0], &letter, 1) == 1 && letter != '\n';) line += letter;
    ::close(pipes[0]);
    REQUIRE(line.starts_with("http://localhost:"));
    port_ = std::stoi(line.substr(17));
  }
  ~ServedProgram() { end(); }
  ServedProgram(const ServedProgram&) = delete;

  int port() const { return port_; }
  pid_t process() const { return process_; }
  int end() {  // by Ctrl-C; its exit code, or -1
    if (process_ < 0) return -1;
    int status = 0;
    ::kill(process_, SIGINT);
    ::waitpid(process_, &status, 0);
    process_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t process_ = -1;
  int port_ = 0;
};

}  // namespace chapbook
