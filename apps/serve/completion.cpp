#include "apps/serve/completion.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <random>

#include "apps/run/generator.h"
#include "data/token_text.h"
#include "data/utf8.h"
#include "tensor/json.h"

namespace chapbook {

// ---- The request

namespace {

[[noreturn]] void refuse(const char* name, const std::string& message, const char* code = "") {
  throw ApiError(400, message, "invalid_request_error", name, code);
}

// Members of the body, each of which is asked for once; what is left over in the end is unknown.
class Members {
 public:
  explicit Members(const Json& body) : body_(body) {
    if (!body.is_object()) throw ApiError(400, "the body is not a JSON object");
  }

  // Null, as a client may send for what it leaves out, is absent.
  const Json* find(const char* name) {
    known_.push_back(name);
    const auto found = body_.find(name);
    return found == body_.end() || found->is_null() ? nullptr : &*found;
  }
  double number(const char* name, double otherwise, double low, double high) {
    const Json* value = find(name);
    if (!value) return otherwise;
    if (!value->is_number() || !(value->get<double>() >= low && value->get<double>() <= high))
      refuse(name, fmt::format("'{}' must be a number from {} to {}", name, low, high));
    return value->get<double>();
  }
  int64_t whole(const char* name, int64_t otherwise, int64_t low, int64_t high) {
    const Json* value = find(name);
    if (!value) return otherwise;
    if (!value->is_number_integer() || value->get<double>() < static_cast<double>(low) ||
        value->get<double>() > static_cast<double>(high))
      refuse(name, fmt::format("'{}' must be a whole number from {} to {}", name, low, high));
    return value->get<int64_t>();
  }
  bool flag(const char* name) {
    const Json* value = find(name);
    if (value && !value->is_boolean()) refuse(name, fmt::format("'{}' must be true or false", name));
    return value && value->get<bool>();
  }
  void refuse_unknown() const {
    for (const auto& [name, value] : body_.items())
      if (std::ranges::find(known_, name) == known_.end())
        throw ApiError(400, fmt::format("unknown parameter '{}'", printable(name)), "invalid_request_error",
                       printable(name));
  }

 private:
  const Json& body_;
  std::vector<std::string> known_;
};

const ServedModel& model_named(const Json* name, const std::vector<ServedModel>& models) {
  if (!name || !name->is_string())
    refuse("model", "'model' must be the name of a model; GET /v1/models lists them");
  for (const ServedModel& model : models)
    if (model.name == name->get<std::string>()) return model;
  throw ApiError(404,
                 fmt::format("the model '{}' does not exist; GET /v1/models lists those that do",
                             printable(name->get<std::string>())),
                 "invalid_request_error", "model", "model_not_found");
}

// A text, a list of texts, a list of token ids, or a list of such lists.
std::vector<CompletionRequest::Prompt> read_prompts(const Json* prompt, const Model& model) {
  const Tokenizer& tokenizer = model.tokenizer;
  std::vector<CompletionRequest::Prompt> prompts;
  const auto add_text = [&](const std::string& text) {
    auto ids = prompt_ids(tokenizer, text, model.after_end);
    const size_t shown = model.after_end || text.empty() ? 1 : 0;
    prompts.push_back({std::move(ids), shown});
  };
  const auto add_ids = [&](const Json& list) {
    std::vector<int32_t> ids;
    for (const Json& id : list) {
      if (!id.is_number_integer() || id.get<double>() < 0 ||
          id.get<double>() >= static_cast<double>(tokenizer.vocabulary_size()))
        refuse("prompt", fmt::format("'prompt': a token id must be a whole number from 0 to {}",
                                     tokenizer.vocabulary_size() - 1));
      ids.push_back(id.get<int32_t>());
    }
    if (ids.empty()) refuse("prompt", "'prompt': a list of token ids is empty");
    prompts.push_back({std::move(ids), 0});
  };
  if (!prompt) {
    add_text("");
  } else if (prompt->is_string()) {
    add_text(prompt->get<std::string>());
  } else if (prompt->is_array() && !prompt->empty() && prompt->front().is_number()) {
    add_ids(*prompt);
  } else if (prompt->is_array() && !prompt->empty()) {
    for (const Json& one : *prompt) {
      if (one.is_string())
        add_text(one.get<std::string>());
      else if (one.is_array())
        add_ids(one);
      else
        refuse("prompt", "'prompt' must be a text, a list of texts, token ids, or a list of lists of them");
    }
  } else {
    refuse("prompt", "'prompt' must be a text, a list of texts, token ids, or a list of lists of them");
  }
  const size_t most = static_cast<size_t>(model.network->context() - 1);
  for (const auto& [ids, shown] : prompts)
    if (ids.size() > most)
      refuse("prompt",
             fmt::format("the prompt has {} tokens; this model's context has room for {} and one more",
                         ids.size(), most),
             "context_length_exceeded");
  return prompts;
}

std::vector<TokenBias> read_biases(const Json* biases, const Tokenizer& tokenizer) {
  std::vector<TokenBias> result;
  if (!biases) return result;
  if (!biases->is_object()) refuse("logit_bias", "'logit_bias' must be an object of token ids and numbers");
  for (const auto& [name, bias] : biases->items()) {
    uint32_t id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error != std::errc{} || end != name.data() + name.size() ||
        id >= static_cast<uint32_t>(tokenizer.vocabulary_size()))
      refuse("logit_bias",
             fmt::format("'logit_bias': token ids are 0 to {}", tokenizer.vocabulary_size() - 1));
    if (!bias.is_number() || !(std::abs(bias.get<double>()) <= 100))
      refuse("logit_bias", "'logit_bias': numbers are -100 to 100");
    result.push_back({static_cast<int32_t>(id), bias.get<double>()});
  }
  return result;
}

std::vector<std::string> read_stops(const Json* stop) {
  if (!stop) return {};
  const Json list = stop->is_string() ? Json::array({*stop}) : *stop;
  if (!list.is_array() || list.size() > 4) refuse("stop", "'stop' must be a text or up to 4 of them");
  std::vector<std::string> stops;
  for (const Json& one : list) {
    if (!one.is_string() || one.get<std::string>().empty() || one.get<std::string>().size() > 1000)
      refuse("stop", "'stop': each must be a text of 1 to 1000 bytes");
    stops.push_back(one.get<std::string>());
  }
  return stops;
}

}  // namespace

