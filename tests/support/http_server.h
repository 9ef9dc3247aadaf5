// A small HTTP server on this machine that answers as a test says: truthfully, wrongly, half, or slowly.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace chapbook {

struct HttpRequest {
  std::string path;
  std::map<std::string, std::string> headers;  // names in lower case
};

struct HttpReply {
  int status = 200;
  std::vector<std::string> headers = {};  // "Name: value"
  std::string body = {};
  int64_t length = -1;              // Content-Length, where it is a lie; -2: none is sent
  size_t send = std::string::npos;  // after so many bytes of the body the connection is closed
  int stall_milliseconds = 0;       // before the body
};

class HttpServer {
 public:
  explicit HttpServer(std::function<HttpReply(const HttpRequest&)> answer);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;

  std::string url(const std::string& path) const;  // "http://127.0.0.1:PORT/path"
  std::vector<HttpRequest> requests() const;       // all so far

 private:
  void serve();
  void answer_one(int connection);

  std::function<HttpReply(const HttpRequest&)> answer_;
  int socket_, port_;
  std::atomic<bool> ended_{false};
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::thread thread_;
};

// A server's honest answer about one file: all of it, or the rest from where a Range begins; 416 beyond its
// end.
HttpReply serve_file(const HttpRequest& request, const std::string& bytes,
                     const std::string& etag = "\"v1\"");

}  // namespace chapbook
