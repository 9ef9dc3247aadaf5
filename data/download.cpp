#include "data/download.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

#include "data/sha256.h"
#include "tensor/check.h"
#include "tensor/files.h"
#include "tensor/json.h"

namespace chapbook {
namespace fs = std::filesystem;
namespace {

// Ends a download for good: trying again would not help.
[[noreturn]] void give_up(const std::string& url, const std::string& why) { fail("{}: {}", url, why); }

void check_not_stopped(const DownloadOptions& options) {
  check(!options.stop(), "stopped; what came is kept, and the same command goes on from there");
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return result;
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0) return {};
  return number;
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

// What a server said before the body. Those of redirects are forgotten, but for Hugging Face's word on the
// file behind one: the ETag of a file in Git LFS is its SHA-256.
struct Headers {
  std::string etag, type, hash;
  std::optional<int64_t> length;             // of the body
  std::optional<int64_t> range_begin, size;  // "Content-Range: bytes 5-9/10" or "bytes */10"

  void add(std::string_view line) {
    if (line.starts_with("HTTP/")) etag = type = "", length = range_begin = size = std::nullopt;
    const size_t colon = line.find(':');
    if (colon == line.npos) return;
    const std::string name = lower(line.substr(0, colon));
    std::string_view value = line.substr(colon + 1);
    value = value.substr(0, value.find_last_not_of(" \t\r\n") + 1);
    value.remove_prefix(std::min(value.size(), value.find_first_not_of(" \t")));
    if (name == "etag") etag = value;
    if (name == "content-type") type = lower(value);
    if (name == "content-length") length = whole_number(value);
    if (name == "x-linked-etag" && value.size() == 66 && is_sha256(value.substr(1, 64)))
      hash = value.substr(1, 64);
    if (name == "content-range" && value.starts_with("bytes ")) {
      const std::string_view range = value.substr(6);
      range_begin = whole_number(range.substr(0, range.find('-')));
      if (const size_t slash = range.find('/'); slash != range.npos)
        size = whole_number(range.substr(slash + 1));
    }
  }
};

// The bytes so far, PATH.part, which one process at a time may write, and the ETag they came under.
class Part {
 public:
  explicit Part(const std::string& path)
      : path_(path + ".part"), etag_path_(path + ".part.etag"), file_(os::File::to_go_on(path_, path_)) {
    std::error_code ignored;
    if (fs::exists(etag_path_, ignored)) etag_ = read_file(etag_path_);
  }
  ~Part() {
    if (bytes() == 0) remove();
  }
  Part(const Part&) = delete;

  int64_t bytes() const { return static_cast<int64_t>(file_.size()); }
  const std::string& etag() const { return etag_; }
  const std::string& path() const { return path_; }

  void begin(const std::string& etag) {
    if (bytes() > 0) file_.empty();
    etag_ = etag.starts_with("W/") ? "" : etag;  // a weak one does not promise the same bytes
    write_file(etag_path_, etag_);
  }
  void append(std::string_view bytes) {
    try {
      file_.write(bytes.data(), bytes.size());
    } catch (const Error& error) {
      fail("{}; what came is kept, and the same command goes on from there", error.what());
    }
  }
  void move_to(const std::string& path) {
    file_.sync();
    os::rename(path_, path);
    const std::string parent = fs::path(path).parent_path().string();
    os::sync_directory(parent.empty() ? "." : parent);
    std::error_code ignored;
    fs::remove(etag_path_, ignored);
  }
  void remove() {
    std::error_code ignored;
    fs::remove(path_, ignored);
    fs::remove(etag_path_, ignored);
  }

 private:
  std::string path_, etag_path_, etag_;
  os::File file_;
};

// One request: appends what comes to the part, or begins it anew where the server sends all of the file.
class Transfer {
 public:
  Transfer(const RemoteFile& file, Part& part, const DownloadOptions& options)
      : file_(file), part_(part), options_(options) {}

