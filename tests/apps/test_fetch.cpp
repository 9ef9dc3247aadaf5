// Texts by name and by address, as commands take them.
#include <doctest/doctest.h>

#include <filesystem>

#include "apps/run/fetch.h"
#include "data/text_sets.h"
#include "program.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tests/support/http_server.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

static std::string stories(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += "Once upon a time there were " + std::to_string(i) + " cats and a dog.\n<|endoftext|>\n";
  return text;
}

TEST_CASE("a text behind an address: fetched once, prepared once, trained on twice") {
  const TemporaryDirectory directory;
  const std::string text = stories(300);
  const HttpServer server([&](const HttpRequest& request) { return serve_file(request, text); });
  const std::string train =
      "train --data " + server.url("/cats.txt") +
      " --preset nano --set vocabulary=300 --set layers=1 --set width=16 --set context=16"
      " --set steps=2 --set eval_batches=1 --set batch=2";
  {  // while another program prepares it
    make_directory(directory / "data-cache/cats.txt.tokens");
    const std::string path = directory / "data-cache/cats.txt.tokens/tokens-300.lock";
    const os::File lock = os::File::to_lock(path, "it");
    CHECK_THROWS_WITH_AS(os::File::to_lock(path, "it"), doctest::Contains("it is in use by process"), Error);
    const Outcome outcome = run_program(train, "cd " + directory.path + ";");
    CHECK(outcome.code == 2);
    CHECK(outcome.output.find("data-cache/cats.txt.tokens' is in use by process ") != std::string::npos);
    CHECK(server.requests().empty());
  }
  for (int run = 0; run < 2; ++run) {
    const Outcome outcome = run_program(train, "cd " + directory.path + ";");
    CAPTURE(outcome.output);
    CHECK(outcome.code == 0);
    CHECK(server.requests().size() == 1);
  }
  CHECK(read_file(directory / "data-cache/cats.txt") == text);
  CHECK(fs::exists(directory / "data-cache/cats.txt.tokens/tokens-300/train.bin"));
  CHECK(!fs::exists(directory / "runs/nano/data"));  // no copy in each run

  const Outcome prepared = run_program(
      "prepare " + server.url("/cats.txt") + " --vocabulary 300 --out tokens", "cd " + directory.path + ";");
  CHECK(prepared.code == 0);
  CHECK(server.requests().size() == 1);
  const Outcome got = run_program("download " + server.url("/cats.txt"), "cd " + directory.path + ";");
  CHECK(got.output.find("was there") != std::string::npos);
}

TEST_CASE("a mirror that has another file, or none: one line, and nothing is used") {
  const TemporaryDirectory directory;
  const HttpServer server([&](const HttpRequest& request) { return serve_file(request, stories(3)); });
  write_file(directory / "input.txt", stories(3));
  const auto download = [&](const std::string& more) {
    const Outcome outcome = run_program("download shakespeare " + more, "cd " + directory.path + ";");
    CHECK(outcome.code == 2);
    CHECK(outcome.output.starts_with("chapbook: "));
    return outcome.output;
  };
  CHECK(download("--mirror " + server.url("/plays")).find("but 1115394 are expected") != std::string::npos);
  CHECK(server.requests().at(0).path == "/plays/input.txt");
  CHECK(download("--mirror .").find("should have 1115394") != std::string::npos);
  CHECK(download("--mirror nowhere").find("nowhere/input.txt is not there") != std::string::npos);
  CHECK(!fs::exists(directory / "data-cache/shakespeare/input.txt"));
}

TEST_CASE("download without a name lists the sets with size and licence") {
  const Outcome list = run_program("download");
  CHECK(list.code == 0);
  for (const TextSet& set : text_sets()) {
    CHECK(list.output.find(set.name) != std::string::npos);
    CHECK(list.output.find(set.licence) != std::string::npos);
  }
}
