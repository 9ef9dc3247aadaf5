#include "apps/machine.h"

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <thread>

#include "tensor/cpu/thread_pool.h"

namespace chapbook {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

std::string describe_backend(Backend& backend) {
  if (backend.name() != "cpu") return std::string(backend.name());
#ifdef CHAPBOOK_OPENBLAS
  const char* products = "OpenBLAS";
#else
  const char* products = "loops of its own";
#endif
  return fmt::format("cpu, {} threads, products by {}", thread_pool().threads(), products);
}

nlohmann::ordered_json machine_json() {
  const char* commit = std::getenv("CHAPBOOK_COMMIT");  // set by the launcher
  return {{"processor", processor_name()},
          {"cores", std::thread::hardware_concurrency()},
          {"backend", describe_backend(default_backend())},
          {"compiler", fmt::format("{}", __VERSION__)},
          {"commit", commit ? commit : "unknown"},
          {"date", today()}};
}

}  // namespace chapbook