  struct Result {
    bool done;
    std::string why;   // not done
    double wait;       // seconds that the server wants; 0: it did not say
    std::string hash;  // as the server has it; may be empty
    int64_t size;      // the same; may be -1
  };
  Result run() {
    const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
    check(curl != nullptr, "libcurl does not start");
    curl_ = curl.get();
    char message[CURL_ERROR_SIZE] = "";
    const auto set = [&](CURLoption option, auto value) {
      check(curl_easy_setopt(curl_, option, value) == CURLE_OK, "libcurl lacks an option of 2022 ({})",
            int{option});
    };
    set(CURLOPT_URL, file_.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 10L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, long{options_.stall_seconds});
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, long{options_.stall_seconds});
    set(CURLOPT_USERAGENT, "chapbook");
    set(CURLOPT_ERRORBUFFER, message);
    set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
    set(CURLOPT_XFERINFODATA, this);
    // What is there may be gone on with if the whole is checked at the end, or the server says it is the
    // same.
    const bool resumes = part_.bytes() > 0 && (!file_.sha256.empty() || !part_.etag().empty());
    std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(nullptr, curl_slist_free_all);
    const std::string range = fmt::format("{}-", part_.bytes());
    if (resumes) {
      set(CURLOPT_RANGE, range.c_str());
      if (!part_.etag().empty())
        headers.reset(curl_slist_append(nullptr, ("If-Range: " + part_.etag()).c_str()));
      set(CURLOPT_HTTPHEADER, headers.get());
    }
    const CURLcode code = curl_easy_perform(curl_);
    if (error_) std::rethrow_exception(error_);
    if (code == CURLE_OK) return judge();
    const std::string why = message[0] ? message : curl_easy_strerror(code);
    for (const CURLcode lasting :
         {CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_COULDNT_RESOLVE_HOST,
          CURLE_COULDNT_RESOLVE_PROXY, CURLE_PEER_FAILED_VERIFICATION, CURLE_TOO_MANY_REDIRECTS})
      if (code == lasting) give_up(file_.url, why);
    return {false, why, 0, "", -1};
  }

