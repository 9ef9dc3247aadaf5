// The engine: one thread that computes, for all requests of all models. Between two tokens requests join and
// leave; in a step, everyone who waits for a token of the same model gets one, computed together. What a
// request is told does not depend on the others (see apps/run/continuation.h).
#pragma once
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "apps/run/continuation.h"
#include "apps/run/model_directory.h"
#include "apps/serve/api_error.h"

namespace chapbook {

struct ServedModel {
  std::string name;
  Model model;
};

// What one more request would have to wait too long for: HTTP's 429.
struct Busy : ApiError {
  explicit Busy(size_t waiting)
      : ApiError(429, fmt::format("{} requests are waiting already; try again in a moment", waiting),
                 "requests", "", "rate_limit_exceeded") {}
};

class Engine {
 public:
  struct Limits {
    int64_t together = 64;  // texts that are continued at once
    int64_t waiting = 64;   // requests that wait for a place
    double seconds = 300;   // a request may take, waiting included
  };

  struct Text {
    std::vector<int32_t> prompt;
    Sampling sampling;
  };

  // A token of one of a request's texts.
  struct Token {
    size_t text;
    int32_t id;
    std::string shown;  // what can be shown now
    double log_probability;
    std::vector<Choice> likeliest;
    Continuation::End end;
  };

  // What a request is told, for the thread that asked.
  class Answer {
   public:
    ~Answer();  // who goes away before the end leaves the batch
    // The next token; none when all texts have ended, or when `wait` is over. Throws what went wrong.
    std::optional<Token> next(std::chrono::milliseconds wait);
    bool over() const;

   private:
    friend Engine;
    struct Shared;
    explicit Answer(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
    std::shared_ptr<Shared> shared_;
  };

  explicit Engine(const Limits& limits);
  ~Engine() { stop(); }
  void stop();  // requests that are not over are told so
  Engine(const Engine&) = delete;

  // `model` must outlive the engine. Throws Busy.
  std::unique_ptr<Answer> tell(const Model& model, std::vector<Text> texts, int64_t alternatives);
  // Does something that computes, between two steps, and waits for it. Throws what it throws, and Busy.
  void compute(const std::function<void()>& work);

 private:
  struct Task;
  using Shared = Answer::Shared;
  void run();
  void admit();
  void step_all();
  void end_running(const std::exception_ptr& why);

  const Limits limits_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::deque<std::shared_ptr<Shared>> waiting_;
  std::deque<std::shared_ptr<Task>> tasks_;
  std::list<std::shared_ptr<Shared>> running_;  // the engine's own: nobody else looks at it
  std::thread thread_;
};

}  // namespace chapbook
