// doctor: what this machine has, what will run on it by default, and what is missing.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/command.h"
#include "apps/report/machine.h"
#include "apps/report/memory.h"
#include "tensor/backend.h"
#include "tensor/backend_module.h"
#include "tensor/check.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/packed.h"
#include "tensor/cpu/processors.h"
#include "tensor/cpu/thread_pool.h"
#include "tensor/os/system.h"

namespace chapbook {
namespace {

void row(std::string_view what, std::string_view is) { fmt::print("{:<12}{}\n", what, is); }

std::string compiler() {
#ifdef __clang__
  return fmt::format("clang {}", __clang_version__);
#else
  return fmt::format("g++ {}", __VERSION__);
#endif
}

std::string build() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return "with a sanitizer: for tests, many times slower";
#elif defined(__OPTIMIZE__)
  return "optimised";
#else
  return "not optimised: for debugging, many times slower";
#endif
}

// The vector instructions the program was compiled to use, by their names in /proc/cpuinfo, the widest first.
std::vector<std::string> compiled_for() {
  return {
#ifdef __AVX512F__
      "avx512f",
#endif
#ifdef __AVX2__
      "avx2",
#endif
#ifdef __FMA__
      "fma",
#endif
#ifdef __SSE2__
      "sse2",
#endif
#ifdef __ARM_NEON
      "asimd",
#endif
  };
}

std::string gpu() {
  const BackendModule& cuda = cuda_module();
  return cuda.backend ? cuda.backend->description() : "cuda is absent: " + cuda.absent;
}

// "cpu trains in f32, bf16, f16"
std::string precisions(const Backend& backend) {
  std::vector<std::string_view> names;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    if (backend.trains_in(dtype)) names.push_back(name_of(dtype));
  return fmt::format("{} trains in {}", backend.name(), fmt::join(names, ", "));
}

void doctor() {
  row("system", os::name());
  row("compiler", compiler());
  row("build", build());
  row("processor", fmt::format("{}, {} cores for us", processor_name(), processors()));
  const std::vector<std::string> compiled = compiled_for(), has = vectors_of_processor();
  row("vectors", fmt::format("compiled for {}; the processor has {}",
                             compiled.empty() ? "none" : fmt::format("{}", fmt::join(compiled, " ")),
                             has.empty() ? "what is not known" : fmt::format("{}", fmt::join(has, " "))));
  row("products", std::string(cpu::describe_gemm_vectors()) + " (CHAPBOOK_VECTORS chooses)");
  const Caches& has_caches = caches();
  const cpu::Blocking blocks = cpu::blocking(true, 512);
  row("caches", fmt::format("{} second, {} last: products in blocks of {} rows, strips of {} columns",
                            bytes_text(static_cast<double>(has_caches.second)),
                            bytes_text(static_cast<double>(has_caches.last)), blocks.rows, blocks.columns));
  row("BLAS", cpu::describe_openblas());
  row("int8, bf16", fmt::format("weights of --weights are multiplied by {}", cpu::packed_vectors()));
  row("GPU", gpu());
  row("memory",
      fmt::format("{}, {} available to us", bytes_text(os::memory_bytes()), bytes_text(memory_available())));
  std::error_code error;
  const auto disk = std::filesystem::space(".", error);
  row("disk", error ? "not known: " + error.message()
                    : bytes_text(static_cast<double>(disk.available)) + " free in this directory");
  row("backends", fmt::format("{}", fmt::join(backend_names(), ", ")));
  for (const std::string_view name : backend_names()) row("", precisions(backend(name)));
  const char* asked = std::getenv("CHAPBOOK_BACKEND");
  const std::string_view chosen = default_backend().name();
  row("will run",
      fmt::format("{}{}: {}", chosen,
                  chosen != "cpu"                ? ""
                  : thread_pool().threads() == 1 ? " with 1 thread"
                                                 : fmt::format(" with {} threads", thread_pool().threads()),
                  chosen == backend_names().front() ? "the fastest backend there is"
                  : asked                           ? "as CHAPBOOK_BACKEND says"
                                                    : "as --backend says"));
  for (const std::string& name : compiled)
    check(has.empty() || std::find(has.begin(), has.end(), name) != has.end(),
          "this program was compiled for a processor with {}, which this one lacks: remove build/ and start "
          "again",
          name);
}

}  // namespace

void add_doctor(CLI::App& program) {
  program.add_subcommand("doctor", "what this machine has, and what will run on it")->callback(doctor);
}

}  // namespace chapbook