CompletionRequest read_one_text(const Json& body, const std::vector<ServedModel>& models) {
  Members members(body);
  CompletionRequest request;
  request.model = &model_named(members.find("model"), models);
  request.prompts = read_prompts(members.find("prompt"), request.model->model);
  members.refuse_unknown();
  if (request.prompts.size() != 1) refuse("prompt", "'prompt' must be one text");
  return request;
}

CompletionRequest read_completion(const Json& body, const std::vector<ServedModel>& models,
                                  const CompletionLimits& limits) {
  Members members(body);
  CompletionRequest request;
  request.model = &model_named(members.find("model"), models);
  const Model& model = request.model->model;
  request.prompts = read_prompts(members.find("prompt"), model);
  Sampling& s = request.sampling;
  s.ends = model.ends;
  s.temperature = members.number("temperature", 1, 0, 2);
  s.top_p = members.number("top_p", 1, 0, 1);
  if (s.top_p == 0) s.top_p = 1e-9;  // the one token that always stays
  s.top_k = members.whole("top_k", 0, -1, 1 << 30);
  s.top_k = std::max<int64_t>(s.top_k, 0);  // -1 is how some clients say all
  s.min_p = members.number("min_p", 0, 0, 1);
  s.repetition_penalty = members.number("repetition_penalty", 1, 0.01, 100);
  s.presence_penalty = members.number("presence_penalty", 0, -2, 2);
  s.frequency_penalty = members.number("frequency_penalty", 0, -2, 2);
  s.logit_bias = read_biases(members.find("logit_bias"), model.tokenizer);
  s.stop = read_stops(members.find("stop"));
  s.tokens = members.whole("max_tokens", std::min<int64_t>(16, limits.tokens), 0, limits.tokens);
  const int64_t most_seed = 9007199254740991;  // that JavaScript can say
  const int64_t seed = members.whole("seed", -1, -most_seed, most_seed);
  s.seed = members.find("seed") ? static_cast<uint64_t>(seed) : std::random_device()();
  request.n = members.whole("n", 1, 1, 128);
  request.best_of = members.whole("best_of", request.n, 1, 128);
  request.logprobs = members.whole("logprobs", -1, 0, 20);
  request.stream = members.flag("stream");
  request.echo = members.flag("echo");
  if (const Json* options = members.find("stream_options")) {
    if (!options->is_object()) refuse("stream_options", "'stream_options' must be an object");
    Members of_stream(*options);
    request.usage = of_stream.flag("include_usage");
    of_stream.flag("include_obfuscation");  // OpenAI's padding of pieces; there is none here
    of_stream.refuse_unknown();
    if (!request.stream) refuse("stream_options", "'stream_options' is only for 'stream'");
  }
  if (const Json* user = members.find("user"); user && !user->is_string())
    refuse("user", "'user' must be a text");
  if (const Json* suffix = members.find("suffix"); suffix && *suffix != "")
    refuse("suffix", "'suffix' is not supported: these models only write forwards");
  members.refuse_unknown();
  if (request.best_of < request.n) refuse("best_of", "'best_of' must be at least 'n'");
  if (request.best_of > request.n && request.stream) refuse("best_of", "'best_of' cannot be streamed");
  const int64_t texts = static_cast<int64_t>(request.prompts.size()) * request.best_of;
  if (texts > limits.texts)
    refuse("n", fmt::format("the request asks for {} texts; the most is {}", texts, limits.texts));
  return request;
}

