// Texts by name. Where a command takes a text it also takes an address, or the name of a set in the table
// (data/text_sets.h): both are fetched once, checked, and used from where they are kept: DIRECTORY/NAME for a
// set, and for an address DIRECTORY/NAME-DIGITS, as others may end in the same name.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "apps/run/run.h"

namespace chapbook {

struct FetchOptions {
  std::string directory = "data-cache";
  std::string mirror =
      {};  // an address, or a directory of this machine, that has the files under their names
  std::function<void(std::string_view line)> say = [](std::string_view) {};
};

// An address or the name of a set. A file or directory that is called like a set is meant by ./NAME.
bool is_remote(const std::string& text);

struct FetchedTexts {
  std::string train, valid;  // paths; valid is empty where there is none
};
FetchedTexts fetch_texts(const std::string& name, const FetchOptions& options);
// Throws where a share to set aside is asked for of a set that has its own validation part.
void check_share_to_set_aside(const std::string& name, const std::optional<double>& share);

// For a run whose data is_remote: puts the fetched files into its options. Token files with the run's
// vocabulary are made beside the text once and serve all later runs, unless it wants its own validation part
// or tokenizer. Throws while another process makes them.
void fetch_data(RunOptions& run, const FetchOptions& options);

}  // namespace chapbook