 private:
  long status() const {
    long status = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  // After a whole answer.
  Result judge() {
    if (!begun_) begin_body();  // an answer without a body
    const long code = status();
    Result result{true, "", 0, headers_.hash, size_};
    if (code == 200 || code == 206) return result;
    if (code == 416 && headers_.size == part_.bytes()) return result;  // all of it was there
    result.done = false;
    result.why = fmt::format("the server answers {}", code);
    if (code == 416) {
      part_.begin("");
      return result;
    }
    if (code == 401 || code == 403) give_up(file_.url, fmt::format("the server does not give it ({})", code));
    if (code == 404 || code == 410) give_up(file_.url, fmt::format("the server has no such file ({})", code));
    if (code != 408 && code != 425 && code != 429 && code < 500) give_up(file_.url, result.why);
    curl_off_t wait = 0;
    curl_easy_getinfo(curl_, CURLINFO_RETRY_AFTER, &wait);
    result.wait = static_cast<double>(wait);
    return result;
  }

  // Before the first byte of the body.
  void begin_body() {
    begun_ = true;
    const long code = status();
    if (code != 200 && code != 206) return;
    if (code == 206) {
      check(headers_.range_begin == part_.bytes(),
            "{}: the server sends another part of the file than was asked for", file_.url);
      size_ = headers_.size.value_or(-1);
    } else {
      if (file_.sha256.empty() && headers_.type.starts_with("text/html"))
        give_up(file_.url, "the server sends a web page (text/html) and no text");
      part_.begin(headers_.etag);
      size_ = headers_.length.value_or(-1);
    }
    if (file_.size >= 0 && size_ >= 0 && size_ != file_.size) {
      part_.begin("");
      give_up(file_.url, fmt::format("the server has {} bytes, but {} are expected: it is another file",
                                     size_, file_.size));
    }
    if (size_ < 0) size_ = file_.size;
    const int64_t room = static_cast<int64_t>(fs::space(fs::absolute(part_.path()).parent_path()).available);
    check(size_ - part_.bytes() <= room, "{}: {} bytes are still to come, but the disk of {} has room for {}",
          file_.url, size_ - part_.bytes(), part_.path(), room);
    takes_ = true;
  }

  void take(std::string_view bytes) {
    if (!begun_) begin_body();
    if (!takes_) return;  // the page that comes with an error
    if (file_.size >= 0 && part_.bytes() + static_cast<int64_t>(bytes.size()) > file_.size) {
      part_.begin("");
      give_up(file_.url,
              fmt::format("the server sends more than the {} bytes that are expected: it is another file",
                          file_.size));
    }
    part_.append(bytes);
  }

  // No exception may pass through libcurl: it is kept, and thrown when libcurl has ended.
  template <class Work>
  bool guarded(Work work) {
    try {
      work();
      return true;
    } catch (...) {
      error_ = std::current_exception();
      return false;
    }
  }
  static size_t on_header(char* data, size_t, size_t size, void* self) {
    static_cast<Transfer*>(self)->headers_.add({data, size});
    return size;
  }
  static size_t on_body(char* data, size_t, size_t size, void* self) {
    Transfer& transfer = *static_cast<Transfer*>(self);
    return transfer.guarded([&] { transfer.take({data, size}); }) ? size : CURL_WRITEFUNC_ERROR;
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    Transfer& transfer = *static_cast<Transfer*>(self);
    return transfer.guarded([&] {
      if (transfer.takes_) transfer.options_.progress("downloading", transfer.part_.bytes(), transfer.size_);
      check_not_stopped(transfer.options_);
    })
               ? 0
               : 1;
  }

  const RemoteFile& file_;
  Part& part_;
  const DownloadOptions& options_;
  CURL* curl_ = nullptr;
  Headers headers_;
  bool begun_ = false, takes_ = false;
  int64_t size_ = -1;  // of the whole file
  std::exception_ptr error_;
};

std::string hash_of_file(const std::string& path, const DownloadOptions& options) {
  os::File file = os::File::to_read(path);
  const auto size = static_cast<int64_t>(file.size());
  Sha256 hash;
  std::string block(size_t{1} << 20, '\0');
  int64_t done = 0;
  while (const size_t count = file.read(block.data(), block.size())) {
    hash.add(std::string_view(block).substr(0, count));
    done += static_cast<int64_t>(count);
    options.progress("checking", done, size);
    check_not_stopped(options);
  }
  return hash.hex();
}

// The file's size and hash, which must be as known; else "PATH PROBLEM".
Downloaded judge_file(const RemoteFile& file, const std::string& path, const std::string& server_hash,
                      int64_t server_size, const DownloadOptions& options) {
  Downloaded result;
  result.bytes = static_cast<int64_t>(fs::file_size(path));
  const int64_t size = file.size >= 0 ? file.size : server_size;
  check(size < 0 || result.bytes == size, "has {} bytes, but should have {}", result.bytes, size);
  result.sha256 = hash_of_file(path, options);
  const std::string& hash = file.sha256.empty() ? server_hash : file.sha256;
  check(hash.empty() || hash == result.sha256, "has the SHA-256 {}, but should have {}", result.sha256, hash);
  result.checked_with = !file.sha256.empty()   ? "its known hash"
                        : !server_hash.empty() ? "the server's hash"
                        : size >= 0            ? "its size"
                                               : "";
  return result;
}

void write_record(const RemoteFile& file, const std::string& path, const Downloaded& got) {
  const Json record = {
      {"url", file.url}, {"bytes", got.bytes}, {"sha256", got.sha256}, {"checked_with", got.checked_with}};
  write_file(path + ".json", to_text(record, 2) + "\n");
}

// What PATH.json says, if it is what write_record wrote and the file still has that size.
std::optional<Downloaded> read_record(const std::string& path) {
  std::error_code none;
  const std::string record = path + ".json";
  if (!fs::exists(record, none)) return {};
  const auto json = try_parse_json(read_file(record));
  try {
    Downloaded got{json.at("bytes"), json.at("sha256"), true, json.at("checked_with")};
    if (got.bytes == static_cast<int64_t>(fs::file_size(path))) return got;
  } catch (const Json::exception&) {
  }
  return {};
}

}  // namespace

Downloaded check_file(const RemoteFile& file, const std::string& path, const DownloadOptions& options) {
  std::error_code error;
  check(fs::is_regular_file(path, error), "{} is not there", path);
  // A record spares reading all of the file again.
  if (const auto record = read_record(path); record && (file.sha256.empty() || file.sha256 == record->sha256))
    return *record;
  try {
    Downloaded got = judge_file(file, path, "", -1, options);
    got.was_there = true;
    return got;
  } catch (const Error& problem) {
    fail("{} {}: it is another file, or not all of it; move it away", path, problem.what());
  }
}

Downloaded download(const RemoteFile& file, const std::string& path, const DownloadOptions& options) {
  std::error_code error;
  if (fs::exists(path, error)) {
    const Downloaded got = check_file(file, path, options);
    if (!read_record(path)) write_record(file, path, got);
    return got;
  }
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  check(started == CURLE_OK, "libcurl does not start");
  const fs::path directory = fs::absolute(path).parent_path();
  make_directory(directory.string());
  Part part(path);
  Transfer::Result result{file.size >= 0 && part.bytes() == file.size, "", 0, "", -1};
  int64_t furthest = part.bytes();
  for (int in_vain = 0; !result.done;) {
    result = Transfer(file, part, options).run();
    if (result.done) break;
    in_vain = part.bytes() > furthest ? 1 : in_vain + 1;
    furthest = std::max(furthest, part.bytes());
    check(in_vain<options.tries, "{}: {}; tried {} times{}", file.url, result.why, in_vain, part.bytes()> 0
              ? "; what came is kept, and the same command goes on from there"
              : "");
    const double wait = std::min(std::max(result.wait, options.first_wait * (1 << std::min(in_vain - 1, 20))),
                                 options.longest_wait);
    options.say(fmt::format("{}: {}; trying again in {:.0f} s", file.name(), result.why, wait));
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(wait);
    while (std::chrono::steady_clock::now() < until) {
      check_not_stopped(options);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  Downloaded got;
  try {
    got = judge_file(file, part.path(), result.hash, result.size, options);
  } catch (const Error& problem) {
    check_not_stopped(options);
    part.remove();
    fail("{}: what came {}: not used; try again, or another mirror", file.url, problem.what());
  }
  part.move_to(path);
  write_record(file, path, got);
  return got;
}

}  // namespace chapbook
