// Which product computes a shape. "auto" times both when a shape is first met, three times each in turns, and
// keeps the answer in a file: bits of the two differ in the last place, so a choice that changed from run to
// run would change the run.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string_view>
#include <tuple>

#include "tensor/cpu/gemm.h"
#include "tensor/files.h"

namespace chapbook::cpu {

namespace {

Gemm named(std::string_view name, std::string_view where) {
  check(name == "own" || name == "openblas" || name == "auto", "{}: '{}' is not one of own, openblas, auto",
        where, name);
  check(name == "own" || has_openblas(),
        "{}: '{}' wants a Chapbook built with OpenBLAS (CHAPBOOK_OPENBLAS=ON)", where, name);
  return name == "own" ? Gemm::own : name == "openblas" ? Gemm::openblas : Gemm::automatic;
}

Gemm& choice() {
  static Gemm chosen = [] {
    const char* name = std::getenv("CHAPBOOK_GEMM");
    return name ? named(name, "CHAPBOOK_GEMM") : Gemm::own;
  }();
  return chosen;
}

// $XDG_CACHE_HOME/chapbook/gemm.txt: a line "shape own" or "shape openblas" for each shape seen.
std::filesystem::path remembered_file() {
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  if (cache && *cache) return std::filesystem::path(cache) / "chapbook/gemm.txt";
  return home && *home ? std::filesystem::path(home) / ".cache/chapbook/gemm.txt" : std::filesystem::path();
}

std::map<std::string, std::string>& remembered() {
  static std::map<std::string, std::string> all = [] {
    std::map<std::string, std::string> lines;
    std::ifstream file(remembered_file());
    for (std::string line; std::getline(file, line);) {
      const size_t space = line.rfind(' ');
      if (space == std::string::npos) continue;
      const std::string what = line.substr(space + 1);
      if (what == "own" || what == "openblas") lines.emplace(line.substr(0, space), what);
    }
    return lines;
  }();
  return all;
}

void remember(const std::string& shape, const std::string& what) {
  remembered()[shape] = what;
  const std::filesystem::path path = remembered_file();
  if (path.empty()) return;  // then it holds for this process only
  const std::string line = shape + ' ' + what + '\n';
  try {
    make_directory(path.parent_path());
    os::File::to_append(path).write(line.data(), line.size());
  } catch (const Error&) {  // a cache that cannot be written costs time, nothing else
  }
}

template <class F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Gemm gemm_choice() { return choice(); }
void set_gemm(std::string_view name) { choice() = named(name, "--gemm"); }

Gemm faster_gemm(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b,
                 Matrix<float> y) {
  // Not held while products are timed: they wait for the thread pool, which may wait for a chunk that is
  // here.
  static std::mutex mutex;
  std::unique_lock lock(mutex);
  // What this process has asked before: a training step asks again and again, and makes no text for it.
  static std::map<std::tuple<std::string_view, int64_t, int64_t, int64_t, bool, bool>, Gemm> known;
  const bool a_turned = a.column_stride != 1, b_turned = b.column_stride != 1;
  const std::tuple key{gemm_vectors(), m, n, k, a_turned, b_turned};
  if (const auto answer = known.find(key); answer != known.end()) return answer->second;
  const std::string shape =
      fmt::format("{} {}x{}{} {}x{}{}", gemm_vectors(), m, k, a_turned ? "T" : "", k, n, b_turned ? "T" : "");
  const auto found = remembered().find(shape);
  if (found != remembered().end()) return known[key] = found->second == "own" ? Gemm::own : Gemm::openblas;
  lock.unlock();
  double own = 1e9, openblas = 1e9;
  for (int i = 0; i < 3; ++i) {
    own = std::min(own, seconds([&] { gemm(m, n, k, a, b, y, {}); }));
    openblas = std::min(openblas, seconds([&] { gemm_openblas(m, n, k, a, b, y, {}); }));
  }
  lock.lock();
  // Of two threads that met a shape at once, the first to be done says what all will do.
  const auto [answer, first] = known.try_emplace(key, own <= openblas ? Gemm::own : Gemm::openblas);
  if (first) remember(shape, answer->second == Gemm::own ? "own" : "openblas");
  return answer->second;
}

}  // namespace chapbook::cpu
