// cpp-httplib with the limits it lacks: each connection is a Stream of ours, which counts bytes and watches
// the clock, so that a client that sends endless headers, or one byte a minute, is let go. There are as many
// threads as connections, up to a number; more wait in the kernel.
#pragma once
#include <httplib.h>

#include <chrono>
#include <condition_variable>
#include <string>

namespace chapbook {

class WatchedServer : public httplib::Server {
 public:
  struct Limits {
    size_t body = 1 << 20;             // bytes, as they come
    size_t head = 1 << 16;             // bytes of the request line and all headers
    std::chrono::seconds request{10};  // until a request has been read
    std::chrono::seconds idle{15};     // between requests of a connection
    std::chrono::seconds write{10};    // until the client takes what is written
    int connections = 256;
  };
  explicit WatchedServer(const Limits& limits);

  int bind(const std::string& host, int port);  // the port, which 0 leaves to the system; throws
  void serve();                                 // until finish() is called, from any thread
  void finish();                                // also before serve(); what still goes on is cut off

  // Of the connection whose request this thread handles: whether the client is still there; and that it is to
  // be closed after this answer.
  static bool client_is_there();
  static void close_after_this();
  static void body_may_come();  // its headers have been read and are in order

 private:
  bool process_and_close_socket(socket_t socket) override;

  const Limits limits_;
  std::atomic<bool> ending_ = false;
};

}  // namespace chapbook
