// Downloads from a server that breaks off, lies, refuses and dawdles: what is there afterwards is whole, or
// not there.
#include <doctest/doctest.h>

#include <filesystem>

#include "data/download.h"
#include "data/sha256.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tests/support/http_server.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

namespace {

// Some hundred kilobytes in which no place looks like another.
const std::string& story() {
  static const std::string text = [] {
    std::string text;
    for (int i = 0; i < 40'000; ++i) text += std::to_string(i * 7919) + (i % 9 ? " " : ".\n");
    return text;
  }();
  return text;
}

DownloadOptions quick() {
  DownloadOptions options;
  options.tries = 3;
  options.first_wait = 0.01;
  options.stall_seconds = 1;
  return options;
}

// The error's line; "" where there was none.
std::string error_of(const RemoteFile& file, const std::string& path,
                     const DownloadOptions& options = quick()) {
  try {
    download(file, path, options);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

RemoteFile known(const std::string& url) {
  return {url, static_cast<int64_t>(story().size()), sha256(story())};
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

bool empty_directory(const std::string& path) { return fs::is_empty(path); }

}  // namespace

TEST_CASE("SHA-256: the examples of FIPS 180 and NIST, in one piece and byte by byte") {
  const struct {
    std::string text, hash;
  } examples[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const auto& [text, hash] : examples) {
    CHECK(sha256(text) == hash);
    Sha256 slow;
    for (const char byte : text) slow.add({&byte, 1});
    CHECK(slow.hex() == hash);
  }
  for (size_t size = 50; size < 140; ++size) {  // every place where the padding can fall, cut in two anywhere
    const std::string text(size, 'x');
    Sha256 parts;
    parts.add(std::string_view(text).substr(0, size / 3));
    parts.add(std::string_view(text).substr(size / 3));
    CHECK(parts.hex() == sha256(text));
  }
}

TEST_CASE("the table of texts: addresses of files, hashes that are hashes, a licence") {
  for (const TextSet& set : text_sets()) {
    CAPTURE(set.name);
    CHECK(text_set(set.name) == &set);
    CHECK(!set.licence.empty());
    for (const RemoteFile* file : {&set.train, &set.valid}) {
      if (file->url.empty()) continue;
      CHECK(file->url.starts_with("https://"));
      CHECK(file->name().ends_with(".txt"));
      CHECK((file->sha256.empty() || file->sha256.size() == 64));
    }
  }
  CHECK(text_set("tinystorys") == nullptr);
  CHECK(RemoteFile{"https://a/b/c.txt?download=true#x"}.name() == "c.txt");
  for (const char* wrong : {"https://host", "https://host/", "c.txt", "https://host/a/"})
    CHECK_THROWS_AS(RemoteFile{wrong}.name(), Error);
}

TEST_CASE("a file is fetched, checked and recorded, and not fetched twice") {
  const TemporaryDirectory directory;
  const HttpServer server([](const HttpRequest& request) { return serve_file(request, story()); });
  const std::string path = directory / "new/story.txt";
  int64_t seen = 0;
  DownloadOptions options = quick();
  options.progress = [&](const char*, int64_t done, int64_t) { seen = std::max(seen, done); };
  const Downloaded got = download(known(server.url("/story.txt")), path, options);
  CHECK(read_file(path) == story());
  CHECK(got.sha256 == sha256(story()));
  CHECK(got.checked_with == "its known hash");
  CHECK(!got.was_there);
  CHECK(seen == static_cast<int64_t>(story().size()));
  CHECK(!fs::exists(path + ".part"));
  CHECK(!fs::exists(path + ".part.etag"));
  CHECK(has(read_file(path + ".json"), got.sha256));
  CHECK(download(known(server.url("/story.txt")), path, quick()).was_there);
  CHECK(server.requests().size() == 1);

  // The same file, now of another size or hash than it should be, is never used.
  write_file(path, story() + "x");
  CHECK(has(error_of(known(server.url("/story.txt")), path), "it is another file, or not all of it"));
  std::string other = story();
  other[1000] ^= 1;
  write_file(path, other);
  fs::remove(path + ".json");
  CHECK(has(error_of(known(server.url("/story.txt")), path), "has the SHA-256"));
}

TEST_CASE("a transfer that breaks off goes on where it was") {
  const TemporaryDirectory directory;
  for (const bool known_hash : {true, false}) {
    const std::string path = directory / (known_hash ? "a.txt" : "b.txt");
    const HttpServer server([&](const HttpRequest& request) {
      HttpReply reply = serve_file(request, story());
      reply.send = 100'000;  // of 300,000: three answers are needed
      return reply;
    });
    RemoteFile file{server.url("/story.txt")};
    if (known_hash) file = known(file.url);
    CHECK(error_of(file, path) == "");
    CHECK(read_file(path) == story());
    const auto requests = server.requests();
    REQUIRE(requests.size() == (story().size() + 99'999) / 100'000);
    CHECK(requests.back().headers.at("range") ==
          "bytes=" + std::to_string(100'000 * (requests.size() - 1)) + "-");
  }
}

TEST_CASE("the part outlives the program, and is given up where the file has changed") {
  const TemporaryDirectory directory;
  const std::string path = directory / "story.txt";
  bool breaks = true;
  std::string text = story(), etag = "\"v1\"";
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = serve_file(request, text, etag);
    if (breaks) reply.send = request.headers.contains("range") ? 0 : 50'000;
    return reply;
  });
  const RemoteFile file{server.url("/story.txt")};
  CHECK(has(error_of(file, path), "what came is kept, and the same command goes on from there"));
  CHECK(!fs::exists(path));
  CHECK(read_file(path + ".part") == story().substr(0, 50'000));
  breaks = false;
  SUBCASE("the same file") {
    CHECK(error_of(file, path) == "");
    CHECK(server.requests().back().headers.contains("range"));
  }
  SUBCASE("another one") {
    text = "a new story, " + story();
    etag = "\"v2\"";
    CHECK(error_of(file, path) == "");
  }
  CHECK(read_file(path) == text);
}

TEST_CASE("a server that knows no ranges sends all of it again") {
  const TemporaryDirectory directory;
  const std::string path = directory / "story.txt";
  int answers = 0;
  const HttpServer server([&](const HttpRequest&) {
    HttpReply reply{.body = story()};
    if (++answers == 1) reply.send = 100'000;
    return reply;
  });
  CHECK(error_of(known(server.url("/story.txt")), path) == "");
  CHECK(read_file(path) == story());
  CHECK(answers == 2);

  SUBCASE("and if it always breaks off at the same place, there is an end") {
    const HttpServer bad([&](const HttpRequest&) { return HttpReply{.body = story(), .send = 100'000}; });
    CHECK(has(error_of(known(bad.url("/story.txt")), directory / "bad.txt"), "tried 3 times"));
    CHECK(bad.requests().size() == 3);
    CHECK(!fs::exists(directory / "bad.txt"));
  }
}

TEST_CASE("servers that lie: one line, and nothing is left that could be used") {
  const auto size = static_cast<int64_t>(story().size());
  std::string changed = story();
  changed[size / 2] ^= 1;
  const struct {
    const char* what;
    HttpReply reply;
    const char* says;
    bool known = true;
  } cases[] = {
      {"another file of the same size", {.body = changed}, "has the SHA-256"},
      {"a longer file", {.body = story() + "more"}, "are expected: it is another file"},
      {"a longer file, its length not said", {.body = story() + "more", .length = -2}, "sends more than the"},
      {"a shorter file, its length not said", {.body = story().substr(9), .length = -2}, "should have"},
      {"a length too small", {.body = story(), .length = size - 5}, "are expected: it is another file"},
      {"a length larger than any disk",
       {.body = story(), .length = int64_t{1} << 60},
       "but the disk of",
       false},
      {"a web page",
       {.headers = {"Content-Type: text/html; charset=utf-8"}, .body = "<html>log in"},
       "a web page",
       false},
      {"a hash that is not the file's",
       {.headers = {"X-Linked-ETag: \"" + sha256("other") + "\""}, .body = story()},
       "has the SHA-256",
       false},
      {"a range that was not asked for",
       {.status = 206, .headers = {"Content-Range: bytes 7-99/100"}, .body = story()},
       "another part of the file"},
      {"a page that moved to itself", {.status = 302, .headers = {"Location: /story.txt"}}, "redirects"},
      {"a redirect to a file of this machine",
       {.status = 302, .headers = {"Location: file:///etc/passwd"}},
       "not supported"},
      {"401", {.status = 401, .body = "no"}, "the server does not give it (401)"},
      {"403", {.status = 403, .body = "no"}, "the server does not give it (403)"},
      {"404", {.status = 404, .body = "no such"}, "the server has no such file (404)"},
      {"418", {.status = 418}, "the server answers 418"},
      {"429", {.status = 429, .headers = {"Retry-After: 1"}}, "the server answers 429; tried 3 times"},
      {"500", {.status = 500, .body = "oh"}, "the server answers 500; tried 3 times"},
  };
  for (const auto& [what, reply, says, is_known] : cases) {
    CAPTURE(what);
    const TemporaryDirectory directory;
    const HttpServer server([&reply = reply](const HttpRequest&) { return reply; });
    RemoteFile file{server.url("/story.txt")};
    if (is_known) file = known(file.url);
    DownloadOptions options = quick();
    options.longest_wait = 0.02;
    const std::string error = error_of(file, directory / "story.txt", options);
    CAPTURE(error);
    CHECK(has(error, says));
    CHECK(!has(error, "\n"));
    CHECK(has(error, "127.0.0.1"));
    CHECK(empty_directory(directory.path));
  }
}

TEST_CASE("a slow server, and none at all") {
  const TemporaryDirectory directory;
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = serve_file(request, story());
    if (request.path == "/dead.txt" || !request.headers.contains("range")) {
      reply.send = 100'000;
      reply.stall_milliseconds = 1'000'000;  // until the other side has had enough
    }
    return reply;
  });
  const RemoteFile dead = known(server.url("/dead.txt"));
  DownloadOptions options = quick();
  options.stall_seconds = 1000;
  options.stop = [&] { return !server.requests().empty(); };  // as Ctrl-C does
  CHECK(has(error_of(dead, directory / "dead.txt", options), "stopped; what came is kept"));
  CHECK(has(error_of(dead, directory / "dead.txt"), "tried 3 times"));
  CHECK(!fs::exists(directory / "dead.txt"));
  std::string gone;
  {
    const HttpServer other([](const HttpRequest&) { return HttpReply{}; });
    gone = other.url("/story.txt");
  }
  const std::string error = error_of(known(gone), directory / "b.txt");
  CAPTURE(error);
  CHECK(has(error, "tried 3 times"));
  CHECK(has(error_of({"ftp://127.0.0.1/x.txt"}, directory / "c.txt"), "ftp://127.0.0.1/x.txt: "));
  CHECK(!fs::exists(directory / "b.txt"));
}

TEST_CASE("a redirect as Hugging Face sends it: the hash it names is compared") {
  const TemporaryDirectory directory;
  const HttpServer server([](const HttpRequest& request) {
    if (request.path == "/resolve/story.txt")
      return HttpReply{.status = 302,
                       .headers = {"Location: /cdn/1234?signature=x", "ETag: \"of the page\"",
                                   "X-Linked-ETag: \"" + sha256(story()) + "\"",
                                   "X-Linked-Size: " + std::to_string(story().size())}};
    return serve_file(request, story());
  });
  const Downloaded got = download({server.url("/resolve/story.txt")}, directory / "story.txt", quick());
  CHECK(got.checked_with == "the server's hash");
  CHECK(read_file(directory / "story.txt") == story());
}

TEST_CASE("two downloads of one file, a disk that is full, a directory that is a file") {
  const TemporaryDirectory directory;
  std::string inner;
  const HttpServer server([&](const HttpRequest& request) { return serve_file(request, story()); });
  const RemoteFile file = known(server.url("/story.txt"));
  DownloadOptions options = quick();
  options.progress = [&](const char*, int64_t, int64_t) {
    if (inner.empty()) inner = error_of(file, directory / "story.txt");
  };
  CHECK(error_of(file, directory / "story.txt", options) == "");
  CHECK(has(inner, "cannot write " + (directory / "story.txt.part") + ": another process is writing it"));
  CHECK(read_file(directory / "story.txt") == story());

  write_file(directory / "file", "");
  CHECK(has(error_of(file, directory / "file/story.txt"), "cannot make the directory"));
  fs::create_symlink("/dev/full", directory / "full.txt.part");
  const std::string error = error_of(file, directory / "full.txt");
  CAPTURE(error);
  CHECK(has(error, "No space left on device"));
  CHECK(!fs::exists(directory / "full.txt"));
}
