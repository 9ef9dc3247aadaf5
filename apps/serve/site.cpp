#include "apps/serve/site.h"

#include <fmt/format.h>

#include <algorithm>

namespace chapbook {

namespace {

// A name as it stands in a Host header, without the port.
std::string host_name(const std::string& host) {
  const size_t colon = host.rfind(':'), bracket = host.rfind(']');
  const bool port = colon != host.npos && (bracket == host.npos || colon > bracket);
  std::string name = host.substr(0, port ? colon : host.size());
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);
  return name;
}

bool is_address(const std::string& name) {
  unsigned char address[16];
  return ::inet_pton(AF_INET, name.c_str(), address) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), address) == 1;
}

}  // namespace

void answer(httplib::Response& response, int status, const Json& json) {
  response.status = status;
  response.set_content(to_text(json), "application/json");
}

ApiError current_error() {
  try {
    throw;
  } catch (const ApiError& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {503, "there is no memory left for this request", "server_error"};
  } catch (const std::exception& error) {
    return {503, error.what(), "server_error"};
  }
}

Site::Site(const Limits& limits, std::vector<std::string> names)
    : WatchedServer(limits), names_(std::move(names)) {
  set_default_headers({{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}});
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    const bool no = refused(request, response);
    if (no)
      close_after_this();  // its body has not been read
    else
      body_may_come();
    return no ? HandlerResponse::Handled : HandlerResponse::Unhandled;
  });
  set_exception_handler([](const httplib::Request&, httplib::Response& response, std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (...) {
      const ApiError error = current_error();
      if (error.status == 429) response.set_header("Retry-After", "1");
      answer(response, error.status, error.json());
    }
  });
  set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (response.status >= 400) close_after_this();
    if (!response.body.empty()) return;
    const std::string message = response.status == 404
                                    ? fmt::format("there is no {}", printable(request.path))
                                : response.status == 413 ? "the body is too large"
                                                         : "the request cannot be read";
    answer(response, response.status, ApiError(response.status, message).json());
  });
}

void Site::page(const std::string& html) {
  Get("/", [&html](const httplib::Request&, httplib::Response& response) {
    response.set_header("Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                        "frame-ancestors 'none'");
    response.set_header("Referrer-Policy", "no-referrer");
    response.set_content(html.data(), html.size(), "text/html; charset=utf-8");
  });
}

bool Site::refused(const httplib::Request& request, httplib::Response& response) const {
  const auto no = [&](int status, const std::string& message) {
    answer(response, status, ApiError(status, message).json());
    return true;
  };
  if (request.get_header_value_count("Host") != 1) return no(400, "a request has one Host header");
  const std::string host = request.get_header_value("Host"), name = host_name(host);
  if (name != "localhost" && !is_address(name) && std::ranges::find(names_, name) == names_.end())
    return no(403, fmt::format("this server is not '{}'; `--name {}` would make it so", printable(name),
                               printable(name)));
  if (request.method == "GET" || request.method == "HEAD") return false;
  if (request.method != "POST") return no(405, "there are GET and POST");
  if (request.has_header("Origin") && request.get_header_value("Origin") != "http://" + host)
    return no(403, "requests from pages of other sites are refused");
  if (!request.get_header_value("Content-Type").starts_with("application/json"))
    return no(415, "the body must be JSON, with the header Content-Type: application/json");
  if (request.has_header("Content-Encoding")) return no(415, "the body must not be compressed");
  return false;
}

}  // namespace chapbook
