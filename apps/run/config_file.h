// A model's config.json, read with messages that name the file: what is missing, of another kind, or asks for
// what Chapbook does not do.
#pragma once
#include <string>

#include "tensor/json.h"

namespace chapbook {

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& path);
  ConfigFile(const std::string& path, Json json);  // what was found in that file

  // A whole number from 1 to `most`.
  int64_t size(const char* name, int64_t most = 1 << 24) const;
  // What stands there, or what it is when nothing or null does.
  int64_t size_or(const char* name, int64_t otherwise, int64_t most = 1 << 24) const;
  double number_or(const char* name, double otherwise) const;
  bool flag_or(const char* name, bool otherwise) const;
  // Refuses another value than the one Chapbook knows; to be absent is to have it.
  void only(const char* name, const Json& value) const;

  const Json& json() const { return json_; }
  const std::string& path() const { return path_; }

 private:
  bool has(const char* name) const { return json_.contains(name) && !json_[name].is_null(); }

  std::string path_;
  Json json_;
};

}  // namespace chapbook
