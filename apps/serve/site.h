// What the servers of models and of a run have in common: who is refused, what an error looks like, and how a
// page is sent.
//
// A page elsewhere must not use a server here: a request whose Host is a name that was not told (DNS
// rebinding), or a POST with an Origin that is not this server's or that is no JSON (which a browser sends
// without asking), is refused before its body is read.
#pragma once
#include <string>
#include <vector>

#include "apps/serve/api_error.h"
#include "apps/serve/http.h"

namespace chapbook {

void answer(httplib::Response& response, int status, const Json& json);
ApiError current_error();  // the one being handled

class Site : public WatchedServer {
 public:
  // `names`: what it is called by others, beside localhost and addresses.
  Site(const Limits& limits, std::vector<std::string> names);

  void page(const std::string& html);  // what is at /; outlives the site

 private:
  bool refused(const httplib::Request& request, httplib::Response& response) const;

  const std::vector<std::string> names_;
};

}  // namespace chapbook
