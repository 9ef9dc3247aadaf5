#include "apps/report/machine.h"

#include <fmt/format.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <thread>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/json.h"

namespace chapbook {

// The value of the first "key : value" line of a file in /proc; empty if there is none.
static std::string proc_value(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1) != key)
      continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

std::string processor_name() {
  const std::string name = proc_value("/proc/cpuinfo", "model name");
  return name.empty() ? "unknown" : name;
}

std::vector<std::string> vectors_of_processor() {
  std::string flags = proc_value("/proc/cpuinfo", "flags");
  if (flags.empty()) flags = proc_value("/proc/cpuinfo", "Features");  // on ARM
  flags = " " + flags + " ";
  std::vector<std::string> names;
  for (const char* name :
       {"amx_bf16", "avx512_bf16", "avx512f", "avx2", "fma", "f16c", "sse2", "sve", "asimd"})
    if (flags.find(fmt::format(" {} ", name)) != std::string::npos) names.push_back(name);
  return names;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

std::string describe_kernels(Backend& backend) {
  if (backend.name() != "cpu") return backend.description();
  const cpu::Gemm choice = cpu::gemm_choice();
  const std::string own = fmt::format("our own kernel ({})", cpu::describe_gemm_vectors());
  const std::string products = choice == cpu::Gemm::own        ? own
                               : choice == cpu::Gemm::openblas ? "OpenBLAS"
                                                               : "the faster of OpenBLAS and " + own;
  return "products by " + products;
}

std::string describe_backend(Backend& backend) {
  if (backend.name() != "cpu") return backend.description();
  return fmt::format("cpu, {} threads, {}", thread_pool().threads(), describe_kernels(backend));
}

Json machine_json() {
  const char* commit = std::getenv("CHAPBOOK_COMMIT");  // set by the launcher
  return {{"processor", processor_name()},
          {"cores", std::thread::hardware_concurrency()},
          {"backend", describe_backend(default_backend())},
          {"compiler", fmt::format("{}", __VERSION__)},
          {"commit", commit ? commit : "unknown"},
          {"date", today()}};
}

}  // namespace chapbook
