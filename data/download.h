// Fetching a file over HTTP so that it is there whole and right, or not at all. Until it is known to be right
// its bytes are in PATH.part; beside a finished PATH lies PATH.json, which says where it came from, its size
// and its SHA-256. A transfer that was broken off goes on where it was, if the server still has the same
// file.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "data/text_sets.h"

namespace chapbook {

struct DownloadOptions {
  // How far it is, in bytes; of -1 where the server does not say. `what` is "downloading" or "checking".
  std::function<void(const char* what, int64_t done, int64_t of)> progress = [](const char*, int64_t,
                                                                                int64_t) {};
  std::function<void(const std::string& line)> say = [](const std::string&) {
  };  // of what is tried again, and why
  std::function<bool()> stop = [] {
    return false;
  };                         // asked often; true ends it with an Error and keeps the part
  int tries = 6;             // in a row without a byte; each waits twice as long as the one before
  double first_wait = 1;     // seconds
  double longest_wait = 60;  // seconds; a server may ask for more, but does not get it
  int stall_seconds = 30;    // as long without a byte is a transfer broken off
};

struct Downloaded {
  int64_t bytes = 0;
  std::string sha256;
  bool was_there = false;    // and nothing was fetched
  std::string checked_with;  // "its known hash", "the server's hash", "its size"; empty: there was nothing to
                             // check with
};

// Throws one line on whatever goes wrong: what, where, what to do. Proxies are those of the environment
// (https_proxy, no_proxy), as libcurl reads them. PATH's directory is made where it is missing.
Downloaded download(const RemoteFile& file, const std::string& path, const DownloadOptions& options = {});

// The same check for a file that is somewhere already, as in a local mirror: throws unless it is the one
// meant.
Downloaded check_file(const RemoteFile& file, const std::string& path, const DownloadOptions& options = {});

}  // namespace chapbook
