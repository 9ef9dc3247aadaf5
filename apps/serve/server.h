// What `./chapbook serve` is: the page, and an API as OpenAI's clients know it. Nothing else of the disk is
// served.
//
//   GET  /                    the page
//   GET  /v1/models           the models, each with what the page wants to know under "chapbook"
//   POST /v1/completions      see completion.h
//   GET  /chapbook/tokens     ?model=NAME: the texts of all its tokens, by id
//   POST /chapbook/scores     {"model", "prompt": [ids]}: the score of every token to come next
//   POST /chapbook/xray       {"model", "prompt", "off": [parts], "patch": [parts], "from": a text}: what
//                             xray.js shows; with "back": the way back from that token
// What is refused, and what an error looks like: site.h.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/serve/completion.h"
#include "apps/serve/site.h"

namespace chapbook {

struct ServeLimits {
  WatchedServer::Limits http;
  Engine::Limits engine;
  CompletionLimits completion;
};

class ModelServer {
 public:
  // `names`: what it is called by others, beside localhost and addresses.
  ModelServer(std::vector<ServedModel> models, const ServeLimits& limits,
              std::vector<std::string> names = {});

  int bind(const std::string& host, int port) { return http_.bind(host, port); }  // the port; throws
  void serve() { http_.serve(); }                                                 // until stop()
  void stop();  // from any thread: requests that are not over are told so

 private:
  Json see_inside(Json body);
  void complete(const httplib::Request& request, httplib::Response& response);
  const ServedModel& model(const std::string& name) const;

  std::vector<ServedModel> models_;
  const ServeLimits limits_;
  Engine engine_;
  Site http_;
};

}  // namespace chapbook
