// What a client must not be able to do to the server, and whom it does not answer.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include "served.h"
#include "tensor/random.h"

using namespace chapbook;

namespace {

// A connection to it, with room for so many bytes that nobody has read; 0: as many as the system gives.
int connection(int port, int room = 0) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  if (room > 0) ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return socket;
}

// What a socket gives back for bytes sent as they are, until it is closed.
std::string raw(int port, const std::string& bytes, bool half_close = false) {
  const int socket = connection(port);
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t sent = ::send(socket, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) break;
    at += static_cast<size_t>(sent);
  }
  if (half_close) ::shutdown(socket, SHUT_WR);
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = ::recv(socket, buffer, sizeof buffer, 0)) > 0;) answer.append(buffer, got);
  ::close(socket);
  return answer;
}

// `bytes` with some of them turned, taken away, said twice, or others put between; by a seed.
std::string damaged(std::string bytes, Random& random) {
  static constexpr std::string_view odd[] = {"\"",   "{",    "]",     ":", "\\u0000",
                                             "\xff", "\r\n", "1e999", "-", "null"};
  for (uint64_t times = 1 + random.below(2); times-- > 0 && !bytes.empty();) {
    const size_t at = random.below(bytes.size()), some = 1 + random.below(8);
    switch (random.below(5)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
        break;
      case 1:
        bytes.erase(at, some);
        break;
      case 2:
        bytes.insert(at, bytes.substr(at, some));
        break;
      case 3:
        bytes.insert(at, odd[random.below(std::size(odd))]);
        break;
      default:
        bytes.resize(at);
    }
  }
  return bytes;
}

}  // namespace

TEST_CASE("serve: other names, other sites and other formats are refused") {
  Served served;
  const int port = served.port;
  const std::string body = "{" + story + R"("max_tokens": 1})";
  const auto with = [&](const char* name, const std::string& value) {
    return post(port, body, "/v1/completions", {{name, value}}).status;
  };
  CHECK(get(port, "/", {{"Host", "evil.example"}}).status == 403);
  CHECK(get(port, "/", {{"Host", "localhost.evil.example"}}).status == 403);
  CHECK(get(port, "/", {{"Host", "localhost"}}).status == 200);
  CHECK(get(port, "/", {{"Host", "localhost:99"}}).status == 200);
  CHECK(get(port, "/", {{"Host", "[::1]:99"}}).status == 200);
  CHECK(with("Origin", "http://evil.example") == 403);
  CHECK(with("Origin", "null") == 403);
  CHECK(with("Origin", fmt::format("http://127.0.0.1:{}", port)) == 200);
  CHECK(with("Content-Encoding", "gzip") == 415);
  httplib::Client client("127.0.0.1", port);
  CHECK(client.Post("/v1/completions", body, "text/plain")->status == 415);
  CHECK(client.Post("/v1/completions", body, "application/x-www-form-urlencoded")->status == 415);
  CHECK(client.Put("/v1/completions", body, "application/json")->status == 405);
  CHECK(client.Options("/v1/completions")->status == 405);
  CHECK(raw(port, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));  // no Host
}

TEST_CASE("serve: a server that is ended before it has begun to listen does not listen") {
  WatchedServer server({});
  server.bind("127.0.0.1", 0);
  server.finish();
  const auto serving = std::async(std::launch::async, [&] { server.serve(); });
  CHECK(serving.wait_for(std::chrono::seconds(10)) == std::future_status::ready);
  server.finish();
}

TEST_CASE("serve: slow, broken and malicious requests do no harm") {
  ServeLimits limits;
  limits.http.request = std::chrono::seconds(1);
  limits.http.idle = std::chrono::seconds(1);
  limits.http.connections = 12;
  Served served(limits);
  const int port = served.port;
  const std::string head =
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  std::string headers, digits(4000, '0');
  for (int i = 0; i < 20000; ++i) headers += fmt::format("X-{}: {}\r\n", i, i);
  const std::string requests[] = {
      "",     // says nothing
      "GET",  // and no more
      "\r\n\r\n\r\n",
      std::string(100000, 'A'),
      "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
      "GET " + std::string(50000, '/') + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /%00%ff%zz%u0000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: localhost\r\nRange: bytes=" + std::string(8000, '0') + "-\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: localhost\r\nRange: bytes=5-2,99999999999999999999-\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: " + std::string(8000, ',') + "\r\n\r\n",
      "GET / HTTP/1.1\r\n" + headers + "\r\n",  // more than a head may have
      head + "Content-Length: 100\r\n\r\n{",    // promises more than comes
      head + "Content-Length: -1\r\n\r\n{}",
      head + "Content-Length: 99999999999999999999\r\n\r\n{}",
      head + "Content-Length: 5000000\r\n\r\n" + std::string(2000000, ' '),
      head + "Transfer-Encoding: chunked\r\n\r\n" + "ffffffffffffffff\r\n" + std::string(3000000, ' '),
      head + "Transfer-Encoding: chunked\r\n\r\n" + digits + "\r\n",
      head + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
      head + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
      "boundary=\r\nContent-Length: 4\r\n\r\n----",
  };
  std::vector<std::thread> all;
  for (int round = 0; round < 2; ++round)
    for (const std::string& request : requests)
      all.emplace_back([&, round] {
        const std::string answer = raw(port, request, round == 1);
        CHECK((answer.empty() || answer.starts_with("HTTP/1.1 ")));
        CHECK(answer.find("root:") == std::string::npos);
      });
  for (std::thread& thread : all) thread.join();
  CHECK(raw(port, "GET / HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n").find(" 200 ") ==
        std::string::npos);
  // One byte at a time does not hold a connection for longer than a request may take.
  const auto start = std::chrono::steady_clock::now();
  const int socket = connection(port);
  int sent = 0;
  while (sent < 200 && ::send(socket, "G", 1, MSG_NOSIGNAL) == 1) ++sent, ::usleep(100000);
  ::close(socket);
  CHECK(sent < 200);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(15));
  CHECK(post(port, "{" + story + R"("max_tokens": 3})").status == 200);
}

