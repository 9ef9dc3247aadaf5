#include "apps/run/config_file.h"

#include "tensor/check.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {

ConfigFile::ConfigFile(const std::string& path) : ConfigFile(path, try_parse_json(read_file(path))) {}

ConfigFile::ConfigFile(const std::string& path, Json json) : path_(path), json_(std::move(json)) {
  check(json_.is_object(), "{}: not a JSON object", path_);
}

int64_t ConfigFile::size(const char* name, int64_t most) const {
  check(json_.contains(name) && json_[name].is_number_integer(), "{}: no whole number '{}'", path_, name);
  const int64_t size = json_[name].get<int64_t>();
  check(size > 0 && size <= most, "{}: '{}' is {}; Chapbook knows 1 to {}", path_, name, size, most);
  return size;
}

int64_t ConfigFile::size_or(const char* name, int64_t otherwise, int64_t most) const {
  return has(name) ? size(name, most) : otherwise;
}

double ConfigFile::number_or(const char* name, double otherwise) const {
  if (!has(name)) return otherwise;
  check(json_[name].is_number(), "{}: '{}' is {}, not a number", path_, name, json_[name].dump());
  return json_[name].get<double>();
}

bool ConfigFile::flag_or(const char* name, bool otherwise) const {
  if (!has(name)) return otherwise;
  check(json_[name].is_boolean(), "{}: '{}' is {}, not true or false", path_, name, json_[name].dump());
  return json_[name].get<bool>();
}

void ConfigFile::only(const char* name, const Json& value) const {
  if (json_.contains(name) && json_[name] != value)
    fail("{}: '{}' is {}; Chapbook only knows {}", path_, name, json_[name].dump(), value.dump());
}

}  // namespace chapbook
