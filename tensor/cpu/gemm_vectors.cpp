// Which innermost loops the processor at hand can run, and which are chosen.
#include <cstdlib>
#include <string>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/gemm_kernel.h"

namespace chapbook::cpu {

bool has_avx512bf16() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

namespace {

bool always() { return true; }
#ifdef __x86_64__
bool has_avx512() { return __builtin_cpu_supports("avx512f"); }
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
bool has_avx512() { return false; }
bool has_avx2() { return false; }
#endif
bool has_tiles() { return has_avx512() && has_amx(); }  // f32 takes the vectors

// What products are made of on a processor: the innermost loop for floats, and the one for pairs of bf16
// where it has instructions for them. The widest comes first. The last ones are what those instructions
// compute, for tests.
struct Vectors {
  std::string_view name, description;
  bool (*works)();
  const MicroKernel<float>* floats;
  const MicroKernel<Pair>* pairs;
};
constexpr Vectors all_vectors[] = {
    {"amx", "avx512, bf16 in tiles of amx", has_tiles, &avx512_kernel, &amx_kernel},
    {"avx512bf16", "avx512, bf16 in pairs", has_avx512bf16, &avx512_kernel, &avx512bf16_kernel},
    {"avx512", "avx512, bf16 through f32", has_avx512, &avx512_kernel, nullptr},
    {"avx2", "avx2, bf16 through f32", has_avx2, &avx2_kernel, nullptr},
    {"portable", "portable, bf16 through f32", always, &portable_kernel, nullptr},
    {"amx-as-written", "portable, bf16 in tiles as written", always, &portable_kernel,
     &amx_as_written_kernel},
    {"avx512bf16-as-written", "portable, bf16 in pairs as written", always, &portable_kernel,
     &avx512bf16_as_written_kernel},
};

// Those of that name, or the widest when there is no name.
const Vectors* find_vectors(std::string_view name, std::string_view where) {
  std::string names;
  for (const Vectors& each : all_vectors) {
    names += std::string(names.empty() ? "" : ", ") + std::string(each.name);
    if (!name.empty() && name != each.name) continue;
    if (each.works()) return &each;
    check(name.empty(), "{}: this processor has no {}", where, name);
  }
  fail("{}: '{}' is not one of {}", where, name, names);
}

const Vectors*& chosen_vectors() {
  static const Vectors* chosen = [] {
    const char* name = std::getenv("CHAPBOOK_VECTORS");
    return find_vectors(name ? name : "", "CHAPBOOK_VECTORS");
  }();
  return chosen;
}

}  // namespace

const MicroKernel<float>* kernel_of_floats() { return chosen_vectors()->floats; }
const MicroKernel<Pair>* kernel_of_pairs() { return chosen_vectors()->pairs; }

std::string_view gemm_vectors() { return chosen_vectors()->name; }
std::string_view describe_gemm_vectors() { return chosen_vectors()->description; }
void set_gemm_vectors(std::string_view name) { chosen_vectors() = find_vectors(name, "vectors"); }

}  // namespace chapbook::cpu
