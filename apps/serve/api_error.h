// An error as OpenAI's clients read it, with HTTP's status: all that a server here says where it refuses.
#pragma once
#include <string>

#include "tensor/check.h"
#include "tensor/json.h"

namespace chapbook {

struct ApiError : Error {
  ApiError(int status, const std::string& message, std::string type = "invalid_request_error",
           std::string parameter = "", std::string code = "")
      : Error(message),
        status(status),
        type(std::move(type)),
        parameter(std::move(parameter)),
        code(std::move(code)) {}

  Json json() const {
    const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
    return {{"error",
             {{"message", what()}, {"type", type}, {"param", or_null(parameter)}, {"code", or_null(code)}}}};
  }

  int status;
  std::string type, parameter, code;
};

}  // namespace chapbook
