// POST /v1/completions, as OpenAI documents it (platform.openai.com/docs/api-reference/completions) and its
// clients send and read it. What is not known is refused by name, never passed over. Beyond it there are
// top_k, min_p and repetition_penalty; and with logprobs, token ids beside the texts of tokens.
#pragma once
#include <string>
#include <vector>

#include "apps/serve/engine.h"
#include "tensor/json.h"

namespace chapbook {

struct CompletionLimits {
  int64_t tokens = 4096;  // of a text
  int64_t texts = 64;     // of a request: prompts times best_of
};

struct CompletionRequest {
  const ServedModel* model;
  struct Prompt {
    std::vector<int32_t> ids;  // what the model sees
    size_t shown;              // from here on they are the prompt that was sent
  };
  std::vector<Prompt> prompts;
  Sampling sampling;
  int64_t n = 1, best_of = 1;
  int64_t logprobs = -1;
  bool stream = false, usage = false, echo = false;
};

// Throws ApiError for what is wrong with it.
CompletionRequest read_completion(const Json& body, const std::vector<ServedModel>& models,
                                  const CompletionLimits& limits);
// Of a request that is for a model and one text, a prompt as a completion's, and for nothing else.
CompletionRequest read_one_text(const Json& body, const std::vector<ServedModel>& models);

// What a request is answered, piece by piece. A piece is JSON; without `stream` there is one.
class Completion {
 public:
  Completion(CompletionRequest request, Engine& engine);  // throws Busy

  const CompletionRequest& request() const { return request_; }
  // The next piece; nothing while there is none yet (after some 100 ms). Throws what went wrong.
  std::optional<std::string> next();
  bool over() const { return over_; }

 private:
  struct Logprobs {
    std::vector<std::string> tokens;
    std::vector<int32_t> ids;
    std::vector<std::optional<double>> values;
    std::vector<std::vector<Choice>> top;
    std::vector<size_t> offsets;
  };
  struct Made {  // one of the texts that are made
    std::string text;
    Logprobs logprobs;
    size_t offset = 0;  // characters so far
    int64_t tokens = 0;
    double log_probability = 0;
    Continuation::End end = Continuation::End::none;
  };

  void echo(Engine& engine);
  void take(Engine::Token& token);
  std::string piece(const Json& choices, bool with_usage) const;
  Json choice_json(Made& choice, size_t index);
  Json usage() const;
  Json whole();

  CompletionRequest request_;
  std::string id_;
  int64_t created_;
  std::vector<Made> choices_;
  std::unique_ptr<Engine::Answer> answer_;
  std::vector<std::string> ready_;  // pieces of the stream, the next one last
  bool over_ = false;
};

Json model_json(const ServedModel& model);                 // GET /v1/models/NAME
Json models_json(const std::vector<ServedModel>& models);  // GET /v1/models

}  // namespace chapbook
