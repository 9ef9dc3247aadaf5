// Texts that people train on: where they are, how large, under which licence. One table; nothing of it is
// fetched before somebody asks.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace chapbook {

// A file somewhere else. What is known of it is checked; what is not known is left to what the server says.
struct RemoteFile {
  std::string url;
  int64_t size = -1;        // bytes; -1: not known
  std::string sha256 = {};  // 64 hexadecimal digits; empty: not known

  std::string name() const;  // the last part of the URL's path
};

struct TextSet {
  std::string name;         // as in --data NAME
  std::string what;         // in a few words
  std::string licence;      // by its SPDX name, where it has one
  std::string page;         // where it is described
  RemoteFile train, valid;  // without a URL: there is none
};

const std::vector<TextSet>& text_sets();
const TextSet* text_set(const std::string& name);  // null where there is none of that name

}  // namespace chapbook
