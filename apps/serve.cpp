// `./chapbook serve`: models on a page and behind an API, on this machine.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "apps/command.h"
#include "apps/listen_options.h"
#include "apps/serve/server.h"
#include "apps/weights_option.h"

namespace chapbook {

static std::atomic<bool> ended;

// runs/tiny is called tiny; a second one of that name is called by the path it is given by.
static std::string served_name(const std::string& path, const std::vector<ServedModel>& others) {
  const std::string name = std::filesystem::absolute(path).lexically_normal().string();
  const std::string last =
      std::filesystem::path(name.ends_with('/') ? name.substr(0, name.size() - 1) : name).filename();
  const auto taken = [&](const std::string& name) {
    return std::ranges::find(others, name, &ServedModel::name) != others.end();
  };
  if (!taken(last)) return last;
  check(!taken(path), "two models would be called '{}'; give one of them by another path", path);
  return path;
}

void add_serve(CLI::App& program) {
  struct Options {
    std::vector<std::string> runs;
    ServeLimits limits;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command = *program.add_subcommand("serve", "models on a page, and behind an OpenAI-style API");
  command.add_option("RUN", options->runs, "runs (their best models), or model directories")->required();
  const auto listen = add_listen_options(command);
  const auto limit = [&](const char* name, auto& value, const char* help) {
    return command.add_option(name, value, help)
        ->check(whole_number(1))
        ->capture_default_str()
        ->group("Limits");
  };
  limit("--max-tokens", options->limits.completion.tokens, "new tokens of a text");
  limit("--max-texts", options->limits.completion.texts, "texts of a request: prompts times best_of");
  limit("--max-body", options->limits.http.body, "bytes of a request's body");
  limit("--max-seconds", options->limits.engine.seconds, "a request may take, waiting included")
      ->check(whole_number(1, 1'000'000'000));
  limit("--max-waiting", options->limits.engine.waiting, "requests that wait; the next is told 429");
  limit("--together", options->limits.engine.together, "texts that are continued at once");
  const auto weights = add_weights_option(command);
  command.footer(
      "Examples: ./chapbook serve runs/tiny\n"
      "          ./chapbook serve runs/tiny runs/story --port 9000\n"
      "          curl http://localhost:8080/v1/completions -H 'Content-Type: application/json' \\\n"
      "            -d '{\"model\": \"tiny\", \"prompt\": \"Once upon a time\", \"max_tokens\": 50}'");
  command.callback([options, listen, weights] {
    std::vector<ServedModel> models;
    for (const std::string& run : options->runs)
      models.push_back({served_name(run, models), weights->load(run)});
    ModelServer server(std::move(models), options->limits, listen->names);
    const int port = server.bind(listen->host, listen->port);
    // Ctrl-C is seen by a thread, which may do what a signal's handler may not.
    ended = false;
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { ended = true; });
    const std::jthread waits([&](const std::stop_token& over) {
      while (!ended && !over.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      server.stop();
    });
    fmt::print("{}\n", listen->address(port));
    if (listen->for_others())
      fmt::print(stderr, "chapbook: whoever can reach this machine can use it; there are no passwords\n");
    fmt::print(stderr, "chapbook: Ctrl-C ends it\n");
    std::fflush(stdout);
    server.serve();
  });
}

}  // namespace chapbook
