#include "apps/serve/server.h"

#include <cmath>

#include "apps/run/generator.h"
#include "apps/serve/page.h"
#include "apps/serve/xray_view.h"
#include "data/token_text.h"
#include "tensor/json.h"

namespace chapbook {

namespace {

std::string event(const std::string& data) { return "data: " + data + "\n\n"; }

Json body_of(const httplib::Request& request) {
  const Json body = try_parse_json(request.body);
  if (body.is_discarded()) throw ApiError(400, "the body is not valid JSON");
  return body;
}

}  // namespace

ModelServer::ModelServer(std::vector<ServedModel> models, const ServeLimits& limits,
                         std::vector<std::string> names)
    : models_(std::move(models)),
      limits_(limits),
      engine_(limits_.engine),
      http_(limits_.http, std::move(names)) {
  http_.page(page());
  http_.Get("/v1/models", [this](const httplib::Request&, httplib::Response& response) {
    answer(response, 200, models_json(models_));
  });
  http_.Get("/v1/models/(.+)", [this](const httplib::Request& request, httplib::Response& response) {
    answer(response, 200, model_json(model(request.matches[1])));
  });
  http_.Get("/chapbook/tokens", [this](const httplib::Request& request, httplib::Response& response) {
    const Tokenizer& tokenizer = model(request.get_param_value("model")).model.tokenizer;
    Json texts = Json::array();
    for (int32_t id = 0; id < tokenizer.vocabulary_size(); ++id) texts.push_back(token_text(tokenizer, id));
    answer(response, 200, {{"tokens", texts}});
  });
  http_.Post("/chapbook/scores", [this](const httplib::Request& request, httplib::Response& response) {
    const CompletionRequest asked = read_one_text(body_of(request), models_);
    const Model& model = asked.model->model;
    std::vector<float> logits;
    engine_.compute([&] {
      auto caches = model.network->caches();
      const Tensor ids = batch_of_one(asked.prompts.front().ids, model.network->backend());
      logits = model.network->next(ids, caches).to_vector<float>();
    });
    logits.resize(model.tokenizer.vocabulary_size());
    check_scores(logits);
    answer(response, 200, {{"scores", logits}});
  });
  http_.Post("/chapbook/xray", [this](const httplib::Request& request, httplib::Response& response) {
    answer(response, 200, see_inside(body_of(request)));
  });
  http_.Post("/v1/completions", [this](const httplib::Request& request, httplib::Response& response) {
    complete(request, response);
  });
}

const ServedModel& ModelServer::model(const std::string& name) const {
  for (const ServedModel& model : models_)
    if (model.name == name) return model;
  throw ApiError(404, fmt::format("the model '{}' does not exist", printable(name)), "invalid_request_error",
                 "model", "model_not_found");
}

Json ModelServer::see_inside(Json body) {
  const auto refuse = [](const char* name, const std::string& message) {
    throw ApiError(400, message, "invalid_request_error", name);
  };
  // What is only for it; the rest is one text.
  const auto take = [&](const char* name) {
    const Json value = body.is_object() ? body.value(name, Json()) : Json();
    if (body.is_object()) body.erase(name);
    return value;
  };
  const Json off = take("off"), patch = take("patch"), from = take("from"), back = take("back");
  const CompletionRequest asked = read_one_text(body, models_);
  const Model& model = asked.model->model;
  const std::vector<int32_t>& ids = asked.prompts.front().ids;
  const int64_t T = static_cast<int64_t>(ids.size());
  if (!from.is_null() && !from.is_string()) refuse("from", "'from' must be a text");
  if (!from.is_null() && from != "" && (patch.is_null() || patch.empty()))
    refuse("from", "'from' is for 'patch', which names no part here");
  if (!back.is_null() && !(back.is_number_integer() && back >= 1 && back < T))
    refuse("back", fmt::format("'back' must be a token from 1 to {}", T - 1));
  const auto parts = [&](const Json& list, const char* name, const Anatomy& there, std::vector<Cut>& cuts) {
    if (list.is_null()) return;
    if (!list.is_array() || list.size() > 256)
      refuse(name, fmt::format("'{}' must be a list of up to 256 parts", name));
    for (const Json& part : list) {
      if (!part.is_string()) refuse(name, fmt::format("'{}' must be a list of texts", name));
      try {
        cuts.push_back(read_cut(part.get<std::string>(), there, &list == &patch));
      } catch (const Error& error) {
        refuse(name, error.what());
      }
      if (cuts.back().place >= T)
        refuse(name, fmt::format("'{}': the text has the places 0 to {}", cuts.back().text(), T - 1));
    }
  };
  Json result;
  engine_.compute([&] {
    XRayOptions how;
    const Anatomy there = anatomy(*model.network);
    // Weights of attention, all of which are held: 160 MB, and a time in which stories wait.
    constexpr double most = 4e7;
    const int64_t heads = there.layers * there.heads;
    if (static_cast<double>(heads * T * T) > most)
      refuse("prompt",
             fmt::format("the text has {} tokens; an x-ray of this model takes up to {} here, and all of its "
                         "context in ./chapbook xray",
                         T, static_cast<int64_t>(std::sqrt(most / static_cast<double>(heads)))));
    parts(off, "off", there, how.cuts);
    parts(patch, "patch", there, how.cuts);
    if (!patch.is_null() && !patch.empty()) {
      const std::vector<int32_t> other =
          prompt_ids(model.tokenizer, from.is_null() ? "" : from.get<std::string>(), model.after_end);
      const int64_t tokens = static_cast<int64_t>(other.size());
      if (tokens < T || tokens > model.network->context())
        refuse("from", fmt::format("the text to patch from has {} tokens; it needs {}, as many as the other",
                                   tokens, T));
      how.other = named_values(*model.network, other);
    }
    if (!back.is_null()) {
      result = way_back_json(way_back(model, ids, back.get<int64_t>(), how));
      return;
    }
    std::optional<XRay> whole;
    if (!how.cuts.empty()) whole = xray(model, ids, {.depth = XRayOptions::Depth::each});
    result = xray_json(xray(model, ids, how), model, how.cuts, whole ? &*whole : nullptr);
  });
  return result;
}

void ModelServer::complete(const httplib::Request& request, httplib::Response& response) {
  auto completion =
      std::make_shared<Completion>(read_completion(body_of(request), models_, limits_.completion), engine_);
  if (!completion->request().stream) {
    while (!completion->over()) {
      if (const std::optional<std::string> piece = completion->next()) {
        response.set_content(*piece, "application/json");
        return;
      }
      if (!WatchedServer::client_is_there()) return;
    }
    return;
  }
  response.set_header("X-Accel-Buffering", "no");  // what a proxy before it should know
  response.set_chunked_content_provider("text/event-stream", [completion](size_t, httplib::DataSink& sink) {
    try {
      while (const std::optional<std::string> piece = completion->next()) {
        const std::string text = event(*piece);
        if (!sink.write(text.data(), text.size())) return false;
        if (!completion->over()) break;
      }
      if (!completion->over()) return true;
    } catch (...) {
      const std::string text = event(to_text(current_error().json()));
      sink.write(text.data(), text.size());
      sink.done();
      return true;
    }
    const std::string end = event("[DONE]");
    sink.write(end.data(), end.size());
    sink.done();
    return true;
  });
}

void ModelServer::stop() {
  engine_.stop();
  http_.finish();
}

}  // namespace chapbook
