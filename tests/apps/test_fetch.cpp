// Texts by name and by address, as commands take them.
#include <doctest/doctest.h>

#include <filesystem>

#include "apps/run/fetch.h"
#include "apps/run/run.h"
#include "data/sha256.h"
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
  const std::string place = "data-cache/cats.txt-" + sha256(server.url("/cats.txt")).substr(0, 8);
  {  // while another program prepares it
    make_directory(directory / place);
    const std::string path = directory / (place + "/tokens-300.lock");
    const os::File lock = os::File::to_lock(path, "it");
    CHECK_THROWS_WITH_AS(os::File::to_lock(path, "it"), doctest::Contains("it is in use by process"), Error);
    const Outcome outcome = run_program(train, "cd " + directory.path + ";");
    CHECK(outcome.code == 2);
    CHECK(outcome.output.find(place + "' is in use by process ") != std::string::npos);
    CHECK(server.requests().empty());
  }
  for (int run = 0; run < 2; ++run) {
    const Outcome outcome = run_program(train, "cd " + directory.path + ";");
    CAPTURE(outcome.output);
    CHECK(outcome.code == 0);
    CHECK(server.requests().size() == 1);
  }
  CHECK(read_file(directory / (place + "/cats.txt")) == text);
  CHECK(fs::exists(directory / (place + "/tokens-300/train.bin")));
  CHECK(!fs::exists(directory / "runs/nano/data"));  // no copy in each run

  const Outcome prepared = run_program(
      "prepare " + server.url("/cats.txt") + " --vocabulary 300 --out tokens", "cd " + directory.path + ";");
  CHECK(prepared.code == 0);
  CHECK(server.requests().size() == 1);
  const Outcome got = run_program("download " + server.url("/cats.txt"), "cd " + directory.path + ";");
  CHECK(got.output.find("was there") != std::string::npos);
}

TEST_CASE("two addresses that end in one name are two texts, and a share to set aside counts") {
  const TemporaryDirectory directory;
  const HttpServer server([&](const HttpRequest& request) {
    return serve_file(request, stories(request.path == "/cats/text.txt" ? 200 : 300));
  });
  const auto stories_of = [&](const std::string& path, const std::string& more, const std::string& run) {
    const Outcome outcome = run_program(
        "train --data " + server.url(path) + " --preset nano --set vocabulary=300 --set layers=1" +
            " --set width=16 --set context=16 --set steps=1 --set eval_batches=1 --set batch=2 " + more +
            " --run " + run,
        "cd " + directory.path + ";");
    CHECK_MESSAGE(outcome.code == 0, outcome.output);
    const std::string data = load_last(directory / run).state.data;
    const TrainingData in = open_training_data(fs::path(directory / run) / data);
    return std::pair(in.train.info().documents, in.valid.info().documents);
  };
  const auto [cats, few_cats] = stories_of("/cats/text.txt", "", "cats");
  const auto [dogs, few_dogs] = stories_of("/dogs/text.txt", "", "dogs");
  CHECK(cats + few_cats == 200);
  CHECK(dogs + few_dogs == 300);
  const auto [fewer, more_dogs] = stories_of("/dogs/text.txt", "--valid-share 0.5", "half");
  CHECK(fewer + more_dogs == 300);
  CHECK(more_dogs > 100);
  CHECK(stories_of("/dogs/text.txt", "", "again").second == few_dogs);
  CHECK(server.requests().size() == 2);
  // Where it cannot count it is refused.
  for (const std::string data : {"tinystories", "half/data"}) {
    const Outcome outcome =
        run_program("train --valid-share 0.1 --data " + data, "cd " + directory.path + ";");
    CHECK(outcome.code == 2);
    CHECK_MESSAGE(outcome.output.find("validation part") != std::string::npos, outcome.output);
  }
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