// ---- The answer

static size_t characters(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

// What a model that says bytes in any order may have said is no UTF-8; then U+FFFD stands for it.
static std::string text_of(const Json& json) { return to_text(json); }

Completion::Completion(CompletionRequest request, Engine& engine)
    : request_(std::move(request)), created_(std::time(nullptr)) {
  std::random_device random;
  id_ = fmt::format("cmpl-{:08x}{:08x}{:08x}", random(), random(), random());
  choices_.resize(request_.prompts.size() * request_.best_of);
  if (request_.echo) echo(engine);
  std::vector<Engine::Text> texts;
  for (size_t i = 0; i < choices_.size(); ++i) {
    texts.push_back({request_.prompts[i / request_.best_of].ids, request_.sampling});
    texts.back().sampling.seed += i;
  }
  const bool compare = request_.best_of > request_.n;
  answer_ = engine.tell(request_.model->model, std::move(texts),
                        compare ? std::max<int64_t>(request_.logprobs, 0) : request_.logprobs);
  if (request_.sampling.tokens == 0)
    for (Made& choice : choices_) choice.end = Continuation::End::length;
  if (request_.stream && (request_.echo || request_.sampling.tokens == 0))
    for (size_t i = 0; i < choices_.size(); ++i)
      ready_.insert(ready_.begin(), piece(Json::array({choice_json(choices_[i], i)}), false));
}

// The prompt as the beginning of its texts, with what the model thought of each token in the light of those
// before it; of the first one of all, nothing.
void Completion::echo(Engine& engine) {
  const Model& model = request_.model->model;
  const int64_t V = model.tokenizer.vocabulary_size();
  for (size_t p = 0; p < request_.prompts.size(); ++p) {
    const auto& [ids, shown] = request_.prompts[p];
    Made echoed;
    echoed.text = model.tokenizer.decode(std::span(ids).subspan(shown));
    if (request_.sampling.tokens > 0)  // else nothing follows, with which a character it has begun would come
      echoed.text.resize(complete_utf8(echoed.text));
    if (request_.logprobs >= 0 && shown < ids.size()) {
      std::vector<float> logits;
      engine.compute([&, &ids = ids] {
        NoGrad no_grad;
        const Tensor tokens =
            Tensor::from(ids, {1, static_cast<int64_t>(ids.size())}, model.network->backend());
        logits = (*model.network)(tokens).value().to_vector<float>();
      });
      const int64_t rows = model.network->vocabulary();
      size_t offset = 0;
      for (size_t i = shown; i < ids.size(); ++i) {
        Logprobs& l = echoed.logprobs;
        l.tokens.push_back(token_text(model.tokenizer, ids[i]));
        l.ids.push_back(ids[i]);
        l.offsets.push_back(offset);
        offset += characters(model.tokenizer.token_bytes(ids[i]));
        l.values.emplace_back();
        l.top.emplace_back();
        if (i == 0) continue;
        const LogProbabilities log_probability{std::span(logits).subspan((i - 1) * rows, V)};
        l.values.back() = log_probability(ids[i]);
        l.top.back() = log_probability.likeliest(request_.logprobs);
      }
    }
    echoed.offset = characters(echoed.text);
    for (int64_t i = 0; i < request_.best_of; ++i) choices_[p * request_.best_of + i] = echoed;
  }
}

void Completion::take(Engine::Token& token) {
  Made& choice = choices_[token.text];
  if (request_.logprobs >= 0) {
    choice.logprobs.tokens.push_back(token_text(request_.model->model.tokenizer, token.id));
    choice.logprobs.ids.push_back(token.id);
    choice.logprobs.values.push_back(token.log_probability);
    choice.logprobs.top.push_back(std::move(token.likeliest));
    choice.logprobs.offsets.push_back(choice.offset);
  }
  choice.text += token.shown;
  choice.offset += characters(token.shown);
  choice.log_probability += token.log_probability;
  ++choice.tokens;
  choice.end = token.end;
}

// What of a choice has not been given yet.
Json Completion::choice_json(Made& choice, size_t index) {
  Json logprobs;
  if (request_.logprobs >= 0) {
    Json values = Json::array(), top = Json::array(), top_ids = Json::array();
    const Logprobs given = std::exchange(choice.logprobs, {});
    for (const auto& value : given.values) values.push_back(value ? Json(*value) : Json());
    for (const auto& each : given.top) {
      Json texts = Json::object(), ids = Json::array();
      for (const auto& [id, log_probability] : each) {
        texts[token_text(request_.model->model.tokenizer, id)] = log_probability;
        ids.push_back({id, log_probability});
      }
      top.push_back(each.empty() ? Json() : texts);
      top_ids.push_back(ids);
    }
    logprobs = {{"tokens", given.tokens},       {"token_logprobs", values}, {"top_logprobs", top},
                {"text_offset", given.offsets}, {"token_ids", given.ids},   {"top_ids", top_ids}};
  }
  const char* const reasons[] = {nullptr, "stop", "length"};
  const char* reason = reasons[static_cast<int>(choice.end)];
  return {{"text", std::exchange(choice.text, "")},
          {"index", index},
          {"logprobs", logprobs},
          {"finish_reason", reason ? Json(reason) : Json()}};
}

Json Completion::usage() const {
  int64_t prompt = 0, said = 0;
  for (const auto& [ids, shown] : request_.prompts) prompt += static_cast<int64_t>(ids.size());
  for (const Made& choice : choices_) said += choice.tokens;
  return {{"prompt_tokens", prompt}, {"completion_tokens", said}, {"total_tokens", prompt + said}};
}

std::string Completion::piece(const Json& choices, bool with_usage) const {
  Json json = {{"id", id_},
               {"object", "text_completion"},
               {"created", created_},
               {"model", request_.model->name},
               {"choices", choices}};
  if (with_usage)
    json["usage"] = usage();
  else if (request_.usage)
    json["usage"] = nullptr;
  return text_of(json);
}

// Of each prompt's texts the n likeliest, by the mean log-probability of their tokens.
Json Completion::whole() {
  Json choices = Json::array();
  for (size_t p = 0; p < request_.prompts.size(); ++p) {
    std::vector<Made*> texts;
    for (int64_t i = 0; i < request_.best_of; ++i) texts.push_back(&choices_[p * request_.best_of + i]);
    const auto score = [](const Made* c) {
      return c->log_probability / static_cast<double>(std::max<int64_t>(c->tokens, 1));
    };
    if (request_.best_of > request_.n)
      std::ranges::stable_sort(texts, [&](auto a, auto b) { return score(a) > score(b); });
    for (int64_t i = 0; i < request_.n; ++i) choices.push_back(choice_json(*texts[i], p * request_.n + i));
  }
  return choices;
}

std::optional<std::string> Completion::next() {
  using namespace std::chrono_literals;
  if (ready_.empty() && !over_) {
    if (std::optional<Engine::Token> token = answer_->next(100ms)) {
      take(*token);
      if (request_.stream)
        ready_.push_back(piece(Json::array({choice_json(choices_[token->text], token->text)}), false));
    } else if (answer_->over()) {
      over_ = true;
      if (!request_.stream) return piece(whole(), true);
      if (request_.usage) return piece(Json::array(), true);
    }
  }
  if (ready_.empty()) return {};
  std::string next = std::move(ready_.back());
  ready_.pop_back();
  return next;
}

Json model_json(const ServedModel& served) {
  const Model& model = served.model;
  return {{"id", served.name},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "chapbook"},
          {"chapbook",
           {{"context", model.network->context()},
            {"vocabulary", model.tokenizer.vocabulary_size()},
            {"parameters", count_parameters(*model.network)},
            {"end_of_text", model.tokenizer.end_of_text()},
            {"after_end", model.after_end}}}};
}

Json models_json(const std::vector<ServedModel>& models) {
  Json list = Json::array();
  for (const ServedModel& model : models) list.push_back(model_json(model));
  return {{"object", "list"}, {"data", list}};
}

}  // namespace chapbook
