#include "apps/serve/http.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <type_traits>

#include "tensor/check.h"

namespace chapbook {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

enum class For { reading, writing };

// Of sockets only what httplib.h brings along on every system. Whether this one can be read from, or written
// to, within some time; a client that is gone is found out by doing so.
bool ready(socket_t socket, For what, milliseconds time) {
  fd_set one;
  FD_ZERO(&one);
  FD_SET(socket, &one);
  timeval most{};
  most.tv_sec = static_cast<decltype(most.tv_sec)>(time.count() / 1000);
  most.tv_usec = static_cast<decltype(most.tv_usec)>(time.count() % 1000 * 1000);
  return ::select(static_cast<int>(socket) + 1, what == For::reading ? &one : nullptr,
                  what == For::writing ? &one : nullptr, nullptr, &most) > 0;
}

// Such a set has a place for each number below FD_SETSIZE; Windows, whose numbers have no sign, keeps a list.
bool can_be_watched(socket_t socket) { return std::is_unsigned_v<socket_t> || socket < FD_SETSIZE; }

void hang_up(socket_t socket) {
  constexpr int both_ways = 2;  // SHUT_RDWR, which is SD_BOTH on Windows
  ::shutdown(socket, both_ways);
  httplib::detail::close_socket(socket);
}

class Connection : public httplib::Stream {
 public:
  Connection(socket_t socket, const WatchedServer::Limits& limits, const std::atomic<bool>& ending)
      : socket_(socket), limits_(limits), ending_(ending) {}

  // Waits for the first byte of a request, which begins its time and its bytes.
  bool next_request() {
    if (close_after) return false;
    allowed_ = limits_.head;
    deadline_ = Clock::now() + limits_.idle;
    if (begin_ == end_ && !fill()) return false;
    deadline_ = Clock::now() + limits_.request;
    return true;
  }

  bool client_is_there() const {
    char byte;
    return !ready(socket_, For::reading, milliseconds(0)) || ::recv(socket_, &byte, 1, MSG_PEEK) > 0;
  }

  bool is_readable() const override { return begin_ < end_ || wait(For::reading, deadline_); }
  bool is_writable() const override {
    return !ending_ && wait(For::writing, Clock::now() + limits_.write) && client_is_there();
  }
  ssize_t read(char* to, size_t size) override {
    if (begin_ == end_ && !fill()) return -1;
    const size_t count = std::min(size, end_ - begin_);
    if (count > allowed_) return -1;
    allowed_ -= count;
    std::memcpy(to, buffer_ + begin_, count);
    begin_ += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, size_t size) override {
    if (!wait(For::writing, Clock::now() + limits_.write)) return -1;
    return httplib::detail::send_socket(socket_, from, size, 0);  // httplib ignores SIGPIPE
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return socket_; }

  void body_may_come() { allowed_ = limits_.body + limits_.body / 4; }  // chunks have their sizes with them
  bool close_after = false;

 private:
  bool fill() {
    if (!wait(For::reading, deadline_)) return false;
    const ssize_t got = httplib::detail::read_socket(socket_, buffer_, sizeof buffer_, 0);
    begin_ = 0;
    end_ = got > 0 ? static_cast<size_t>(got) : 0;
    return got > 0;
  }

  // In pieces, so that the end of the server is noticed.
  bool wait(For what, Clock::time_point until) const {
    while (!ending_) {
      const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now());
      if (left.count() <= 0) return false;
      if (ready(socket_, what, std::min(left, milliseconds(200)))) return true;
    }
    return false;
  }

  const socket_t socket_;
  const WatchedServer::Limits& limits_;
  const std::atomic<bool>& ending_;
  Clock::time_point deadline_;
  size_t allowed_ = 0;  // bytes that may still be read of this request
  char buffer_[4096];
  size_t begin_ = 0, end_ = 0;
};

thread_local Connection* current = nullptr;

class Threads : public httplib::TaskQueue {
 public:
  explicit Threads(int most) : most_(most) {}
  void enqueue(std::function<void()> work) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return running_ < most_; });
    ++running_;
    lock.unlock();
    const auto serve = [this, work = std::move(work)] {
      work();
      const std::lock_guard lock(mutex_);
      --running_;
      changed_.notify_all();
    };
    try {
      std::thread(serve).detach();
    } catch (const std::exception&) {
      serve();  // no thread is to be had, or no memory for one: meanwhile the next one waits
    }
  }
  void shutdown() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return running_ == 0; });
  }

 private:
  const int most_;
  int running_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace

WatchedServer::WatchedServer(const Limits& limits) : limits_(limits) {
  new_task_queue = [most = limits.connections] { return new Threads(most); };
  set_payload_max_length(limits.body);
  set_tcp_nodelay(true);
}

int WatchedServer::bind(const std::string& host, int port) {
#ifdef SO_REUSEPORT  // with which httplib would bind, and two servers share a port without a word
  set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, reinterpret_cast<const char*>(&yes), sizeof yes);
  });
#endif
  errno = 0;
  const int bound = port == 0 ? bind_to_any_port(host) : bind_to_port(host, port) ? port : -1;
  check(bound > 0, "cannot listen on {} port {}: {}", host, port,
        errno ? std::strerror(errno) : "no such address here");
  ::listen(svr_sock_, 128);  // httplib says 5, too few for many who come at once
  return bound;
}

void WatchedServer::serve() { listen_after_bind(); }

// As stop(), which does nothing before serve() has begun to wait for somebody.
void WatchedServer::finish() {
  ending_ = true;
  if (const socket_t socket = svr_sock_.exchange(INVALID_SOCKET); socket != INVALID_SOCKET) hang_up(socket);
}

bool WatchedServer::client_is_there() { return !current || current->client_is_there(); }
void WatchedServer::body_may_come() {
  if (current) current->body_may_come();
}
void WatchedServer::close_after_this() {
  if (current) current->close_after = true;
}

bool WatchedServer::process_and_close_socket(socket_t socket) {
  if (can_be_watched(socket)) {
    Connection connection(socket, limits_, ending_);
    current = &connection;
    bool closed = false;
    try {
      while (!closed && connection.next_request())
        if (!process_request(connection, false, closed, nullptr)) break;
    } catch (...) {  // a request that no handler has seen; the connection goes
    }
    current = nullptr;
  }
  hang_up(socket);
  return true;
}

}  // namespace chapbook
