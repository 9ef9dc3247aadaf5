#include "apps/run/fetch.h"

#include <filesystem>

#include "apps/report/memory.h"
#include "apps/report/progress.h"
#include "apps/run/corpus.h"
#include "data/download.h"
#include "data/sha256.h"
#include "tensor/check.h"
#include "tensor/files.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

// The file's path on this machine.
std::string fetch(RemoteFile file, const std::string& directory, const FetchOptions& options) {
  const std::string name = file.name();
  std::string shown;
  std::unique_ptr<Progress> progress;
  DownloadOptions download_options;
  download_options.progress = [&](const char* what, int64_t done, int64_t of) {
    if (shown != what) {
      progress = std::make_unique<Progress>(fmt::format("{} {}", what, name), static_cast<double>(of),
                                            static_cast<double>(done));
      shown = what;
    }
    progress->update(static_cast<double>(done), bytes_text(static_cast<double>(done)));
  };
  download_options.say = [&](const std::string& line) {
    if (progress) progress->clear();
    options.say(line);
  };
  std::string path = directory + "/" + name;
  Downloaded got;
  if (options.mirror.empty() || options.mirror.find("://") != std::string::npos) {
    if (!options.mirror.empty()) file.url = options.mirror + "/" + name;
    got = download(file, path, download_options);
  } else {
    path = options.mirror + "/" + name;
    got = check_file(file, path, download_options);
  }
  progress.reset();
  options.say(fmt::format("{}: {} bytes, SHA-256 {}, {}{}", path, got.bytes, got.sha256,
                          got.checked_with.empty() ? "which nothing was known to compare with"
                                                   : "compared with " + got.checked_with,
                          got.was_there ? "; was there" : ""));
  return path;
}

// Where what comes by that name is kept. Addresses that end in the same name have other digits.
std::string place_of(const std::string& name, const FetchOptions& options) {
  if (text_set(name)) return options.directory + "/" + name;
  return fmt::format("{}/{}-{}", options.directory, RemoteFile{name}.name(), sha256(name).substr(0, 8));
}

}  // namespace

bool is_remote(const std::string& text) {
  return text.find("://") != std::string::npos || text_set(text) != nullptr;
}

FetchedTexts fetch_texts(const std::string& name, const FetchOptions& options) {
  const TextSet* set = text_set(name);
  const std::string directory = place_of(name, options);
  if (!set) return {fetch(RemoteFile{name}, directory, options), ""};
  FetchedTexts texts;
  texts.train = fetch(set->train, directory, options);
  if (!set->valid.url.empty()) texts.valid = fetch(set->valid, directory, options);
  return texts;
}

void check_share_to_set_aside(const std::string& name, const std::optional<double>& share) {
  const TextSet* set = text_set(name);
  check(!share || !set || set->valid.url.empty(), "'{}' has its own validation part; leave out --valid-share",
        name);
}

void fetch_data(RunOptions& run, const FetchOptions& options) {
  check_share_to_set_aside(run.data, run.valid_share);
  const std::string directory = place_of(run.data, options);
  const std::string tokens = fmt::format("{}/tokens-{}", directory, run.settings.vocabulary);
  const bool plain = run.valid.empty() && run.tokenizer.empty() && !run.valid_share;
  std::optional<os::File> lock;  // programs that begin together do not prepare in one place
  const auto prepared = [&] { return plain && fs::exists(whole_directory(tokens)); };
  if (plain && !prepared()) {
    make_directory(directory);
    lock.emplace(os::File::to_lock(tokens + ".lock", fmt::format("the text in '{}'", directory)));
  }
  if (prepared()) {  // before, or while another program had the lock
    run.data = whole_directory(tokens);
    return;
  }
  const FetchedTexts texts = fetch_texts(run.data, options);
  if (run.valid.empty()) run.valid = texts.valid;
  run.data = texts.train;
  if (!plain) return;
  write_directory(tokens, [&](const std::string& fresh) {
    prepare({.train = text_source(run.data),
             .valid = run.valid.empty() ? TextSource{} : text_source(run.valid),
             .vocabulary = run.settings.vocabulary,
             .directory = fresh});
  });
  run.data = tokens;
  run.valid = "";
}

}  // namespace chapbook
