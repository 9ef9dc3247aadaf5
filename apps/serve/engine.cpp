#include "apps/serve/engine.h"

#include <algorithm>
#include <atomic>
#include <future>

namespace chapbook {

using Clock = std::chrono::steady_clock;

struct Engine::Answer::Shared {
  const Model* model;
  std::vector<Text> asked;
  int64_t alternatives;
  Clock::time_point deadline;
  std::atomic<bool> left = false;  // whoever asked is gone

  std::vector<std::unique_ptr<Continuation>> texts;  // the engine's

  std::mutex mutex;
  std::condition_variable news;
  std::deque<Token> tokens;
  std::exception_ptr error;
  bool done = false;  // no more tokens come

  void finish(std::exception_ptr why = nullptr) {
    const std::lock_guard lock(mutex);
    if (!done) error = std::move(why);
    done = true;
    news.notify_all();
  }
};

struct Engine::Task {
  std::function<void()> work;
  std::promise<void> done;
};

Engine::Answer::~Answer() { shared_->left = true; }

std::optional<Engine::Token> Engine::Answer::next(std::chrono::milliseconds wait) {
  std::unique_lock lock(shared_->mutex);
  shared_->news.wait_for(lock, wait, [&] { return !shared_->tokens.empty() || shared_->done; });
  if (!shared_->tokens.empty()) {
    Token token = std::move(shared_->tokens.front());
    shared_->tokens.pop_front();
    return token;
  }
  if (shared_->error) std::rethrow_exception(shared_->error);
  return {};
}

bool Engine::Answer::over() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->done && shared_->tokens.empty() && !shared_->error;
}

Engine::Engine(const Limits& limits) : limits_(limits), thread_([this] { run(); }) {}

void Engine::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::unique_ptr<Engine::Answer> Engine::tell(const Model& model, std::vector<Text> texts,
                                             int64_t alternatives) {
  const auto shared = std::make_shared<Shared>();
  shared->model = &model;
  shared->asked = std::move(texts);
  shared->alternatives = alternatives;
  shared->deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                        std::chrono::duration<double>(limits_.seconds));
  {
    const std::lock_guard lock(mutex_);
    check(!stopping_, "the server is ending");
    if (static_cast<int64_t>(waiting_.size()) >= limits_.waiting) throw Busy(waiting_.size());
    waiting_.push_back(shared);
  }
  wake_.notify_all();
  return std::unique_ptr<Answer>(new Answer(shared));
}

void Engine::compute(const std::function<void()>& work) {
  const auto task = std::make_shared<Task>();
  task->work = work;
  std::future<void> done = task->done.get_future();
  {
    const std::lock_guard lock(mutex_);
    check(!stopping_, "the server is ending");
    if (static_cast<int64_t>(tasks_.size()) >= limits_.waiting) throw Busy(tasks_.size());
    tasks_.push_back(task);
  }
  wake_.notify_all();
  done.get();
}

// Lets in who waits, in the order they came, as long as there is room; a request with more texts than there
// ever is room for is let in alone.
void Engine::admit() {
  const auto texts_of = [](const auto& shared) { return static_cast<int64_t>(shared->asked.size()); };
  int64_t running = 0;
  for (const auto& shared : running_) running += texts_of(shared);
  while (!waiting_.empty()) {
    const std::shared_ptr<Shared>& next = waiting_.front();
    if (running > 0 && running + texts_of(next) > limits_.together) break;
    running += texts_of(next);
    running_.push_back(next);
    waiting_.pop_front();
  }
  std::erase_if(waiting_, [](const auto& shared) { return shared->left.load(); });
}

void Engine::run() {
  for (;;) {
    try {
      std::deque<std::shared_ptr<Task>> tasks;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock,
                   [&] { return stopping_ || !running_.empty() || !waiting_.empty() || !tasks_.empty(); });
        if (stopping_) break;
        admit();
        tasks.swap(tasks_);
      }
      for (const auto& task : tasks) {
        try {
          task->work();
          task->done.set_value();
        } catch (...) {
          task->done.set_exception(std::current_exception());
        }
      }
      step_all();
    } catch (...) {  // no memory, for its own lists
      end_running(std::current_exception());
    }
  }
  const auto ending = std::make_exception_ptr(Error("the server is ending"));
  const std::lock_guard lock(mutex_);
  end_running(ending);
  for (const auto& shared : waiting_) shared->finish(ending);
  for (const auto& task : tasks_) task->done.set_exception(ending);
}

void Engine::end_running(const std::exception_ptr& why) {
  for (const auto& shared : running_) {
    shared->texts.clear();
    shared->finish(why);
  }
  running_.clear();
}

void Engine::step_all() {
  struct Asked {
    std::shared_ptr<Shared> shared;
    size_t text;
  };
  std::vector<std::pair<const Model*, std::vector<Asked>>> models;  // in the order of their first request
  for (const auto& shared : running_) {
    try {
      if (shared->texts.empty())
        for (const Text& text : shared->asked)
          shared->texts.push_back(std::make_unique<Continuation>(*shared->model->network,
                                                                 shared->model->tokenizer, text.prompt,
                                                                 text.sampling, shared->alternatives));
    } catch (...) {
      shared->finish(std::current_exception());
    }
    if (Clock::now() > shared->deadline)
      shared->finish(std::make_exception_ptr(
          Error(fmt::format("the request took longer than {} seconds", limits_.seconds))));
    bool goes_on = false;
    for (size_t i = 0; i < shared->texts.size() && !shared->done && !shared->left; ++i) {
      if (shared->texts[i]->end() != Continuation::End::none) continue;
      goes_on = true;
      auto found = std::ranges::find(models, shared->model, &decltype(models)::value_type::first);
      if (found == models.end()) found = models.insert(found, {shared->model, {}});
      found->second.push_back({shared, i});
    }
    if (!goes_on) shared->finish();
  }
  std::erase_if(running_, [](const auto& shared) {
    if (shared->done) shared->texts.clear();  // here, for it holds memory of the backend
    return shared->done;
  });

  for (const auto& [model, asked] : models) {
    std::vector<Continuation*> texts;
    for (const Asked& one : asked) texts.push_back(one.shared->texts[one.text].get());
    try {
      step(*model->network, texts);
    } catch (...) {  // weights that are broken, say: nobody of this model gets further
      for (const Asked& one : asked) one.shared->finish(std::current_exception());
      continue;
    }
    for (size_t i = 0; i < asked.size(); ++i) {
      Shared& shared = *asked[i].shared;
      const Continuation& text = *texts[i];
      const std::lock_guard lock(shared.mutex);
      shared.tokens.push_back({asked[i].text, text.ids().back(), text.text(), text.log_probability(),
                               text.likeliest(), text.end()});
      shared.news.notify_all();
    }
  }
}

}  // namespace chapbook
