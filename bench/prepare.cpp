// Preparing a text that is larger than memory should be: time and memory of the whole process.
//   bench_prepare make TEXT MEGABYTES FILE        TEXT's stories again and again, each time with other words
//   bench_prepare measure PROGRAM FILE VOCABULARY DIRECTORY    runs PROGRAM prepare; prints a line of JSON
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "apps/report/machine.h"
#include "data/split.h"
#include "tensor/check.h"
#include "tensor/json.h"
#include "tensor/random.h"

namespace chapbook {
namespace {

// The story with about one word in twenty in another place, and about one in two hundred a new name: no two
// repeats of a story are equal, and the text has some tens of thousands of different words, as TinyStories
// has.
std::string varied(std::string_view story, uint64_t seed) {
  std::vector<std::string> words;
  for (size_t at = 0; at < story.size();) {
    const size_t end = std::min(story.find(' ', at), story.size());
    words.emplace_back(story.substr(at, end - at));
    at = end + 1;
  }
  const auto draw = [&](uint64_t i, size_t count) {
    return static_cast<size_t>(uniform_at(seed, 0, i) * static_cast<double>(count));
  };
  static const char* syllables[] = {"la", "mi", "to", "ka", "ne", "ru", "so", "vi", "be", "da", "fo", "gi"};
  for (size_t i = 0; i < words.size() / 20; ++i)
    std::swap(words[draw(4 * i, words.size())], words[draw(4 * i + 1, words.size())]);
  for (size_t i = 0; i < words.size() / 200 + 1; ++i) {
    std::string& name = words[draw(4 * i + 2, words.size())];
    size_t code = draw(4 * i + 3, 12 * 12 * 12 * 12);
    for (name.clear(); name.size() < 8; code /= 12) name += syllables[code % 12];
    name[0] = static_cast<char>(name[0] - 'a' + 'A');
  }
  std::string result;
  for (const std::string& word : words) result += (result.empty() ? "" : " ") + word;
  return result;
}

void make(const std::string& text, int64_t megabytes, const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"), std::fclose);
  check(file != nullptr, "{} cannot be written", path);
  int64_t bytes = 0;
  uint64_t seed = 0;
  while (bytes < megabytes * 1'000'000)
    read_stories(text, [&](std::string_view story, bool) {
      if (bytes >= megabytes * 1'000'000) return;
      const std::string line = varied(story, ++seed) + "\n<|endoftext|>\n";
      check(std::fwrite(line.data(), 1, line.size(), file.get()) == line.size(), "{} cannot be written",
            path);
      bytes += static_cast<int64_t>(line.size());
    });
}

void measure(const std::string& program, const std::string& text, const std::string& vocabulary,
             const std::string& directory) {
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl(program.c_str(), program.c_str(), "prepare", text.c_str(), "--vocabulary", vocabulary.c_str(),
            "--out", directory.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  rusage used{};
  check(::wait4(child, &status, 0, &used) == child && status == 0, "{} prepare failed", program);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto time = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  const double megabytes = static_cast<double>(std::filesystem::file_size(text)) / 1e6;
  const double cores = static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  const auto rounded = [](double x) { return std::round(100 * x) / 100; };
  const Json result = {
      {"machine", machine_json()},
      {"command", fmt::format("bench_prepare measure {} {} {} {}", program, text, vocabulary, directory)},
      {"megabytes", rounded(megabytes)},
      {"vocabulary", std::stoi(vocabulary)},
      {"seconds", rounded(seconds)},
      {"megabytes_per_second", rounded(megabytes / seconds)},
      {"megabytes_per_second_and_core", rounded(megabytes / seconds / cores)},
      {"processor_seconds", rounded(time(used.ru_utime) + time(used.ru_stime))},
      {"peak_megabytes", rounded(static_cast<double>(used.ru_maxrss) * 1024 / 1e6)}};
  fmt::print("{}\n", result.dump(2));
}

}  // namespace
}  // namespace chapbook

int main(int count, char** arguments) try {
  const std::string command = count > 1 ? arguments[1] : "";
  if (command == "make" && count == 5)
    chapbook::make(arguments[2], std::stoll(arguments[3]), arguments[4]);
  else if (command == "measure" && count == 6)
    chapbook::measure(arguments[2], arguments[3], arguments[4], arguments[5]);
  else
    chapbook::fail("bench_prepare make|measure ...: see bench/prepare.cpp");
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 2;
}
