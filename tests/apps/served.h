// A server in this process, with a small model of random weights: what the tests of serve talk to.
#pragma once
#include <httplib.h>

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

}  // namespace chapbook