TEST_CASE("serve: requests with turned and missing bytes are answered in its format, or not at all") {
  ServeLimits limits;
  limits.http.request = limits.http.idle = std::chrono::seconds(1);
  limits.completion = {.tokens = 8, .texts = 4};
  Served served(limits);
  const int port = served.port;
  Random random{20};
  const std::pair<const char*, std::string> bodies[] = {
      {"/v1/completions",
       "{" + story +
           R"("max_tokens": 4, "temperature": 0.5, "top_p": 0.9, "n": 2, "stop": ["a", "b"], "logprobs": 3})"},
      {"/v1/completions",
       R"({"model": "lively", "prompt": [[3, 5], [7]], "echo": true, "stream": true, "stream_options": {"include_usage": true}, "logit_bias": {"40": 5, "50": -100}, "max_tokens": 3})"},
      {"/chapbook/scores", R"({"model": "lively", "prompt": [3, 5, 7]})"},
      {"/chapbook/xray",
       R"({"model": "lively", "prompt": [0, 9, 20, 31], "off": ["1.0", "0.mlp.5"], "patch": ["0.attention"], "from": "Once upon", "back": 2})"}};
  int fine = 0, refused = 0;
  for (int i = 0; i < 400; ++i) {
    const auto& [path, whole] = bodies[i % 4];
    const std::string body = damaged(whole, random);
    CAPTURE(path);
    CAPTURE(body);
    const Response response = post(port, body, path);
    const bool known = response.status == 200 || response.status == 400 || response.status == 404;
    CHECK_MESSAGE(known, response.status, " ", response.body);
    if (response.status != 200) CHECK(response.json()["error"]["message"].is_string());
    ++(response.status == 200 ? fine : refused);
  }
  CHECK(fine > 0);
  CHECK(refused > 200);
  const std::string head = fmt::format(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost:{}\r\nOrigin: http://localhost:{}\r\nContent-Type: "
      "application/json; charset=utf-8\r\nAccept-Encoding: gzip, br;q=0.5\r\nRange: bytes=0-5,7-\r\nCookie: "
      "a=b; "
      "c\r\nExpect: 100-continue\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{{}}",
      port, port);
  const std::string chunks =
      "POST /v1/completions?a=b&c=%41%zz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\nX: 1\r\n\r\n";
  for (int i = 0; i < 400; ++i) {
    const std::string request = damaged(i % 2 == 0 ? head : chunks, random);
    CAPTURE(request);
    const std::string answer = raw(port, request, true);
    CHECK((answer.empty() || answer.starts_with("HTTP/1.1 ")));
    CHECK(!answer.starts_with("HTTP/1.1 5"));
    CHECK(!answer.starts_with("HTTP/1.1 2"));  // not even by accident: {} is no request
  }
  CHECK(post(port, "{" + story + R"("max_tokens": 3})").status == 200);
}

TEST_CASE("serve: clients that ask and do not read hold no connection for long") {
  ServeLimits limits;
  limits.http.write = std::chrono::seconds(1);
  limits.http.connections = 2;
  limits.completion.tokens = 20000;
  Served served(limits);
  const std::string body =
      "{" + story + R"("max_tokens": 20000, "logprobs": 20, "stream": true, "logit_bias": {"399": -100}})";
  std::vector<int> open;
  for (int i = 0; i < 2; ++i) {  // as many as there may be, and their windows are small
    const int socket = connection(served.port, 4096);
    const std::string request = fmt::format(
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        "application/json\r\nContent-Length: "
        "{}\r\n\r\n{}",
        body.size(), body);
    REQUIRE(::send(socket, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
    open.push_back(socket);
  }
  httplib::Client client("127.0.0.1", served.port);
  client.set_read_timeout(60);
  const auto start = std::chrono::steady_clock::now();
  const auto models = client.Get("/v1/models");
  const double waited = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  REQUIRE(models);
  CHECK(models->status == 200);
  CHECK(waited > 0.5);  // there was something to wait for
  CHECK(waited < 15);
  for (const int socket : open) ::close(socket);
}
