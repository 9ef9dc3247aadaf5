#include "tests/support/http_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace chapbook {

HttpServer::HttpServer(std::function<HttpReply(const HttpRequest&)> answer) : answer_(std::move(answer)) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(socket_, 16) != 0 ||
      ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("the test's server cannot listen");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

HttpServer::~HttpServer() {
  ended_ = true;
  thread_.join();
  ::close(socket_);
}

std::string HttpServer::url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

std::vector<HttpRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::serve() {
  while (!ended_) {
    pollfd waiting{socket_, POLLIN, 0};
    if (::poll(&waiting, 1, 20) <= 0) continue;
    const int connection = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    answer_one(connection);
    ::close(connection);
  }
}

static void send_all(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // the other side has had enough
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void HttpServer::answer_one(int connection) {
  std::string text;
  char block[4096];
  while (text.find("\r\n\r\n") == text.npos) {
    const ssize_t count = ::recv(connection, block, sizeof block, 0);
    if (count <= 0) return;
    text.append(block, static_cast<size_t>(count));
  }
  HttpRequest request;
  std::istringstream lines(text);
  std::string method;
  lines >> method >> request.path;
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line != "\r") {
    const size_t colon = line.find(':');
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    request.headers[name] = line.substr(colon + 2, line.size() - colon - 3);
  }
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  const HttpReply reply = answer_(request);
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Said\r\nConnection: close\r\n";
  if (reply.length != -2) {
    const auto length = reply.length >= 0 ? reply.length : static_cast<int64_t>(reply.body.size());
    head += "Content-Length: " + std::to_string(length) + "\r\n";
  }
  for (const std::string& header : reply.headers) head += header + "\r\n";
  send_all(connection, head + "\r\n");
  for (int waited = 0; waited < reply.stall_milliseconds && !ended_; waited += 20) {
    pollfd other{connection, POLLRDHUP, 0};
    if (::poll(&other, 1, 20) != 0) return;  // it has hung up
  }
  send_all(connection, std::string_view(reply.body).substr(0, reply.send));
}

HttpReply serve_file(const HttpRequest& request, const std::string& bytes, const std::string& etag) {
  HttpReply reply;
  reply.headers = {"ETag: " + etag, "Content-Type: text/plain"};
  const auto range = request.headers.find("range"), condition = request.headers.find("if-range");
  if (range == request.headers.end() || (condition != request.headers.end() && condition->second != etag)) {
    reply.body = bytes;
    return reply;
  }
  const size_t begin = std::stoull(range->second.substr(6));  // "bytes=123-"
  if (begin >= bytes.size()) {
    reply.status = 416;
    reply.headers.push_back("Content-Range: bytes */" + std::to_string(bytes.size()));
    return reply;
  }
  reply.status = 206;
  reply.headers.push_back("Content-Range: bytes " + std::to_string(begin) + "-" +
                          std::to_string(bytes.size() - 1) + "/" + std::to_string(bytes.size()));
  reply.body = bytes.substr(begin);
  return reply;
}

}  // namespace chapbook
