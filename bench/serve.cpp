// Times the server: CLIENTS that ask for a text of TOKENS tokens each, one after the other and then all at
// once, over its socket, from a model with random weights. Prints one line of JSON.
//   bench_serve LAYERS HEADS WIDTH CONTEXT VOCABULARY TOKENS CLIENTS [f32|bf16|int8]
#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "apps/report/machine.h"
#include "apps/run/weights.h"
#include "apps/serve/server.h"
#include "data/bpe_train.h"
#include "data/stories.h"
#include "nn/gpt.h"
#include "tensor/json.h"

using namespace chapbook;

int main(int argc, char** argv) try {
  if (argc != 8 && argc != 9) {
    fmt::print(stderr, "usage: {} LAYERS HEADS WIDTH CONTEXT VOCABULARY TOKENS CLIENTS [f32|bf16|int8]\n",
               argv[0]);
    return 2;
  }
  const auto number = [&](int i) { return std::atoll(argv[i]); };
  const GPTConfig config{.layers = number(1),
                         .heads = number(2),
                         .width = number(3),
                         .context = number(4),
                         .vocabulary = number(5)};
  const int64_t tokens = number(6), clients = number(7);
  std::string stories;
  write_stories(200, 1, [&](std::string_view story) { stories += story; });
  std::vector<ServedModel> models;
  models.push_back({"model", {std::make_unique<GPT>(config), train_bpe(stories, 500)}});
  Random random{1};
  models[0].model.network->initialise(random);
  const std::string weights = choose_weights(*models[0].model.network, argc == 9 ? argv[8] : "f32");
  const int32_t end = models[0].model.tokenizer.end_of_text();

  ModelServer server(std::move(models), {});
  const int port = server.bind("127.0.0.1", 0);
  const std::jthread serving([&](const std::stop_token& over) {
    const std::stop_callback ends(over, [&] { server.stop(); });
    server.serve();
  });
  std::atomic<int64_t> failed = 0;
  const auto ask = [&](int64_t seed) {
    httplib::Client client("127.0.0.1", port);
    client.set_read_timeout(300);
    const Json body = {{"model", "model"},
                       {"prompt", "Once upon a time"},
                       {"seed", seed},
                       {"max_tokens", tokens},
                       {"logit_bias", {{std::to_string(end), -100}}}};
    const auto result = client.Post("/v1/completions", body.dump(), "application/json");
    failed += !result || result->status != 200;
  };
  const auto seconds = [](auto&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  ask(0);  // warms up
  const double alone = seconds([&] {
    for (int64_t i = 0; i < clients; ++i) ask(i);
  });
  const double together = seconds([&] {
    std::vector<std::jthread> all;
    for (int64_t i = 0; i < clients; ++i) all.emplace_back(ask, i);
  });
  check(failed == 0, "{} requests failed", failed.load());
  const double all = static_cast<double>(tokens * clients);
  const Json result = {
      {"machine", machine_json()},
      {"model", {config.layers, config.heads, config.width, config.context, config.vocabulary}},
      {"weights", weights},
      {"tokens", tokens},
      {"clients", clients},
      {"one_after_the_other_tokens_per_second", all / alone},
      {"together_tokens_per_second", all / together},
      {"ratio", alone / together}};
  fmt::print("{}\n", result.dump());
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 2;
}
